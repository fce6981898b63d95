"""Seals: what a probe puts on a nonce before it is kept, and takes off what is read back.

A strategy runs within the request, which says the nonce too: one that answered from there, and
not from what it keeps, would always look right. The seal is in no request, so that what bears
none was never written.

Imports nothing of ours.
"""

import secrets
from typing import Final

UNSEALED: Final = "unsealed-"
"""Stands before a value that was read and that no probe has written: it is nobody's nonce."""


class Seal:
    """The seal of one demonstration's probes, of which nobody else knows."""

    def __init__(self) -> None:
        self._mark = f"{secrets.token_hex(4)}-"

    def put_on(self, nonce: str) -> str:
        """Return what is to be kept for ``nonce``."""
        return self._mark + nonce

    def take_off(self, value: str | None) -> str | None:
        """Return the nonce that was kept as ``value``; of what no probe has written, what is none."""
        if value is None:
            return None
        return value.removeprefix(self._mark) if value.startswith(self._mark) else UNSEALED + value
