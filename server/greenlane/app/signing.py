"""Signing: itsdangerous's timed signatures, made once for each key and not once for each cookie.

A signer keeps nothing of what it signs, so all requests can share one; and the key
that is derived from the secret is the same each time. What is signed, and how, is
itsdangerous's alone: each side reads what the other wrote, and tests compare the two.
Imports nothing of ours but the serializer.
"""

import hashlib
import hmac
from functools import lru_cache
from typing import Any

from itsdangerous import Signer, TimestampSigner, URLSafeTimedSerializer
from itsdangerous.encoding import base64_encode, want_bytes
from itsdangerous.signer import SigningAlgorithm

from greenlane.app import taggedjson

_COMPRESS_FROM = 256
"""Bytes of JSON from which compressing is tried. Below, it saves a few dozen bytes at best, and setting the
compressor up costs as much as everything else that is done for the cookie."""


class _HmacSha256(SigningAlgorithm):
    """HMAC-SHA256 (RFC 2104) in one call of OpenSSL, where HMACAlgorithm builds an object."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return hmac.digest(key, value, "sha256")


class _Signer(TimestampSigner):
    """A signer that derives each key once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._derived: dict[str | bytes | None, bytes] = {}

    def derive_key(self, secret_key: str | bytes | None = None) -> bytes:
        derived = self._derived.get(secret_key)
        if derived is None:
            derived = self._derived[secret_key] = super().derive_key(secret_key)
        return derived


class SessionSerializer(URLSafeTimedSerializer):
    """Writes and reads signed session cookies.

    Args:
        keys: the secret keys, the oldest first. The last one signs, any verifies.
        salt: keeps these signatures apart from others that are made with the same keys.

    """

    def __init__(self, keys: tuple[str | bytes, ...], salt: str) -> None:
        super().__init__(
            [want_bytes(key) for key in keys],
            salt=salt,
            serializer=taggedjson,
            signer=_Signer,
            signer_kwargs={
                "key_derivation": "hmac",
                "digest_method": hashlib.sha256,
                "algorithm": _HmacSha256(),
            },
        )
        self._signer = super().make_signer()

    def make_signer(self, salt: str | bytes | None = None) -> Signer:
        """Return the one signer; a new one for another salt."""
        return self._signer if salt is None or salt == self.salt else super().make_signer(salt)

    def dump_payload(self, obj: Any) -> bytes:
        """Serialize ``obj``, and compress it when it is long enough to gain by that."""
        content = want_bytes(self.serializer.dumps(obj))
        return base64_encode(content) if len(content) < _COMPRESS_FROM else super().dump_payload(obj)


@lru_cache(maxsize=64)
def session_serializer(keys: tuple[str | bytes, ...], salt: str) -> SessionSerializer:
    """Return the serializer for these keys: the same one each time, so nobody may change it."""
    return SessionSerializer(keys, salt)
