"""httpx and aiohttp: hundreds of requests at once, and bodies that stream both ways."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import httpx
import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Process

TIMEOUT = 20.0
AT_ONCE = 150


def test_httpx_gets_each_its_own(server: "Process") -> None:
    async def ask(client: httpx.AsyncClient, number: int) -> None:
        body = b"%d" % number * 100
        reply = await client.post(f"{server.where}/echo?nonce={number}", content=body)
        told = reply.json()
        assert (told["query"], told["sha256"]) == (f"nonce={number}", hashlib.sha256(body).hexdigest())

    async def all_at_once() -> None:
        async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client:
            await asyncio.gather(*(ask(client, number) for number in range(AT_ONCE)))

    asyncio.run(all_at_once())


def test_httpx_streams_both_ways(server: "Process") -> None:
    async def lines() -> AsyncIterator[bytes]:
        for number in range(2000):
            yield b"line %d\n" % number

    async def talk() -> bytes:
        async with (
            httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client,
            client.stream("POST", f"{server.where}/shout", content=lines()) as reply,
        ):
            return b"".join([piece async for piece in reply.aiter_bytes()])

    assert asyncio.run(talk()) == b"".join(b"LINE %d\n" % number for number in range(2000))


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_aiohttp_hears_each_answer_before_it_says_more(
    server: "Process", secure: "Process", folder: Path, tls: bool
) -> None:
    """A conversation on one request: what the server would hold back, either side, would hang it."""
    context = ssl.create_default_context(cafile=str(folder / "authority.pem"))
    heard: list[bytes] = []

    async def talk() -> None:
        answered: asyncio.Queue[bytes] = asyncio.Queue()

        async def lines() -> AsyncIterator[bytes]:
            yield b"line 0\n"
            for number in range(1, 50):
                heard.append(await answered.get())
                yield b"line %d\n" % number

        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(
                f"{(secure if tls else server).where}/shout",
                data=lines(),
                ssl=context,
            ) as reply,
        ):
            async for line in reply.content:
                await answered.put(line)

    asyncio.run(talk())
    assert heard == [b"LINE %d\n" % number for number in range(49)]


def test_aiohttp_gets_each_its_own_over_tls(secure: "Process", folder: Path) -> None:
    context = ssl.create_default_context(cafile=str(folder / "authority.pem"))

    async def ask(session: aiohttp.ClientSession, number: int) -> None:
        async with session.get(f"{secure.where}/echo?nonce={number}", ssl=context) as reply:
            assert (await reply.json())["query"] == f"nonce={number}"

    async def all_at_once() -> None:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            await asyncio.gather(*(ask(session, number) for number in range(AT_ONCE)))

    asyncio.run(all_at_once())
