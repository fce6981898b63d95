"""A request's body: what the application reads as `wsgi.input` (PEP 3333).

Rule: it streams. Bytes are taken from the connection when the application asks
for them, and what is not this body's stays there. Must not know the application
or the response.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator

from greenlane.wsgi.errors import BadBodyError, BadRequestError
from greenlane.wsgi.framing import RequestBody, awaits_continue, request_body
from greenlane.wsgi.head import TOKEN, Head, HeadParser
from greenlane.wsgi.settings import Settings
from greenlane.wsgi.stream import AT_ONCE, Patience, Stream

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_LINE = 8_192
"""Bytes looked through at once for the end of a line."""

_MAX_CHUNK_LINE = 4_096
"""Bytes of a chunk's size and extensions. Nobody sends any; a bound keeps them from being a body of their
own."""

_MAX_EXTENSIONS = 65_536
"""Bytes of the extensions of all chunks together: in front of single bytes they would be far more than the
body that is counted (as in Go's CVE-2023-39326)."""

_CHUNK_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,15})"
    rb"(?:[ \t]*;[ \t]*"
    + TOKEN
    + rb"(?:[ \t]*=[ \t]*(?:"
    + TOKEN
    + rb'|"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t -~\x80-\xff])*"))?)*'
)
"""RFC 9112, 7.1 and 7.1.1. Written here and not left to llhttp, which refuses the whitespace that a
recipient must parse, and takes a name or a value that is none. Fifteen digits: beyond, no machine has the
space."""

_TRAILERS = b"GET / HTTP/1.1\r\n"
"""Trailers are fields, so they are parsed as the fields of a head (RFC 9112, 7.1.2)."""


class EmptyBody:
    """`wsgi.input` of a request without a body: the same for all, since there is nothing to it."""

    __slots__ = ()

    failure: BadBodyError | None = None
    awaits_continue = False
    unread = 0

    def read(self, size: int | None = -1) -> bytes:
        """Return nothing."""
        return b""

    def readline(self, size: int | None = -1) -> bytes:
        """Return nothing."""
        return b""

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """Return no lines."""
        return []

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def withhold_continue(self) -> None:
        """Do nothing: nobody waits for it."""

    def discard(self, limit: int) -> bool:
        """Tell that all of it is read."""
        return True


EMPTY = EmptyBody()


class Body(ABC):
    """`wsgi.input` of a request that has a body.

    Args:
        stream: the connection, behind the request's head.
        settings: the limits.
        awaits_continue: whether the client holds the body back until it is told
            `100 Continue`.

    Attributes:
        failure: what reading raised, when the client hung up, stalled or sent nonsense.
        awaits_continue: as given, until it was told.

    """

    __slots__ = ("_held", "_may_tell", "_patience", "_settings", "_stream", "awaits_continue", "failure")

    def __init__(self, stream: Stream, settings: Settings, *, awaits_continue: bool) -> None:
        self.failure: BadBodyError | None = None
        self.awaits_continue = awaits_continue
        self._may_tell = True
        self._stream = stream
        self._settings = settings
        self._patience = Patience(settings.body_timeout, settings.min_rate)
        self._held = b""  # taken from the connection, and not asked for yet

    @property
    @abstractmethod
    def unread(self) -> int | None:
        """Bytes still to come; None when a chunked body does not tell."""

    @abstractmethod
    def _take(self, size: int) -> bytes:
        """Return some of the next `size` bytes, at least one; `b""` at the end."""

    def read(self, size: int | None = -1) -> bytes:
        """Read `size` bytes, or all; fewer only at the end.

        Raises:
            BadBodyError: the body broke off, took too long, or is not framed as it must be.

        """
        left = math.inf if size is None or size < 0 else size
        parts = []
        while left > 0 and (part := self._next(min(left, AT_ONCE))):
            parts.append(part)
            left -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readline(self, size: int | None = -1) -> bytes:
        """Read to the next newline or the end, at most `size` bytes. Raises what `read` raises."""
        left = math.inf if size is None or size < 0 else size
        parts = []
        while left > 0 and (part := self._next(min(left, _LINE))):
            end = part.find(b"\n") + 1
            if end:
                part, self._held = part[:end], part[end:] + self._held
            parts.append(part)
            left -= len(part)
            if end:
                break
        return b"".join(parts)

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """Read lines until they have `hint` bytes together, or all. Raises what `read` raises."""
        lines: list[bytes] = []
        left = math.inf if hint is None or hint <= 0 else hint
        for line in self:
            lines.append(line)
            left -= len(line)
            if left <= 0:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def withhold_continue(self) -> None:
        """Send no `100 Continue` from now on: it would stand in the middle of the response."""
        self._may_tell = False

    def discard(self, limit: int) -> bool:
        """Read at most `limit` bytes and throw them away, in the time of a head; whether that was all."""
        unread = self.unread
        if self.failure is not None or self.awaits_continue or (unread is not None and unread > limit):
            return False
        self._held = b""
        self._patience = Patience(self._settings.head_timeout, math.inf)
        try:
            while limit > 0 and (part := self._next(min(limit, AT_ONCE))):
                limit -= len(part)
        except BadBodyError:
            return False
        return self.unread == 0

    def _next(self, size: float) -> bytes:
        size = int(size)
        if self._held:
            part, self._held = self._held[:size], self._held[size:]
            return part
        if self.failure is not None:
            raise BadBodyError(str(self.failure), self.failure.status) from self.failure
        try:
            if self.awaits_continue and self._may_tell:
                self.awaits_continue = False
                self._stream.send(_CONTINUE, self._patience)
            return self._take(size)
        except TimeoutError as error:
            self.failure = BadBodyError(str(error), "408 Request Timeout")
            raise self.failure from error
        except BadBodyError as error:
            self.failure = error
            raise
        except OSError as error:
            self.failure = BadBodyError(f"the connection broke: {error}")
            raise self.failure from error

    def _receive(self, size: int) -> bytes:
        part = self._stream.receive(size, self._patience)
        if not part:
            raise BadBodyError("the client closed the connection before the end of the body")
        return part


class SizedBody(Body):
    """A body whose size was said: `size` bytes, of which no more is ever taken from the connection."""

    __slots__ = ("_left",)

    def __init__(self, stream: Stream, settings: Settings, size: int, *, awaits_continue: bool) -> None:
        super().__init__(stream, settings, awaits_continue=awaits_continue)
        self._left = size

    @property
    def unread(self) -> int:
        """Bytes still to come."""
        return self._left

    def _take(self, size: int) -> bytes:
        if not self._left:
            return b""
        part = self._receive(min(size, self._left))
        self._left -= len(part)
        return part


class ChunkedBody(Body):
    """A body in chunks (RFC 9112, 7.1).

    Nobody knows where it ends before it does, so it takes what has arrived, and
    gives back what stands behind its end.
    """

    __slots__ = ("_arrived", "_chunk", "_ended", "_extensions", "_taken")

    def __init__(self, stream: Stream, settings: Settings, *, awaits_continue: bool) -> None:
        super().__init__(stream, settings, awaits_continue=awaits_continue)
        self._arrived = bytearray()  # cheap to take from in front, however many tiny chunks it holds
        self._chunk = 0
        self._taken = 0
        self._extensions = 0
        self._ended = False

    @property
    def unread(self) -> int | None:
        """0 at the end, else None."""
        return 0 if self._ended else None

    def _take(self, size: int) -> bytes:
        if self._ended:
            return b""
        try:
            return self._take_chunk(size)
        except OSError:
            raise
        except BaseException:  # such as an application's own Timeout: nobody can tell any more where it was
            self.failure = BadBodyError("reading a chunked body was interrupted")
            raise

    def _take_chunk(self, size: int) -> bytes:
        if not self._chunk:
            self._begin_chunk()
            if not self._chunk:
                self._end()
                return b""
        part = self._take_arrived(min(size, self._chunk)) or self._receive(min(size, self._chunk))
        self._chunk -= len(part)
        if not self._chunk and self._line(0) != b"":
            raise BadBodyError("a chunk is longer than its size")
        return part

    def _begin_chunk(self) -> None:
        line = self._line(_MAX_CHUNK_LINE)
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise BadBodyError("a chunk's size or its extensions are none (RFC 9112, 7.1)")
        self._chunk = int(match[1], 16)
        self._extensions += len(line) - len(match[1])
        if self._extensions > _MAX_EXTENSIONS:
            raise BadBodyError("the chunks have too many extensions")
        self._taken += self._chunk
        most = self._settings.max_body_size
        if most is not None and self._taken > most:
            raise BadBodyError(f"a body of more than {most} bytes", "413 Content Too Large")
        self._stream.take_turn()

    def _end(self) -> None:
        """Read the trailers, check them as fields, and forget them (RFC 9110, 6.5.1)."""
        lines = []
        left = self._settings.max_head_size
        while line := self._line(left):
            lines.append(line)
            left -= len(line) + 2
        if lines:
            try:
                fields = HeadParser(self._settings).parse_fields(_TRAILERS + b"\r\n".join([*lines, b"", b""]))
            except BadRequestError as error:
                raise BadBodyError(f"the trailers: {error}", error.status) from None
            if "CONTENT_LENGTH" in fields or "HTTP_TRANSFER_ENCODING" in fields:
                raise BadBodyError("the trailers speak of framing (RFC 9110, 6.5.1)")
        self._ended = True
        self._stream.pending = bytes(self._arrived) + self._stream.pending

    def _line(self, limit: int) -> bytes:
        """Read to the next CRLF and return what stands before it, at most `limit` bytes."""
        arrived = self._arrived
        while (end := arrived.find(b"\n", 0, limit + 2)) < 0:
            if len(arrived) >= limit + 2:
                raise BadBodyError("a line in a chunked body is too long")
            arrived += self._receive(1 if self._stream.sparing else AT_ONCE)
        line = self._take_arrived(end + 1)
        if line[-2:] != b"\r\n" or b"\r" in line[:-2]:
            raise BadBodyError("a line in a chunked body does not end in CRLF")
        return line[:-2]

    def _take_arrived(self, size: int) -> bytes:
        taken = bytes(self._arrived[:size])
        del self._arrived[:size]
        return taken


def make_body(stream: Stream, settings: Settings, head: Head) -> Body | EmptyBody:
    """Return the body that a head announces.

    Raises:
        BadRequestError: where it ends is in doubt, it is too large, or the client expects what is not known.

    """
    framing, size = request_body(head, settings.max_body_size)
    awaits = awaits_continue(head, framing)
    if framing is RequestBody.CHUNKED:
        return ChunkedBody(stream, settings, awaits_continue=awaits)
    if size:
        return SizedBody(stream, settings, size, awaits_continue=awaits)
    return EMPTY
