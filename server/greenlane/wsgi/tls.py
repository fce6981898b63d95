"""A server's TLS context, made of files, with errors that name the file and the fault.

Rule: what is offered is what this server speaks: TLS 1.2 and up, and HTTP/1.1
alone. The context is gevent's, so that a handshake waits on its own greenlet
and not in the loop's way. Imports nothing of ours.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from gevent import ssl

_FAULTS = {
    "KEY_VALUES_MISMATCH": "the key in {key} does not belong to the certificate in {certificate}",
    # The two are of different kinds, such as an RSA key and an elliptic certificate.
    "KEY_TYPE_MISMATCH": "the key in {key} does not belong to the certificate in {certificate}",
    "NO_CERTIFICATE_ASSIGNED": "the key in {key} does not belong to the certificate in {certificate}",
    "EE_KEY_TOO_SMALL": "the key of the certificate in {certificate} is too small to be safe",
    "CA_MD_TOO_WEAK": "a certificate in {certificate} is signed by a method that is not safe any more",
    "CA_KEY_TOO_SMALL": "the key of an issuer in {certificate} is too small to be safe",
}
"""What OpenSSL says in one word, in words that name the file."""


class TLSFilesError(ValueError):
    """The certificate or the key cannot be used; the message says which file, and why."""


class _NeedsPasswordError(Exception):
    """Internal: OpenSSL asks for a password, and there is none."""


def server_context(
    certfile: str | os.PathLike[str],
    keyfile: str | os.PathLike[str] | None = None,
    *,
    password: str | None = None,
) -> ssl.SSLContext:
    """Make the context of a server that speaks HTTP/1.1 over TLS 1.2 or newer.

    The versions are those that RFC 9325 (section 3.1.1) allows; renegotiation, which TLS 1.3
    has no more, is off (section 3.5): it costs the server more than the client. By ALPN
    (RFC 7301) it agrees to `http/1.1` alone.

    Args:
        certfile: the server's certificate, and those of its issuers behind it, in PEM.
        keyfile: its private key in PEM; without it, the key is in `certfile` too.
        password: what the key is encrypted with. Nobody is ever asked for it on the terminal.

    Raises:
        TLSFilesError: a file is missing, cannot be read or holds something else, the key
            belongs to another certificate, or the password is missing or wrong.

    """
    certificate, key = Path(certfile), Path(keyfile or certfile)
    # Not create_default_context(): gevent's makes one of the standard library's, which would block the loop
    # where that is not patched. For a server it adds nothing.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    # OpenSSL does not say which of the two files it could not read.
    certificate_text, key_text = _read(certificate), _read(key)
    if b"-----BEGIN CERTIFICATE-----" not in certificate_text:
        raise TLSFilesError(f"there is no certificate in {certificate} (in PEM: BEGIN CERTIFICATE)")
    if b" PRIVATE KEY-----" not in key_text:
        raise TLSFilesError(f"there is no private key in {key} (in PEM: BEGIN PRIVATE KEY)")
    try:
        context.load_cert_chain(certificate, key, password=_password(password))
    except _NeedsPasswordError:
        raise TLSFilesError(f"the key in {key} is encrypted, and no password was given") from None
    except ssl.SSLError as error:
        raise TLSFilesError(_explain(error, certificate, key, password)) from None
    except ValueError as error:  # a password of more than 1,024 bytes
        raise TLSFilesError(f"cannot use the key in {key}: {error}") from None
    return context


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = "there is no such file" if error.errno == errno.ENOENT else error.strerror
        raise TLSFilesError(f"cannot read {path}: {reason}") from None


def _password(password: str | None) -> Callable[[], str]:
    """What OpenSSL calls for an encrypted key; given no password at all, it would ask on the terminal."""

    def answer() -> str:
        if password is None:
            raise _NeedsPasswordError
        return password

    return answer


def _explain(error: ssl.SSLError, certificate: Path, key: Path, password: str | None) -> str:
    known = _FAULTS.get(error.reason or "")
    if known:
        return known.format(certificate=certificate, key=key)
    if password is not None and _is_encrypted(key):
        # OpenSSL reports a wrong password by what it then made of the bytes: in several ways, or in none.
        return f"the key in {key} cannot be read: its password may be wrong"
    if not error.reason:  # "PEM lib": OpenSSL could not read the one or the other
        return f"what is in {certificate}, or in {key}, is not valid PEM"
    return f"cannot use the certificate in {certificate} with the key in {key}: {error}"


def _is_encrypted(key: Path) -> bool:
    text = _read(key)
    return b"BEGIN ENCRYPTED PRIVATE KEY" in text or b"Proc-Type: 4,ENCRYPTED" in text
