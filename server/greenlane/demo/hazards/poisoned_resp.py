"""RESP, Redis's protocol, as far as one command needs it: a connection, and a server of one's own.

The connection talks to a real Redis or to the server here, which is what there is on a
machine without one. Both wait on gevent alone.

Must not know pools: who gets a connection next is the hazard's business.
"""

import weakref
from ipaddress import ip_address
from itertools import count
from typing import Final
from urllib.parse import unquote, urlsplit

from gevent import socket
from gevent.server import StreamServer

DEFAULT_PORT: Final = 6379

TIMEOUT: Final = 10.0
"""Seconds that connecting, or a reply, may take."""

MAX_BULK: Final = 1024
"""Largest string that the server here takes, in bytes: two nonces need no more."""


class ProtocolError(OSError):
    """The peer broke the connection off, or what it sent is no RESP, or it refused the command."""


class Connection:
    """One connection, on which each call is a command and its reply, in turn.

    Args:
        url: ``redis://[user][:password@]host[:port]``; the number of a database behind it changes nothing.

    Attributes:
        number: tells it from every other connection of this process.

    Raises:
        ValueError: ``url`` is none of this kind; the message holds no password.
        OSError: nobody answers there, or not as Redis would.

    """

    _numbers = count(1)

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "redis" or not parts.hostname:
            raise ValueError("it is no address such as redis://host:6379")
        self.number = next(self._numbers)
        self._socket = _connect(parts.hostname, parts.port or DEFAULT_PORT)
        self._replies = self._socket.makefile("rb")
        if parts.password is not None:
            try:
                self.call("AUTH", *filter(None, (unquote(parts.username or ""), unquote(parts.password))))
            except BaseException:
                self.close()
                raise

    def call(self, *words: str) -> str:
        """Send a command and return its reply, a string.

        Whoever interrupts it leaves the reply on the connection, for the next call.

        Raises:
            OSError: the connection broke, or the reply is an error.

        """
        bulks = [word.encode() for word in words]
        head = b"*%d\r\n" % len(bulks)
        self._socket.sendall(head + b"".join(b"$%d\r\n%b\r\n" % (len(bulk), bulk) for bulk in bulks))
        line = _line(self._replies.readline(MAX_BULK))
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode(errors="replace")
        if kind != b"$" or not rest.isdigit():
            raise ProtocolError(f"{words[0]} was answered with {line.decode(errors='replace')}")
        bulk = self._replies.read(int(rest) + 2)
        return _line(bulk).decode(errors="replace")

    def close(self) -> None:
        """Close it; a reply that was not read goes with it."""
        self._replies.close()
        self._socket.close()


def _connect(host: str, port: int) -> socket.socket:
    """Connect; an address in numbers is not looked up, for which gevent would start native threads."""
    try:
        family = socket.AF_INET if ip_address(host).version == 4 else socket.AF_INET6
    except ValueError:
        return socket.create_connection((host, port), TIMEOUT)
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.settimeout(TIMEOUT)
    try:
        connection.connect((host, port))
    except BaseException:
        connection.close()
        raise
    return connection


class LineServer:
    """A server that knows ``ECHO``, on a free port of loopback.

    It listens as long as somebody holds this object.

    Attributes:
        url: where it is, as for :class:`Connection`.

    """

    def __init__(self) -> None:
        server = StreamServer(("127.0.0.1", 0), _serve)
        server.start()
        self.url = f"redis://127.0.0.1:{server.server_port}"
        # close() and not stop(), which would wait: its connections end with those who hold them.
        weakref.finalize(self, server.close)


def _serve(peer: socket.socket, _address: object) -> None:
    with peer, peer.makefile("rb") as commands:
        try:
            while line := commands.readline(MAX_BULK):
                peer.sendall(_answer([_bulk(commands) for _ in range(_number(line, b"*"))]))
        except ValueError as error:
            peer.sendall(b"-ERR Protocol error: %b\r\n" % str(error).encode())
        except OSError:
            pass  # the client went away; whatever it still expected, nobody reads


def _answer(words: list[bytes]) -> bytes:
    match [word.upper() if place == 0 else word for place, word in enumerate(words)]:
        case [b"ECHO", text]:
            return b"$%d\r\n%b\r\n" % (len(text), text)
        case [b"ECHO", *_]:
            return b"-ERR wrong number of arguments for 'echo' command\r\n"
    return b"-ERR unknown command\r\n"


def _bulk(commands: "socket._fileobject[bytes]") -> bytes:  # type: ignore[name-defined]
    size = _number(commands.readline(MAX_BULK), b"$")
    return _line(commands.read(size + 2))


def _number(line: bytes, kind: bytes) -> int:
    digits = _line(line).removeprefix(kind)
    if not line.startswith(kind) or not digits.isdigit() or int(digits) > MAX_BULK:
        raise ValueError(f"expected '{kind.decode()}' and a number up to {MAX_BULK}")
    return int(digits)


def _line(line: bytes) -> bytes:
    if not line.endswith(b"\r\n"):
        raise ProtocolError("the connection broke off")
    return line[:-2]
