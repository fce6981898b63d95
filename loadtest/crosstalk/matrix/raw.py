"""Requests byte by byte, for what no HTTP client does: several written at once, and replies left unread.

Waits on the standard library's sockets, which are gevent's in a patched process. Must not
import Locust, or know what is in a reply.
"""

import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Any, Self

from httptools import HttpParserError, HttpResponseParser

TIMEOUT = 60.0
"""Seconds that connecting, or a piece of a reply, may take."""

PIECE = 65_536
"""Bytes that are read at most at a time."""


class BrokenOff(Exception):  # noqa: N818 - what the connection did
    """A connection ended, or what came is no HTTP, before all replies were there."""


class RefusedError(Exception):
    """A reply that was to be a stream has another status than 200.

    Attributes:
        status: which.

    """

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class RawReply:
    """A complete reply."""

    status: int
    body: bytes


class _Replies:
    """Collects replies, in order, from what comes on one connection: callbacks of httptools."""

    def __init__(self) -> None:
        self.complete: list[RawReply] = []
        self.body = b""
        self._parser: Any = HttpResponseParser(self)

    @property
    def status(self) -> int:
        """The status of the reply that comes now; 0 before its first line is there."""
        status: int = self._parser.get_status_code()
        return status

    def feed(self, data: bytes) -> None:
        """Take what came.

        Raises:
            BrokenOff: it is no HTTP.

        """
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            raise BrokenOff(f"what came is no HTTP: {error}") from None

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the current reply's body."""
        self.body += piece

    def on_message_complete(self) -> None:
        """Finish the current reply."""
        self.complete.append(RawReply(self.status, self.body))
        self.body = b""


class Connection:
    """One connection, on which several requests are written at once.

    Args:
        host: of the server.
        port: of the server.
        timeout: seconds that connecting, or a piece of a reply, may take.

    Attributes:
        number: tells it from every other raw connection of this process. They are below
            zero, so that they differ from those of Locust's client.

    Raises:
        OSError: nobody answers there.

    """

    _numbers = count(-1, -1)

    def __init__(self, host: str, port: int, timeout: float = TIMEOUT) -> None:
        self.number = next(self._numbers)
        self._socket = socket.create_connection((host, port), timeout)
        self._replies = _Replies()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def exchange(self, requests: Sequence[bytes]) -> list[RawReply]:
        """Write all requests at once, and return as many replies, in the order in which they came.

        A reply too many stays for the next exchange, as it does with a proxy that counts
        requests and replies.

        Raises:
            OSError: the connection broke, or nothing came in time.
            BrokenOff: it ended before there were enough.

        """
        self._socket.sendall(b"".join(requests))
        replies = self._replies.complete
        while len(replies) < len(requests):
            data = self._socket.recv(PIECE)
            if not data:
                raise BrokenOff(f"{len(replies)} of {len(requests)} replies came")
            self._replies.feed(data)
        came = replies[: len(requests)]
        del replies[: len(requests)]
        return came

    def close(self) -> None:
        """Close it, whatever may still come."""
        self._socket.close()


def pipelined(host: str, port: int, requests: Sequence[bytes], *, timeout: float = TIMEOUT) -> list[RawReply]:
    """Write ``requests`` at once on a connection of their own, and return the replies in order.

    Raises:
        OSError: nobody answers, the connection broke, or nothing came in time.
        BrokenOff: it ended before there were enough.

    """
    with Connection(host, port, timeout) as connection:
        return connection.exchange(requests)


def abandon(
    host: str, port: int, path: str, *, headers: Mapping[str, str] | None = None, timeout: float = TIMEOUT
) -> bytes:
    """Ask for ``path``, read the first piece of the reply's body, and go away.

    The connection is reset, as a browser's is when its window is closed: the server's next
    write fails, whether or not what it had written was read.

    Args:
        host: of the server.
        port: of the server.
        path: with its query.
        headers: more header fields.
        timeout: seconds that connecting, or a piece, may take.

    Returns:
        What of the body had come.

    Raises:
        OSError: nobody answers, the connection broke, or nothing came in time.
        RefusedError: the reply has another status than 200.
        BrokenOff: the reply ended before there was any body.

    """
    replies = _Replies()
    with socket.create_connection((host, port), timeout) as connection:
        connection.sendall(_request("GET", host, path, dict(headers or {})))
        while not (replies.body or replies.complete):
            data = connection.recv(PIECE)
            if not data:
                raise BrokenOff("the connection ended before the first piece")
            replies.feed(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if replies.status != 200:
        raise RefusedError(replies.status)
    return replies.body or replies.complete[0].body


def get(host: str, path: str, nonce: str) -> bytes:
    """Return a GET of ``path``, with the nonce in a cookie as well."""
    return _request("GET", host, path, {"Cookie": f"nonce={nonce}"})


def post(host: str, path: str, nonce: str) -> bytes:
    """Return a POST to ``path`` whose body is a request of its own: the same as :func:`get`.

    A server that leaves the body unread on a connection that it keeps will answer that too.
    """
    headers = {"Cookie": f"nonce={nonce}", "Content-Type": "application/octet-stream"}
    return _request("POST", host, path, headers, get(host, path, nonce))


def _request(method: str, host: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    fields = {"Host": host} | dict(headers)
    if body:
        fields["Content-Length"] = str(len(body))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
