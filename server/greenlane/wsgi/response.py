"""A response's head: checked first, then put into bytes.

Rule: everything is checked before anything is kept, so that a bad header fails
inside the application's call and no byte of the response has left. Must not
know connections or sockets.
"""

import re
from functools import lru_cache
from time import time
from typing import Final, TypeAlias
from wsgiref.handlers import format_date_time

_STATUS = re.compile(r"[2-5][0-9][0-9] [^\x00-\x08\x0a-\x1f\x7f]*")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110, 5.6.2: a token."""
_BAD_IN_VALUE = re.compile(r"[\x00\r\n]")
"""RFC 9110, 5.5: these three end a field or a head for somebody (response splitting)."""

_HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
"""PEP 3333, "Other HTTP Features": these speak of the connection, which is the server's."""

_PLAIN: Final = 0
_LENGTH: Final = 1
_DATE: Final = 2

_REMEMBERED = 1_024
"""Names that are remembered as checked. Bounded, since an application may make them up."""

_names: dict[str, int] = {}


ResponseHead: TypeAlias = tuple[int, bytes, int | None, bool]
"""The status code; the status line and the fields, each with its line end, as the application gave them;
the Content-Length that it promised, or None; and whether it said `Date` itself."""


def check_head(status: str, headers: list[tuple[str, str]]) -> ResponseHead:
    """Make a head of the arguments of `start_response` (PEP 3333).

    Raises:
        TypeError: something is not a `str`.
        ValueError: a status without a final code or a reason, a name that is no token, a value
            with a line end, characters beyond Latin-1, a `Content-Length` that
            is no number or is given twice, or a hop-by-hop field.

    """
    code = _check_status(status)
    length: int | None = None
    has_date = False
    lines = [f"HTTP/1.1 {status}\r\n"]
    for name, value in headers:
        kind = _names.get(name)
        if kind is None:
            kind = _check_name(name)
        if value.__class__ is not str and not isinstance(value, str):
            raise TypeError(f"the value of header {name!r} must be a str, not {value!r}")
        if kind:
            if kind == _DATE:
                has_date = True
            else:
                length = _content_length(value, length)
                if code == 204:
                    continue  # RFC 9110, 8.6: not with this one
        lines.append(f"{name}: {value}\r\n")
    text = "".join(lines)
    # Every value at once: a line end more than the lines that are ours is somebody else's.
    if text.count("\n") != len(lines) or text.count("\r") != len(lines) or "\0" in text:
        _explain(headers)
    return code, text.encode("latin-1"), length, has_date


def encode_head(head: ResponseHead, framing: bytes) -> bytes:
    """Return the bytes of a head, with the server's own lines behind the application's."""
    _, lines, _, has_date = head
    if has_date:
        return b"%b%b\r\n" % (lines, framing)
    return b"%bDate: %b\r\n%b\r\n" % (lines, _date(int(time())), framing)


def plain_error(status: str) -> tuple[ResponseHead, bytes]:
    """A short error of the server's own, which tells nothing about its cause."""
    body = status.partition(" ")[2].encode("latin-1")
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    return check_head(status, headers), body


@lru_cache(maxsize=128)
def _check_status(status: str) -> int:
    if not isinstance(status, str):
        raise TypeError(f"the status must be a str, not {status!r}")
    if not _STATUS.fullmatch(status):
        raise ValueError(f"not a status: {status!r} (such as '200 OK')")
    return int(status[:3])


def _check_name(name: object) -> int:
    """Return which of the names that are looked at `name` is."""
    if not isinstance(name, str):
        raise TypeError(f"a header's name must be a str, not {name!r}")
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a header name: {name!r}")
    lowered = name.lower()
    if lowered in _HOP_BY_HOP:
        raise ValueError(f"{name} is the server's to say: it speaks of the connection (PEP 3333)")
    kind = {"content-length": _LENGTH, "date": _DATE}.get(lowered, _PLAIN)
    if len(_names) < _REMEMBERED:
        _names[name] = kind
    return kind


def _explain(headers: list[tuple[str, str]]) -> None:
    """Raise for the first value that is at fault, by its name."""
    for name, value in headers:
        if _BAD_IN_VALUE.search(value):
            raise ValueError(f"a line end or a null character in header {name!r}: {value!r}")


def _content_length(value: str, earlier: int | None) -> int:
    if not (value.isascii() and value.isdigit()) or earlier is not None:
        raise ValueError(f"Content-Length must be one number, not {value!r}")
    return int(value)


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    """The `Date` header's value: made once a second, not once a response."""
    return format_date_time(second).encode("ascii")
