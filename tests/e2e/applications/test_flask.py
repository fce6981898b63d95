"""A Flask application on `greenlane run`: hundreds of requests at once, each with its own reply."""

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import requests

if TYPE_CHECKING:
    from tests.e2e.conftest import Process, Run

TIMEOUT = 20.0
VISITORS = 50
VISITS = 5


@pytest.fixture(scope="module")
def server(launch: "Run", folder: Path) -> "Process":
    return launch("flask_app:app", "--access-log", "off", cwd=folder)


def test_visitors_at_once_have_their_own_session_and_context(server: "Process") -> None:
    async def visitor(number: int) -> None:
        async with httpx.AsyncClient(base_url=server.where, timeout=TIMEOUT, trust_env=False) as client:
            for visit in range(VISITS):
                nonce = f"{number}-{visit}"
                told = (await client.get("/visit", params={"nonce": nonce})).json()
                assert told == {"g": nonce, "args": nonce, "session": nonce, "visits": visit + 1}

    async def all_at_once() -> None:
        await asyncio.gather(*map(visitor, range(VISITORS)))

    asyncio.run(all_at_once())


def test_streams_at_once_keep_their_own_request(server: "Process") -> None:
    async def read(client: httpx.AsyncClient, nonce: int) -> None:
        reply = await client.get("/stream", params={"nonce": str(nonce)})
        assert reply.headers["Transfer-Encoding"] == "chunked"
        assert reply.text.splitlines() == [f"{number} {nonce} {nonce}" for number in range(100)]

    async def all_at_once() -> None:
        async with httpx.AsyncClient(base_url=server.where, timeout=TIMEOUT, trust_env=False) as client:
            await asyncio.gather(*(read(client, nonce) for nonce in range(VISITORS)))

    asyncio.run(all_at_once())


def test_a_file_in_a_form(server: "Process", session: requests.Session) -> None:
    data = bytes(range(256)) * 4_096
    files = {"file": ("photo.jpg", data)}
    told = session.post(f"{server.where}/upload", files=files, timeout=TIMEOUT).json()
    assert told == {"name": "photo.jpg", "length": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_a_body_without_a_length(server: "Process", session: requests.Session) -> None:
    """Werkzeug reads it since the server says that its input ends by itself."""

    def pieces() -> Iterator[bytes]:
        for _ in range(100):
            yield b"piece" * 1000

    told = session.put(f"{server.where}/raw", data=pieces(), timeout=TIMEOUT).json()
    assert told == {"length": 500_000, "sha256": hashlib.sha256(b"".join(pieces())).hexdigest()}


@pytest.mark.parametrize(
    ("path", "status"),
    [("/broken", 500), ("/nowhere", 404), ("/teapot", 418), ("/visit", 400), ("/upload", 405)],
)
def test_errors_are_answers_and_the_connection_goes_on(
    server: "Process", session: requests.Session, path: str, status: int
) -> None:
    for _ in range(2):
        reply = session.get(f"{server.where}{path}", timeout=TIMEOUT)
        assert reply.status_code == status
        assert "secret" not in reply.text
        assert "Traceback" not in reply.text


def test_a_stream_that_breaks_does_not_end_as_if_it_were_whole(
    server: "Process", session: requests.Session
) -> None:
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        session.get(f"{server.where}/broken-stream", timeout=TIMEOUT)
    assert session.get(f"{server.where}/visit?nonce=1", timeout=TIMEOUT).status_code == 200


def test_head_and_options(server: "Process", session: requests.Session) -> None:
    head = session.head(f"{server.where}/stream?nonce=1", timeout=TIMEOUT)
    assert (head.status_code, head.content) == (200, b"")
    options = session.options(f"{server.where}/upload", timeout=TIMEOUT)
    assert set(options.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}
