"""Signing: itsdangerous's timed signatures, with what is the same for every cookie made once.

itsdangerous makes a signer and derives its key anew for each cookie, which takes
longer than the signature. Its classes have places for doing otherwise, and those are
used here; what signs and verifies is theirs. Imports nothing of ours but the serializer.
"""

import hashlib
from functools import lru_cache
from typing import Any

from itsdangerous import Signer, TimestampSigner, URLSafeTimedSerializer
from itsdangerous.encoding import base64_encode, want_bytes

from greenlane.app import taggedjson

_COMPRESS_FROM = 256
"""Bytes of JSON from which compressing is tried. Below, it saves a few dozen bytes at best, and setting the
compressor up costs as much as everything else that is done for the cookie."""


class _KeptKeySigner(TimestampSigner):
    """A signer that derives each of its keys once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._derived: dict[str | bytes | None, bytes] = {}

    def derive_key(self, secret_key: str | bytes | None = None) -> bytes:
        """Return the key derived from `secret_key`, by default from the newest."""
        key = self._derived.get(secret_key)
        if key is None:
            key = self._derived[secret_key] = super().derive_key(secret_key)
        return key


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
            signer=_KeptKeySigner,
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )
        self._signer = super().make_signer()

    def make_signer(self, salt: str | bytes | None = None) -> Signer:
        """Return what signs: for the serializer's own salt always the same."""
        return self._signer if salt is None or salt == self.salt else super().make_signer(salt)

    def dump_payload(self, obj: Any) -> bytes:
        """Write `obj` as the part of a cookie that is signed."""
        content = self.serializer.dumps(obj).encode()
        return super().dump_payload(obj) if len(content) >= _COMPRESS_FROM else base64_encode(content)


@lru_cache(maxsize=64)
def session_serializer(keys: tuple[str | bytes, ...], salt: str) -> SessionSerializer:
    """Return the serializer for these keys: the same one each time, so nobody may change it."""
    return SessionSerializer(keys, salt)
