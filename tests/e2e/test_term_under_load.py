"""`kill -TERM` under load, several times: no request whose first byte was read is lost.

The clients know what they were owed: a reply that has begun must be complete, and a connection may end only
between two replies. The application tells how often it was called: every call must have become a whole reply.
"""

import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import gevent
import pytest
from gevent import socket
from gevent.pool import Pool

if TYPE_CHECKING:
    from tests.e2e.conftest import Process, Run, WaitUntil

TIMEOUT = 20.0
ROUNDS = 4
PIPELINED = 5
VISITS = ("keep_alive", "pipeline", "upload")

APP = '''
import atexit

import gevent

calls = 0


def app(environ, start_response):
    """Answers the length of the body, after a while, whole or in pieces."""
    global calls
    calls += 1
    length = sum(map(len, iter(lambda: environ["wsgi.input"].read(1000), b"")))
    gevent.sleep(0.001 * (calls % 5))
    start_response("200 OK", [])
    told = b"%d" % length
    return [told] if calls % 2 else iter([told[:1], told[1:], b""])


@atexit.register
def tell():
    with open("calls", "w") as file:
        file.write(str(calls))
'''

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def post(size: int) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % size


class LostError(AssertionError):
    """A reply that was begun and not finished, or that is not the right one."""


class Client:
    """One connection after another, until nobody listens; counts whole replies."""

    def __init__(self, process: "Process") -> None:
        self.process = process
        self.complete = 0
        self._buffer = b""
        self._said_close = False

    def run(self, visit: str) -> None:
        while True:
            try:
                sock = self.process.connect()
            except (ConnectionRefusedError, ConnectionResetError):
                return
            self._buffer, self._said_close = b"", False
            with sock:
                try:
                    while not self._said_close and getattr(self, visit)(sock):
                        pass
                except ConnectionError:
                    self._check_nothing_begun()

    def keep_alive(self, sock: socket.socket) -> bool:
        sock.sendall(GET)
        return self._reply(sock, b"0")

    def pipeline(self, sock: socket.socket) -> bool:
        """Each of the replies may be the last one, if it says so."""
        sock.sendall(GET * PIPELINED)
        return all(self._reply(sock, b"0") for _ in range(PIPELINED))

    def upload(self, sock: socket.socket) -> bool:
        """Its head is there long before its end."""
        sock.sendall(post(5_000))
        for _ in range(5):
            sock.sendall(b"x" * 1_000)
            gevent.sleep(0.001)  # a pause in the load: nothing is awaited
        return self._reply(sock, b"5000")

    def _reply(self, sock: socket.socket, body: bytes) -> bool:
        """Read a reply; whether there was one. Raises `LostError`."""
        if self._said_close:
            return False
        while b"\r\n\r\n" not in self._buffer:
            if not self._more(sock):
                self._check_nothing_begun()
                return False
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise LostError(head)
        length = _LENGTH.search(head)
        got = self._exactly(sock, int(length[1])) if length else self._chunks(sock)
        if got != body:
            raise LostError((head, got))
        self.complete += 1
        self._said_close = b"\r\nConnection: close" in head
        return True

    def _chunks(self, sock: socket.socket) -> bytes:
        body = b""
        while True:
            while b"\r\n" not in self._buffer:
                self._must_have_more(sock)
            size, _, self._buffer = self._buffer.partition(b"\r\n")
            piece = self._exactly(sock, int(size, 16) + 2)
            if piece == b"\r\n":
                return body
            body += piece[:-2]

    def _exactly(self, sock: socket.socket, size: int) -> bytes:
        while len(self._buffer) < size:
            self._must_have_more(sock)
        piece, self._buffer = self._buffer[:size], self._buffer[size:]
        return piece

    def _must_have_more(self, sock: socket.socket) -> None:
        try:
            more = self._more(sock)
        except ConnectionError as error:
            raise LostError(f"reset in the middle of a reply: {error}") from error
        if not more:
            raise LostError(f"ended in the middle of a reply: {self._buffer!r}")

    def _more(self, sock: socket.socket) -> bool:
        data = sock.recv(65_536)
        self._buffer += data
        return bool(data)

    def _check_nothing_begun(self) -> None:
        if self._buffer:
            raise LostError(f"ended in the middle of a head: {self._buffer!r}")


@pytest.mark.parametrize("number", range(ROUNDS))
def test_no_request_that_was_read_is_lost(
    run: "Run", wait_until: "WaitUntil", tmp_path: Path, number: int
) -> None:
    """B45."""
    (tmp_path / "app.py").write_text(APP)
    process = run("app", "--access-log", "off")
    clients = {visit: [Client(process) for _ in range(30)] for visit in VISITS}
    pool = Pool()
    running = [pool.spawn(client.run, visit) for visit in VISITS for client in clients[visit]]

    def complete(visit: str) -> int:
        return sum(client.complete for client in clients[visit])

    wait_until(lambda: min(map(complete, VISITS)) > 50 + 50 * number, "replies are complete")
    process.tell(signal.SIGTERM)
    assert pool.join(timeout=TIMEOUT)
    for greenlet in running:
        greenlet.get()  # raises what it found
    assert process.exit_code() == 0
    assert sum(map(complete, VISITS)) == int((tmp_path / "calls").read_text())
    assert "Traceback" not in process.errors()
