"""The TLS context: what it agrees to with a real client, and what it says of files that cannot be used."""

import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import gevent
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from gevent import socket
from gevent import ssl as gssl

from greenlane.wsgi import WSGIServer
from greenlane.wsgi.tls import TLSFilesError, server_context

if TYPE_CHECKING:
    from tests.wsgi.conftest import Answer

    Serve = Callable[..., WSGIServer]

TIMEOUT = 5.0


class Files:
    """A folder with certificates: `certificate`, `key`, and those that do not fit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        leaf = self.authority.issue_cert("localhost", "127.0.0.1")
        self._key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
        self.chain = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
        self.certificate = self.write("certificate.pem", self.chain)
        self.key = self.write("key.pem", leaf.private_key_pem.bytes())

    def write(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def encrypted(self, form: PrivateFormat) -> Path:
        text = self._key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"open sesame"))
        return self.write("encrypted.pem", text)

    def both(self) -> Path:
        key = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self.write("both.pem", key + self.chain)

    def key_of_another(self, kind: trustme.KeyType) -> Path:
        other = self.authority.issue_cert("other", key_type=kind)
        return self.write("other.pem", other.private_key_pem.bytes())


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def client_context(files: Files) -> gssl.SSLContext:
    context = gssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    files.authority.configure_trust(context)
    return context


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[str | None, str | None]:
    """Let both meet over a socket pair; return the client's view of the version and the protocol."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with server.wrap_socket(ours, server_side=True) as served:
            served.sendall(served.recv(5)[::-1])

    for sock in (ours, theirs):
        sock.settimeout(TIMEOUT)
    served = gevent.spawn(serve)
    try:
        with client.wrap_socket(theirs, server_hostname="localhost") as secured:
            secured.sendall(b"hello")
            assert secured.recv(5) == b"olleh"
            return secured.version(), secured.selected_alpn_protocol()
    finally:
        served.join(TIMEOUT)
        ours.close()


def test_a_client_that_knows_the_authority_is_served(files: Files, client_context: gssl.SSLContext) -> None:
    """The client would refuse another name or authority; HTTP/2 is not what we speak."""
    client_context.set_alpn_protocols(["h2", "http/1.1"])
    version, protocol = shake_hands(server_context(files.certificate, files.key), client_context)
    assert (version, protocol) == ("TLSv1.3", "http/1.1")


def test_tls_1_2_is_served_and_older_ones_are_not(files: Files, client_context: gssl.SSLContext) -> None:
    """RFC 9325, 3.1.1."""
    context = server_context(files.certificate, files.key)
    client_context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert shake_hands(context, client_context)[0] == "TLSv1.2"
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_the_key_may_be_encrypted(files: Files, client_context: gssl.SSLContext, form: PrivateFormat) -> None:
    context = server_context(files.certificate, files.encrypted(form), password="open sesame")
    assert shake_hands(context, client_context)[0] == "TLSv1.3"


def test_the_key_may_be_in_the_certificates_file(files: Files, client_context: gssl.SSLContext) -> None:
    context = server_context(str(files.both()))
    assert shake_hands(context, client_context)[0] == "TLSv1.3"


Fault = Callable[[Files], object]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda f: server_context(f.folder / "nothing", f.key), "nothing: there is no such file"),
        (lambda f: server_context(f.certificate, f.folder / "nothing"), "nothing: there is no such file"),
        (lambda f: server_context(f.folder, f.key), "Is a directory"),
        (lambda f: server_context(f.key, f.key), "there is no certificate in .*key.pem"),
        (lambda f: server_context(f.certificate), "there is no private key in .*certificate.pem"),
        (
            lambda f: server_context(f.certificate, f.key_of_another(trustme.KeyType.ECDSA)),
            "the key in .*other.pem does not belong to the certificate in .*certificate.pem",
        ),
        (
            lambda f: server_context(f.certificate, f.key_of_another(trustme.KeyType.RSA)),
            "the key in .*other.pem does not belong to the certificate in .*certificate.pem",
        ),
        (
            lambda f: server_context(
                f.certificate,
                f.write("x", b"-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n"),
            ),
            "what is in .*certificate.pem, or in .*x, is not valid PEM",
        ),
        (
            lambda f: server_context(f.certificate, f.encrypted(PrivateFormat.PKCS8)),
            "the key in .*encrypted.pem is encrypted, and no password was given",
        ),
        (
            lambda f: server_context(f.certificate, f.encrypted(PrivateFormat.PKCS8), password="wrong"),
            "the key in .*encrypted.pem cannot be read: its password may be wrong",
        ),
        (
            lambda f: server_context(
                f.certificate, f.encrypted(PrivateFormat.TraditionalOpenSSL), password=""
            ),
            "the key in .*encrypted.pem cannot be read: its password may be wrong",
        ),
        (
            lambda f: server_context(f.certificate, f.encrypted(PrivateFormat.PKCS8), password="x" * 1025),
            "cannot use the key in .*encrypted.pem: password cannot be longer than 1024 bytes",
        ),
    ],
)
def test_what_cannot_be_used_is_named(files: Files, fault: Fault, message: str) -> None:
    with pytest.raises(TLSFilesError, match=message):
        fault(files)


def test_a_file_that_may_not_be_read_is_named(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in for the system's answer: root may read everything."""

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(TLSFilesError, match=r"cannot read .*certificate\.pem: Permission denied"):
        server_context(files.certificate, files.key)


# Over real connections.


class Remembering(gssl.SSLContext):
    """A server's context that remembers the sockets that it made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.made: list[gssl.SSLSocket] = []

    def wrap_socket(self, *args: Any, **kwargs: Any) -> gssl.SSLSocket:
        self.made.append(super().wrap_socket(*args, **kwargs))
        return self.made[-1]


@pytest.fixture
def context(files: Files) -> Remembering:
    context = Remembering(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    return context


def connected(server: WSGIServer, context: gssl.SSLContext, buffer: int | None = None) -> gssl.SSLSocket:
    """A client, which holds as little as `buffer` bytes in the kernel."""
    sock = socket.socket()
    if buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.settimeout(TIMEOUT)
    sock.connect(("127.0.0.1", server.server_port))
    return context.wrap_socket(sock, server_hostname="localhost")


class SmallServer(WSGIServer):
    """A server whose kernel holds little for each client."""

    def handle(self, sock: Any, address: Any) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 50_000)
        super().handle(sock, address)


def test_a_large_piece_is_sent_to_who_takes_it_steadily(
    serve: "Serve", answer: "Answer", context: Remembering, client_context: gssl.SSLContext
) -> None:
    """What it takes earns it time, also while a piece is not out yet.

    OpenSSL takes all of a piece or nothing, so that a client which took one for longer than `write_timeout`
    looked like one that takes nothing, and was cut off.
    """
    size = 2_000_000
    server = serve(
        answer([b"a" * size]), kind=partial(SmallServer, tls=context), write_timeout=0.3, min_rate=200_000
    )
    with connected(server, client_context, buffer=50_000) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        received = 0
        while part := client.recv(16_384):  # its pace is what is tried here
            received += len(part)
            gevent.sleep(0.005)
    assert received > size


def test_a_connection_that_is_cut_off_while_it_lingers_is_closed(
    serve: "Serve", answer: "Answer", context: Remembering, client_context: gssl.SSLContext
) -> None:
    """Its socket was left to the collector, which warns of it, and its client to wait."""
    server = serve(answer([b"Hello"]), kind=partial(WSGIServer, tls=context), linger=5)
    with connected(server, client_context) as client:
        client.sendall(b"nonsense\r\n\r\n")
        received = b"".join(iter(partial(client.recv, 65_536), b""))
        assert received.startswith(b"HTTP/1.1 400 ")
        assert server.connections == 1, "it said goodbye, and waits for the client's"
        assert server.drain(timeout=0.02) == 0
        assert [sock.fileno() for sock in context.made] == [-1]


def test_a_body_that_nobody_reads_does_not_hold_the_drain(
    serve: "Serve",
    answer: "Answer",
    context: Remembering,
    client_context: gssl.SSLContext,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """As without TLS. Ending the reading must not take the TLS away, which has yet to say goodbye.

    gevent's `SSLSocket.shutdown` drops it, and the hub printed a traceback.
    """
    server = serve(answer([b"Hello"]), kind=partial(WSGIServer, tls=context), head_timeout=2, linger=0.05)
    with connected(server, client_context) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc")
        received = b""
        while not received.endswith(b"Hello"):
            received += client.recv(65_536)
        assert server.busy == 0
        begun = monotonic()
        drained = gevent.spawn(server.drain, 10)
        assert client.recv(1) == b""
        assert drained.get(timeout=TIMEOUT) == 0
        assert monotonic() - begun < 1
    assert "Traceback" not in capfd.readouterr().err
    assert [sock.fileno() for sock in context.made] == [-1]
