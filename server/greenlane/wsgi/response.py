"""A response's head: checked first, then put into bytes.

Rule: everything is checked before anything is kept, so that a bad header fails
inside the application's call and no byte of the response has left. Must not
know connections or sockets.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from time import time
from wsgiref.handlers import format_date_time

_STATUS = re.compile(r"[2-5][0-9][0-9] [^\x00-\x08\x0a-\x1f\x7f]*")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110, 5.6.2: a token."""
_BAD_IN_VALUE = re.compile(r"[\x00\r\n]")
"""RFC 9110, 5.5: these three end a field or a head for somebody (response splitting)."""


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """Status and header fields of one response, as the application gave them.

    Args:
        code: the status code.
        status: the status line's end, such as `200 OK`.
        fields: the header fields, each with its line end, without those that
            are the server's to say.
        content_length: what the application promised, or None.
        has_date: whether the application said `Date` itself.
        closes: whether the application asked to close the connection.

    """

    code: int
    status: bytes
    fields: bytes
    content_length: int | None
    has_date: bool
    closes: bool

    @property
    def bodiless(self) -> bool:
        """Whether no body may follow, whatever the application yields (RFC 9110, 6.4.1)."""
        return self.code in (204, 304)

    def encode(self, *framing: bytes) -> bytes:
        """The bytes of the head, with the server's own lines after the application's."""
        date = () if self.has_date else (b"Date: ", _date(int(time())), b"\r\n")
        return b"".join((b"HTTP/1.1 ", self.status, b"\r\n", self.fields, *date, *framing, b"\r\n"))


def check_head(status: str, headers: list[tuple[str, str]]) -> ResponseHead:
    """Make a head of the arguments of `start_response` (PEP 3333).

    `Connection` and `Keep-Alive` are the server's to say: of the first, only
    `close` is heeded.

    Raises:
        TypeError: something is not a `str`.
        ValueError: a status without a final code or a reason, a name that is no token, a value
            with a line end, characters beyond Latin-1, a `Content-Length` that
            is no number or is given twice, or any `Transfer-Encoding`, because
            the server frames the response (PEP 3333, "Other HTTP Features").

    """
    if not isinstance(status, str):
        raise TypeError(f"the status must be a str, not {status!r}")
    if not _STATUS.fullmatch(status):
        raise ValueError(f"not a status: {status!r} (such as '200 OK')")
    code = int(status[:3])
    lines: list[str] = []
    length: int | None = None
    has_date = closes = False
    for name, value in headers:
        _check_field(name, value)
        lowered = name.lower()
        if lowered in ("connection", "keep-alive"):
            closes = closes or value.strip().lower() == "close"
            continue
        if lowered == "content-length":
            length = _content_length(value, length)
            if code == 204:
                continue  # RFC 9110, 8.6: not with this one
        elif lowered == "transfer-encoding":
            raise ValueError("Transfer-Encoding is the server's to say: it frames the response")
        elif lowered == "date":
            has_date = True
        lines.append(f"{name}: {value}\r\n")
    return ResponseHead(
        code=code,
        status=status.encode("latin-1"),
        fields="".join(lines).encode("latin-1"),
        content_length=length,
        has_date=has_date,
        closes=closes,
    )


def plain_error(status: str, *, closes: bool) -> tuple[ResponseHead, bytes]:
    """A short error of the server's own, which tells nothing about its cause."""
    body = status.partition(" ")[2].encode("latin-1")
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    if closes:
        headers.append(("Connection", "close"))
    return check_head(status, headers), body


def _check_field(name: object, value: object) -> None:
    if not isinstance(name, str) or not isinstance(value, str):
        raise TypeError(f"a header's name and value must be str, not {name!r}: {value!r}")
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a header name: {name!r}")
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
