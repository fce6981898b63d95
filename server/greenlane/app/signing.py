"""Signing: itsdangerous's timed signatures, a short way for what nearly every cookie is.

A cookie that was signed with the newest key and is fresh is verified here, in a few
calls; so is one written, when it is small. Whatever else comes goes itsdangerous's
whole way, which also says what is wrong with it. Both ways write and read the same,
and tests compare them. Imports nothing of ours but the serializer.
"""

import hashlib
import hmac
import time
from base64 import urlsafe_b64encode
from functools import lru_cache
from struct import error as StructError  # noqa: N812 - a class, whatever its name
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer
from itsdangerous.encoding import base64_decode, base64_encode, bytes_to_int, int_to_bytes, want_bytes

from greenlane.app import taggedjson

_COMPRESS_FROM = 256
"""Bytes of JSON from which compressing is tried. Below, it saves a few dozen bytes at best, and setting the
compressor up costs as much as everything else that is done for the cookie."""


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
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )
        self._mac = hmac.new(self.make_signer().derive_key(), digestmod=hashlib.sha256)

    def dumps(self, obj: Any, salt: str | bytes | None = None) -> str:
        """Serialize and sign ``obj``.

        Raises:
            TypeError: it holds a value that cannot be written.

        """
        content = self.serializer.dumps(obj).encode()
        if salt is not None or len(content) >= _COMPRESS_FROM:
            return super().dumps(obj, salt)
        value = base64_encode(content) + b"." + _timestamp(int(time.time()))
        return (value + b"." + self._signature(value)).decode()

    def loads(  # type: ignore[override]
        self,
        s: str | bytes,
        max_age: int | None = None,
        return_timestamp: bool = False,
        salt: str | bytes | None = None,
    ) -> Any:
        """Verify and read what :meth:`dumps` wrote.

        Raises:
            BadData: it was changed, is too old or never was one of ours.

        """
        if max_age is not None and salt is None and not return_timestamp:
            value, _, signature = want_bytes(s).rpartition(b".")
            if hmac.compare_digest(signature, self._signature(value)):
                payload, _, timestamp = value.rpartition(b".")
                if 0 <= _age(timestamp) <= max_age:
                    return self.load_payload(payload)
        return super().loads(s, max_age, return_timestamp, salt)

    def _signature(self, value: bytes) -> bytes:
        """HMAC-SHA256 (RFC 2104), as base64 without padding. A copy has taken the key in already."""
        mac = self._mac.copy()
        mac.update(value)
        return urlsafe_b64encode(mac.digest())[:-1]


@lru_cache(maxsize=1)
def _timestamp(seconds: int) -> bytes:
    """Write the time, which is the same for all cookies of a second."""
    return base64_encode(int_to_bytes(seconds))


def _age(timestamp: bytes) -> int:
    """Return how many seconds ago ``timestamp`` was; below 0 when it is in the future, or none."""
    try:
        return int(time.time()) - bytes_to_int(base64_decode(timestamp))
    except (BadData, StructError):
        return -1


@lru_cache(maxsize=64)
def session_serializer(keys: tuple[str | bytes, ...], salt: str) -> SessionSerializer:
    """Return the serializer for these keys: the same one each time, so nobody may change it."""
    return SessionSerializer(keys, salt)
