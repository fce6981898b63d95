"""The TLS context: what it agrees to with a real client, and what it says of files that cannot be used."""

import ssl
from collections.abc import Callable
from pathlib import Path

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

from greenlane.wsgi.tls import TLSFilesError, server_context

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
