"""nginx in front, by the very configuration that docs/server.md shows."""

import asyncio
import hashlib
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import requests

if TYPE_CHECKING:
    from tests.e2e.clients.conftest import Program
    from tests.e2e.conftest import Process, Run, WaitUntil

TIMEOUT = 20.0
ROOT = Path(__file__).parents[3]
BODY = bytes(range(256)) * 3_000
CLAIMS = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}

AROUND = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_max_body_size 10m;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    {shown}
}}
"""


@pytest.fixture(scope="module")
def behind(launch: "Run", folder: Path) -> "Process":
    """Greenlane on the Unix socket `s`, which believes whoever connects there."""
    return launch("echoing", "--access-log", "off", "--unix", "s", "--trusted-proxy", "unix", cwd=folder)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _answers(port: int) -> Callable[[], bool]:
    def answers() -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    return answers


@pytest.fixture
def nginx(program: "Program", wait_until: "WaitUntil", behind: "Process", tmp_path: Path) -> Iterator[str]:
    """Where nginx serves what is behind it."""
    block = re.search(r"```nginx\n(.*?)```", (ROOT / "docs" / "server.md").read_text(), re.DOTALL)
    assert block
    port = _free_port()
    shown = block[1]
    for documented, ours in (
        ("unix:/run/myapp.sock", f"unix:{behind.cwd / 's'}"),
        ("listen 80;", f"listen 127.0.0.1:{port};"),
    ):
        assert documented in shown
        shown = shown.replace(documented, ours)
    (tmp_path / "nginx.conf").write_text(AROUND.format(shown=shown))
    command = [program("nginx"), "-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "nginx.conf")]
    with (tmp_path / "errors").open("w") as errors:
        popen = subprocess.Popen(command, stderr=errors)
    try:
        wait_until(lambda: popen.poll() is not None or _answers(port)(), "nginx answers")
        assert popen.poll() is None, (tmp_path / "errors").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        popen.terminate()
        popen.wait(TIMEOUT)


def test_the_client_is_who_nginx_says_and_not_who_it_says_itself(nginx: str) -> None:
    with requests.Session() as session:
        session.trust_env = False
        for number in range(20):
            reply = session.put(f"{nginx}/{number}?nonce=1", data=BODY, headers=CLAIMS, timeout=TIMEOUT)
            told = reply.json()
            assert (told["address"], told["scheme"]) == ("127.0.0.1", "http")
            assert told["host"] == nginx.removeprefix("http://")
            assert (told["target"], told["length"]) == (f"/{number}?nonce=1", len(BODY))
            assert told["sha256"] == hashlib.sha256(BODY).hexdigest()


def test_a_stream_passes(nginx: str) -> None:
    with requests.Session() as session:
        session.trust_env = False
        reply = session.get(f"{nginx}/stream", timeout=TIMEOUT)
    assert reply.text.splitlines() == [f"line {number}" for number in range(1000)]


def test_many_at_once_get_their_own(nginx: str) -> None:
    """Over the 32 connections that nginx keeps, and more."""

    async def ask(client: httpx.AsyncClient, number: int) -> None:
        reply = await client.post(f"/echo?nonce={number}", content=b"x" * number)
        told = reply.json()
        assert (told["query"], told["length"]) == (f"nonce={number}", number)

    async def all_at_once() -> None:
        async with httpx.AsyncClient(base_url=nginx, timeout=TIMEOUT, trust_env=False) as client:
            for _ in range(3):
                await asyncio.gather(*(ask(client, number) for number in range(100)))

    asyncio.run(all_at_once())
