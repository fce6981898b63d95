"""A real server on a free port, and a client that sees every byte."""

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from gevent import socket
from gevent.event import Event

from greenlane.wsgi import Settings, WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    Answer = Callable[..., WSGIApplication]

TIMEOUT = 5.0


@dataclass(frozen=True)
class Reply:
    """One response, as it was read."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """One connection. Every wait ends after `TIMEOUT` seconds."""

    def __init__(self, server: WSGIServer) -> None:
        self.sock = socket.create_connection(("127.0.0.1", server.server_port), timeout=TIMEOUT)
        self._stream = self.sock.makefile("rb")

    def send(self, data: str | bytes) -> "Client":
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        return self

    def get(self, path: str = "/", *headers: str) -> Reply:
        lines = (f"GET {path} HTTP/1.1", "Host: test", *headers, "", "")
        return self.send("\r\n".join(lines)).reply()

    def reply(self, *, head_only: bool = False) -> Reply:
        """Read one response, and not a byte more."""
        status = int(self._line().split()[1])
        headers = {}
        while line := self._line():
            name, value = line.split(": ", 1)
            assert name.lower() not in headers
            headers[name.lower()] = value
        return Reply(status, headers, b"" if head_only else self._body(status, headers))

    def ended(self) -> bool:
        """Wait for more; whether the server closed without sending any (a reset raises)."""
        return self._stream.read(1) == b""

    def rest(self) -> bytes:
        return self._stream.read()

    def close(self) -> None:
        self._stream.close()
        self.sock.close()

    def _line(self) -> str:
        line = self._stream.readline()
        assert line.endswith(b"\r\n"), f"the connection ended: {line!r}"
        return line[:-2].decode("latin-1")

    def _body(self, status: int, headers: dict[str, str]) -> bytes:
        if status in (204, 304):
            return b""
        if headers.get("transfer-encoding") == "chunked":
            body = io.BytesIO()
            while size := int(self._line(), 16):
                body.write(self._stream.read(size))
                assert self._line() == ""
            assert self._line() == ""
            return body.getvalue()
        if "content-length" in headers:
            return self._stream.read(int(headers["content-length"]))
        return self._stream.read()


class Closing:
    """A response iterable that says when it was closed."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.closed = Event()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def errors() -> io.StringIO:
    """What applications and the server write to `wsgi.errors`."""
    return io.StringIO()


@pytest.fixture
def serve(errors: io.StringIO) -> Iterator[Callable[..., WSGIServer]]:
    """Start servers: `serve(app, log=..., keep_alive=...)`, where all but `log` and `kind` are settings."""
    servers: list[WSGIServer] = []

    def start(
        app: "WSGIApplication", *, log: Any = None, kind: Any = WSGIServer, **settings: Any
    ) -> WSGIServer:
        settings.setdefault("access_log", "off" if log is None else "common")
        server: WSGIServer = kind(
            ("127.0.0.1", 0), app, settings=Settings(**settings), log=log, error_log=errors
        )
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop(timeout=0)


@pytest.fixture
def connect() -> Iterator[Callable[[WSGIServer], Client]]:
    """Open connections: `connect(server)`."""
    clients: list[Client] = []

    def open_one(server: WSGIServer) -> Client:
        clients.append(Client(server))
        return clients[-1]

    yield open_one
    for client in clients:
        client.close()


@pytest.fixture
def answer() -> "Answer":
    """Make applications that always answer the same: `answer(result, *headers, status=...)`."""

    def make(result: Iterable[bytes], *headers: tuple[str, str], status: str = "200 OK") -> "WSGIApplication":
        def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
            start_response(status, list(headers))
            return result

        return app

    return make


@pytest.fixture
def closing() -> type[Closing]:
    """Response iterables that say when they were closed: `closing(chunks)`."""
    return Closing
