"""The clients of the soak: good, bad, slow and dying ones, each a function that makes one visit.

Rule: a good visit checks every byte it can (its own nonce, a checksum) and raises `Wrong`; a bad one must get
an answer or an end, within `PATIENCE`. Knows sockets alone, of gevent; the caller counts.
"""

import random
import socket as native
import ssl
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count

import gevent
from gevent import socket
from gevent import ssl as gssl

PATIENCE = 30.0
"""Seconds that any one wait may take: longer than each of the server's limits, which must end it before."""

PIPELINED = 10

ENDS = (ConnectionError, ssl.SSLError)
"""How a connection may end for who deserves it; a `TimeoutError` is none of them."""

_nonces = count(1)
_run = random.SystemRandom().randrange(1 << 32)


class Wrong(Exception):  # noqa: N818 - says what it is
    """A reply that is not what was asked for, or none where one was due."""


def nonce() -> str:
    """Return a name that no other request has."""
    return f"{_run:08x}-{next(_nonces)}"


class Target:
    """A server's port, by TLS or without.

    Args:
        port: of 127.0.0.1.
        context: of a TLS client; None for plain HTTP.

    """

    def __init__(self, port: int, context: gssl.SSLContext | None = None) -> None:
        self.port = port
        self._context = context
        self.file_checksum = 0

    @contextmanager
    def line(self) -> Iterator["Line"]:
        """Open a connection, and close it in the end."""
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        try:
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_hostname="localhost")
            yield Line(sock)
        finally:
            sock.close()


class Line:
    """One connection, and what was read of it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = b""

    def send(self, data: bytes) -> None:
        """Send all of `data`."""
        self.sock.sendall(data)

    def reply(self) -> tuple[int, bytes]:
        """Read one response: its status and its body. Raises `Wrong`."""
        head = self._until(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        if fields.get(b"transfer-encoding") == b"chunked":
            body = b""
            while size := int(self._until(b"\r\n"), 16):
                body += self._exactly(size + 2)[:-2]
            self._exactly(2)
            return status, body
        return status, self._exactly(int(fields.get(b"content-length", 0)))

    def ended(self) -> None:
        """Read to the end of the connection, which must come. Raises `TimeoutError`."""
        with suppress(*ENDS):
            while self.sock.recv(65_536):
                pass

    def reset(self) -> None:
        """Close so that the server gets a reset and not an end."""
        self.sock.setsockopt(native.SOL_SOCKET, native.SO_LINGER, struct.pack("ii", 1, 0))

    def _more(self) -> None:
        data = self.sock.recv(65_536)
        if not data:
            raise Wrong(f"the connection ended in the middle of a reply, behind {self._buffer[-40:]!r}")
        self._buffer += data

    def _until(self, end: bytes) -> bytes:
        while end not in self._buffer:
            self._more()
        found, _, self._buffer = self._buffer.partition(end)
        return found + end

    def _exactly(self, size: int) -> bytes:
        parts, self._buffer = [self._buffer], b""
        missing = size - len(parts[0])
        while missing > 0:
            self._more()
            parts.append(self._buffer)
            missing -= len(self._buffer)
            self._buffer = b""
        whole = b"".join(parts)
        self._buffer = whole[size:]
        return whole[:size]


def get(path: str, *fields: str) -> bytes:
    """The bytes of a request without a body."""
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: localhost", *fields, "", "")).encode()


def post(path: str, field: str) -> bytes:
    """The bytes of the head of a request with one."""
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{field}\r\n\r\n".encode()


def expect(line: Line, body: bytes) -> None:
    """Read a reply, which must be 200 and `body`. Raises `Wrong`."""
    status, got = line.reply()
    if (status, got) != (200, body):
        raise Wrong(f"{status} {got[:80]!r}, and not {body[:80]!r}")


# Good visits: they return how many requests they made.


def keep_alive(target: Target) -> int:
    """Some requests, one after the other."""
    requests = random.randint(1, 30)  # noqa: S311 - no secret
    with target.line() as line:
        for _ in range(requests):
            mine = nonce()
            line.send(get(f"/echo?nonce={mine}"))
            expect(line, mine.encode())
    return requests


def one_and_close(target: Target) -> int:
    """One request, and the end."""
    mine = nonce()
    with target.line() as line:
        line.send(get(f"/echo?nonce={mine}&seconds=0.01", "Connection: close"))
        expect(line, mine.encode())
        line.ended()
    return 1


def pipelined(target: Target) -> int:
    """Requests that leave together; the replies must come in their order."""
    nonces = [nonce() for _ in range(PIPELINED)]
    with target.line() as line:
        line.send(b"".join(get(f"/echo?nonce={mine}") for mine in nonces))
        for mine in nonces:
            expect(line, mine.encode())
    return PIPELINED


def _body() -> bytes:
    return random.randbytes(random.choice((1, 100, 10_000, 300_000)))  # noqa: S311 - no secret


def upload(target: Target) -> int:
    """Bodies whose size is said, on one connection."""
    with target.line() as line:
        for _ in range(3):
            mine, body = nonce(), _body()
            line.send(post(f"/upload?nonce={mine}", f"Content-Length: {len(body)}") + body)
            expect(line, f"{mine} {zlib.crc32(body)}".encode())
    return 3


def chunked(target: Target) -> int:
    """Bodies in chunks of all sizes, on one connection."""
    with target.line() as line:
        for _ in range(3):
            mine, body = nonce(), _body()
            line.send(post(f"/upload?nonce={mine}", "Transfer-Encoding: chunked"))
            left = body
            while left:
                size = random.randint(1, 2 * len(body) // 3 + 1)  # noqa: S311 - no secret
                chunk, left = left[:size], left[size:]
                line.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            line.send(b"0\r\n\r\n")
            expect(line, f"{mine} {zlib.crc32(body)}".encode())
    return 3


def file(target: Target) -> int:
    """A file, by its checksum."""
    with target.line() as line:
        line.send(get("/file"))
        status, body = line.reply()
        if status != 200 or zlib.crc32(body) != target.file_checksum:
            raise Wrong(f"{status}, and a file of {len(body)} bytes that is another")
    return 1


def stream(target: Target) -> int:
    """A response in pieces."""
    mine = nonce()
    with target.line() as line:
        line.send(get(f"/stream?nonce={mine}&pieces=50&times=10"))
        expect(line, mine.encode() * 500)
    return 1


# Bad, dying and slow visits: whatever comes, it must end.


def mutated(target: Target) -> int:
    """A request in which some bytes are others, twice there, or gone."""
    body = b"5\r\nHello\r\n0\r\n\r\n"
    choices = (get("/echo?nonce=x"), post("/upload?nonce=x", "Transfer-Encoding: chunked") + body)
    data = bytearray(random.choice(choices))  # noqa: S311 - no secret
    for _ in range(random.randint(1, 4)):  # noqa: S311 - no secret
        at = random.randrange(len(data))  # noqa: S311 - no secret
        insertion = random.choice((b"", b"\0", b"\r", b"\n", b":", b" ", b"\xff", bytes(data[at : at + 9])))  # noqa: S311
        data[at : at + random.randint(0, 2)] = insertion  # noqa: S311 - no secret
    with target.line() as line, suppress(*ENDS):
        line.send(bytes(data))
        line.sock.shutdown(native.SHUT_WR)
        line.ended()
    return 1


def aborted(target: Target) -> int:
    """A reset in the middle of a head, of a body, or of a response."""
    begun = random.choice(  # noqa: S311 - no secret
        (
            get("/echo?nonce=x")[:20],
            post("/upload?nonce=x", "Content-Length: 1000000") + b"x" * 1000,
            post("/upload?nonce=x", "Transfer-Encoding: chunked") + b"ff\r\nx",
            get("/stream?nonce=xxxxxxxxxx&pieces=10000&times=5000"),
            get("/file"),
            get("/echo?nonce=x&seconds=0.2"),
        )
    )
    with target.line() as line, suppress(*ENDS):
        line.send(begun)
        gevent.sleep(random.random() / 20)  # noqa: S311 - no secret
        line.reset()
    return 1


def _drip(target: Target, first: bytes, rest: bytes) -> int:
    with target.line() as line, suppress(*ENDS):
        line.send(first)
        begun = gevent.get_hub().loop.now()
        for byte in rest:
            if gevent.get_hub().loop.now() - begun > PATIENCE:
                raise Wrong(f"dripped for {PATIENCE:g} s, and was not cut off")
            line.send(bytes([byte]))
            gevent.sleep(0.5)
    return 1


def slow_head(target: Target) -> int:
    """A head that comes byte by byte."""
    return _drip(target, b"GET / HTTP/1.1\r\n", b"X: " + b"y" * 1_000)


def slow_body(target: Target) -> int:
    """A body that comes byte by byte."""
    return _drip(target, post("/upload?nonce=x", "Content-Length: 1000"), b"x" * 1_000)


def slow_reader(target: Target) -> int:
    """A long response that is not read."""
    with target.line() as line, suppress(*ENDS):
        line.send(get("/stream?nonce=xxxxxxxxxx&pieces=10000&times=5000"))
        gevent.sleep(10)
        line.ended()
    return 1


def silent(target: Target) -> int:
    """A connection on which nobody says anything."""
    with target.line() as line:
        line.ended()
    return 1


GOOD: dict[str, tuple[Callable[[Target], int], int]] = {
    "keep-alive": (keep_alive, 8),
    "close": (one_and_close, 3),
    "pipelined": (pipelined, 3),
    "upload": (upload, 2),
    "chunked": (chunked, 2),
    "file": (file, 1),
    "stream": (stream, 2),
}
"""The kinds of good clients, and how many of each there are at once."""

BAD: dict[str, tuple[Callable[[Target], int], int]] = {
    "mutated": (mutated, 4),
    "aborted": (aborted, 4),
    "slow head": (slow_head, 20),
    "slow body": (slow_body, 20),
    "slow reader": (slow_reader, 5),
    "silent": (silent, 50),
}
"""The same of the others."""

ALL = GOOD | BAD

BROKEN = (OSError, ssl.SSLError, ValueError, Wrong)
"""What a visit raises when it did not get what is due."""
