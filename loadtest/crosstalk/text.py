"""Text of a server, as any terminal, file or document takes it."""

import re
from collections.abc import Mapping
from typing import Any

# What a terminal takes for commands, what turns the direction of a line, and what no XML may have.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def printable(text: str) -> str:
    r"""Return ``text`` in one line, with a code such as ``\x1b`` for each character that is not to be shown.

    A server may say anything, also half a surrogate or what a terminal takes for a command.
    """
    return _UNPRINTABLE.sub(_code, text)


def printable_all(value: Any) -> Any:
    """Return ``value``, which JSON can have, with every text in it made printable."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable_all(key): printable_all(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(printable_all(each) for each in value)
    return value


def _code(match: re.Match[str]) -> str:
    number = ord(match.group())
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
