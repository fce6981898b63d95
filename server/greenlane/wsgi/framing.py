"""Where a message ends, and whether another may follow: the decisions, as tables.

Rule: every row names the section it comes from, and the rows for one question
cover every case, so that no case is decided by accident. What the tables are
asked is found out by others: these are pure functions of a few facts. Must not
know sockets or the environment's other keys.
"""

import re
import sys
from enum import Enum, auto
from itertools import product
from typing import Final, TypeVar

from greenlane.wsgi.errors import BadRequestError
from greenlane.wsgi.head import TOKEN, Head

Answer = TypeVar("Answer")

_CODING = (
    r"[ \t]*(?!chunked(?![!#$%&'*+.^_`|~0-9a-z-]))"
    + TOKEN.decode("ascii")
    + r'(?:[ \t]*;(?:[^,"]|"[^"]*")*|[ \t]*)'
)
"""No byte may fit two places of it: a client writes what it is tried on, and could make it try for days."""
_CODINGS = re.compile(f"{_CODING}(?:,{_CODING})*")
"""RFC 9112, 7: transfer codings other than chunked, with parameters."""

ANY: Final = None
"""In a table: whichever."""


class RequestBody(Enum):
    """How a request's body is framed."""

    NONE = auto()
    SIZED = auto()
    """By Content-Length."""
    CHUNKED = auto()
    AMBIGUOUS = auto()
    """So that two readers may disagree: refused."""


class ResponseBody(Enum):
    """How a response's body is framed."""

    NONE = auto()
    """The head is all there is."""
    SIZED = auto()
    """By Content-Length."""
    CHUNKED = auto()
    UNTIL_CLOSE = auto()
    """The end of the connection is the end of the body."""


def _table(width: int, *rows: tuple[tuple[bool | None, ...], Answer]) -> dict[tuple[bool, ...], Answer]:
    """Spell out rows with `ANY`: the first that fits decides, and every case must fit one."""
    spelled = {}
    for case in product((False, True), repeat=width):
        spelled[case] = next(
            answer
            for facts, answer in rows
            if all(fact in (ANY, given) for fact, given in zip(facts, case, strict=True))
        )
    return spelled


# fmt: off
REQUEST_BODY = _table(3,
    # Transfer-Encoding, Content-Length, HTTP/1.1
    ((True,  True,  ANY),   RequestBody.AMBIGUOUS),  # RFC 9112, 6.3 (3): "ought to be handled as an error"
    ((True,  False, False), RequestBody.AMBIGUOUS),  # RFC 9112, 6.1: 1.0 knows no chunks
    ((True,  False, True),  RequestBody.CHUNKED),    # RFC 9112, 6.3 (4)
    ((False, True,  ANY),   RequestBody.SIZED),      # RFC 9112, 6.3 (6)
    ((False, False, ANY),   RequestBody.NONE),       # RFC 9112, 6.3 (7)
)

KEEP_ALIVE = _table(3,
    # "close", "keep-alive" in Connection, HTTP/1.1
    ((True,  ANY,   ANY),   False),                  # RFC 9112, 9.3 (1)
    ((False, ANY,   True),  True),                   # RFC 9112, 9.3 (2)
    ((False, True,  False), True),                   # RFC 9112, 9.3 (3)
    ((False, False, False), False),                  # RFC 9112, 9.3 (4)
)

AWAIT_CONTINUE = _table(3,
    # Expect: 100-continue, HTTP/1.1, has a body
    ((True,  True,  True),  True),                   # RFC 9110, 10.1.1
    ((True,  False, ANY),   False),                  # RFC 9110, 10.1.1: "MUST ignore that expectation"
    ((True,  True,  False), False),                  # RFC 9110, 10.1.1: there is nothing to wait for
    ((False, ANY,   ANY),   False),
)

RESPONSE_BODY = _table(4,
    # to HEAD, status without a body, length known, HTTP/1.1
    ((True,  ANY,   ANY,   ANY),   ResponseBody.NONE),         # RFC 9112, 6.3 (1)
    ((False, True,  ANY,   ANY),   ResponseBody.NONE),         # RFC 9112, 6.3 (1): 204 and 304
    ((False, False, True,  ANY),   ResponseBody.SIZED),        # RFC 9112, 6.3 (6)
    ((False, False, False, True),  ResponseBody.CHUNKED),      # RFC 9112, 6.3 (4)
    ((False, False, False, False), ResponseBody.UNTIL_CLOSE),  # RFC 9112, 6.3 (8)
)
# fmt: on

_MAX_DIGITS = 19
"""Of a size: 64 bits have no more, and `int` refuses thousands."""

_OF_A_BODY = frozenset(("CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING", "HTTP_EXPECT"))

_NO_BODY = (RequestBody.NONE, 0)
_CHUNKED = (RequestBody.CHUNKED, 0)


def says_more(head: Head) -> bool:
    """Whether a head says anything about a body: if not, there is none, and nothing else to ask here."""
    return not _OF_A_BODY.isdisjoint(head.fields)


def request_body(head: Head, max_size: int | None) -> tuple[RequestBody, int]:
    """Return how a request's body is framed, and its size in bytes if that is said.

    Args:
        head: the request's.
        max_size: the most a body may have; None for no bound.

    Raises:
        BadRequestError: it is in doubt (400), in a coding that is not served
            (501), or too large (413).

    """
    coding = head.fields.get("HTTP_TRANSFER_ENCODING")
    length = head.fields.get("CONTENT_LENGTH")
    if coding is None and length is None:
        return _NO_BODY
    framing = REQUEST_BODY[coding is not None, length is not None, head.http_1_1]
    if framing is RequestBody.AMBIGUOUS:
        raise BadRequestError("where the body ends is in doubt (RFC 9112, 6.1 and 6.3)")
    if coding is not None:
        _check_coding(coding)
        return _CHUNKED
    size = _size(length or "")
    if size > (sys.maxsize if max_size is None else max_size):
        raise BadRequestError(f"a body of {size} bytes", "413 Content Too Large")
    return framing, size


def keep_alive(head: Head) -> bool:
    """Whether the client would use the connection for another request."""
    options = head.fields.get("HTTP_CONNECTION")
    if options is None:
        return head.http_1_1
    said = {option.strip(" \t").lower() for option in options.split(",")}
    return KEEP_ALIVE["close" in said, "keep-alive" in said, head.http_1_1]


def awaits_continue(head: Head, body: RequestBody) -> bool:
    """Whether the client holds the body back until it is told `100 Continue`.

    Raises:
        BadRequestError: it expects something else (417: RFC 9110, 10.1.1).

    """
    expectation = head.fields.get("HTTP_EXPECT")
    if expectation is None:
        return False
    expects = expectation.lower() == "100-continue"
    if head.http_1_1 and not expects:
        raise BadRequestError("an expectation that is not known", "417 Expectation Failed")
    return AWAIT_CONTINUE[expects, head.http_1_1, body is not RequestBody.NONE]


def _check_coding(value: str) -> None:
    """Refuse all but `chunked`, once, alone.

    RFC 9112, 6.1: 501 for a coding that is not understood; and 6.3 (4): 400 when the last
    one does not tell where the body ends.
    """
    if value.lower() == "chunked":
        return
    others, _, last = value.lower().rpartition(",")
    if last.strip(" \t") == "chunked" and _CODINGS.fullmatch(others) is not None:
        raise BadRequestError("a transfer coding that is not served", "501 Not Implemented")
    raise BadRequestError("the transfer coding is none (RFC 9112, 7)")


def _size(value: str) -> int:
    """Return what a Content-Length says.

    Raises:
        BadRequestError: it is no number (400), or one that no machine can count (413).

    """
    if not (value.isascii() and value.isdigit()):  # `int` takes more: "+5", "1_0"
        raise BadRequestError("the Content-Length is none (RFC 9110, 8.6)")
    if len(value.lstrip("0")) > _MAX_DIGITS:
        raise BadRequestError("a Content-Length beyond counting", "413 Content Too Large")
    return int(value)
