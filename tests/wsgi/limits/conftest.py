"""What the tests of the limits share: an application that reads, clients that trickle, TLS byte by byte."""

import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import gevent
import pytest
import trustme
from gevent import socket

from greenlane.wsgi import WSGIServer
from greenlane.wsgi.tls import server_context

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    Secure = Callable[[WSGIServer], "TLS"]

AwaitIdle = Callable[..., float]
Dripping = Callable[..., AbstractContextManager[None]]


class Reader:
    """Reads the body as it comes, says what it has, and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.received = 0

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        self.calls += 1
        while part := environ["wsgi.input"].read(1):
            self.received += len(part)
        start_response("200 OK", [])
        return [b"read"]


@pytest.fixture
def reader() -> Reader:
    return Reader()


def await_idle(server: WSGIServer, within: float = 5.0) -> float:
    """Wait until no connection is left; how long that took."""
    begun = monotonic()
    with gevent.Timeout(within):
        while server.connections:
            gevent.sleep(0.001)
    return monotonic() - begun


@pytest.fixture(name="await_idle")
def _await_idle() -> AwaitIdle:
    """Wait until no connection is left, and return how long that took, in seconds: `await_idle(server)`."""
    return await_idle


@contextmanager
def dripping(sock: socket.socket, data: bytes, every: float) -> Iterator[None]:
    """Send one byte after another meanwhile, until the other side has had enough."""

    def drip() -> None:
        try:
            for byte in data:
                sock.sendall(bytes([byte]))
                gevent.sleep(every)
        except OSError:
            pass

    greenlet = gevent.spawn(drip)
    try:
        yield
    finally:
        greenlet.kill()


@pytest.fixture(name="dripping")
def _dripping() -> Dripping:
    """Send one byte after another meanwhile: `with dripping(sock, data, every=seconds)`."""
    return dripping


class TLS:
    """A client that holds its TLS in its hands: what is sent when is the test's to say."""

    def __init__(self, server: WSGIServer, authority: trustme.CA) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(context)
        self.sock = socket.create_connection(("127.0.0.1", server.server_port), timeout=5)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    def hello(self) -> bytes:
        """The first bytes of a handshake."""
        with pytest.raises(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._outgoing.read()

    def shake_hands(self) -> "TLS":
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self.sock.sendall(self._outgoing.read())
                self._incoming.write(self.sock.recv(65_536))
            else:
                self.sock.sendall(self._outgoing.read())
                return self

    def record(self, data: str) -> bytes:
        """The bytes of a record with `data`."""
        self._tls.write(data.encode())
        return self._outgoing.read()

    def read(self) -> bytes:
        """All that comes until the server closes."""
        received = b""
        while True:
            try:
                part = self._tls.read(65_536)
            except ssl.SSLWantReadError:
                data = self.sock.recv(65_536)
                if not data:
                    return received
                self._incoming.write(data)
            else:
                if not part:  # goodbye
                    return received
                received += part


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator["Secure"]:
    """Open connections, on which nothing was said yet: `secure(server)`."""
    clients: list[TLS] = []

    def open_one(server: WSGIServer) -> TLS:
        clients.append(TLS(server, authority))
        return clients[-1]

    yield open_one
    for client in clients:
        client.sock.close()


@pytest.fixture
def secured(authority: trustme.CA, tmp_path: Path) -> Any:
    """A kind of server that speaks TLS."""
    certificate = tmp_path / "certificate.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    return partial(WSGIServer, tls=server_context(certificate))
