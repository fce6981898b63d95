"""Hundreds of silent and slow connections: nobody else notices, and all are gone when their time is over.

The full form, with thousands and a bound on the latency, is `make soak ARGS=--slow`.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import gevent
import psutil
import pytest
from gevent import socket

if TYPE_CHECKING:
    from tests.e2e.conftest import Process, Run, WaitUntil

SILENT, DRIPPING, READING = 300, 60, 20
TIME = 2.0
"""Seconds that each of them has."""

APP = """
def app(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/endless":
        return iter(lambda: b"x" * 100_000, None)
    return [b"%d" % len(environ["wsgi.input"].read())]
"""
HEAD = b"GET / HTTP/1.1\r\nHost: test\r\nX: " + b"y" * 1_000
BODY = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1_000
BODY_BEGINS = BODY.index(b"x" * 1_000)


@pytest.fixture
def process(run: "Run", tmp_path: Path) -> "Process":
    (tmp_path / "app.py").write_text(APP)
    times = [f"--{name}-timeout={TIME}" for name in ("head", "body", "write")]
    return run("app", "--access-log", "off", f"--keep-alive={TIME}", "--linger=0.1", *times)


@pytest.fixture
def throng(process: "Process") -> Iterator[list[socket.socket]]:
    """Silent connections, those that send a byte now and then, and those that read nothing."""
    socks = [process.connect() for _ in range(SILENT + DRIPPING + READING)]

    def drip(sock: socket.socket, data: bytes, begin: int) -> None:
        with suppress(OSError):
            sock.sendall(data[:begin])
            for byte in data[begin:]:
                sock.sendall(bytes([byte]))
                gevent.sleep(0.1)  # what is tried

    drips = [
        gevent.spawn(drip, sock, *((HEAD, 1) if number % 2 else (BODY, BODY_BEGINS)))
        for number, sock in enumerate(socks[SILENT : SILENT + DRIPPING])
    ]
    for sock in socks[SILENT + DRIPPING :]:
        sock.sendall(b"GET /endless HTTP/1.1\r\nHost: test\r\n\r\n")
    yield socks
    gevent.killall(drips)
    for sock in socks:
        sock.close()


def test_slow_clients_stop_nobody_and_are_gone_in_time(
    process: "Process", throng: list[socket.socket], wait_until: "WaitUntil"
) -> None:
    server = psutil.Process(process.popen.pid)
    wait_until(lambda: server.num_fds() > len(throng), "all are accepted")
    begun, asked, slowest = monotonic(), 0, 0.0
    with process.connect() as normal:
        while monotonic() - begun < TIME / 2:
            sent = monotonic()
            normal.sendall(BODY)
            reply = b""
            while not reply.endswith(b"\r\n\r\n1000"):
                part = normal.recv(4096)
                assert part, reply
                reply += part
            slowest = max(slowest, monotonic() - sent)
            asked += 1
    assert server.num_fds() > len(throng)  # they were all there meanwhile
    assert asked > 20
    assert slowest < TIME / 2
    wait_until(lambda: server.num_fds() < len(throng) / 10, "they are gone")
    assert monotonic() - begun < 3 * TIME
    for sock in throng:
        with suppress(ConnectionError):
            while sock.recv(1_000_000):
                pass
    assert process.get()[0] == 200
    assert process.errors() == ""
