"""From bytes to a request: gevent's parser, and the checks it leaves out.

Rule: this is the only module that knows how a head is parsed. Whatever would
let two readers of one stream disagree about where a request ends is refused
here (RFC 9112, 6.3 and 11.2): the next request on the connection would be made
of somebody else's bytes. Must not know the application or the response.
"""

import io
import re
import sys
from http.client import HTTPException, HTTPMessage
from typing import Any, cast

from gevent.pywsgi import Input, OldMessage, WSGIHandler, WSGIServer
from gevent.socket import socket

from greenlane.wsgi.errors import BadRequestError, ClientGoneError
from greenlane.wsgi.request import Request
from greenlane.wsgi.settings import Settings

_MAX_REQUEST_LINE = 8_000
"""Bytes. RFC 9112, 3, recommends at least 8,000."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
"""RFC 9110, 5.6.2."""

_REQUEST_LINE = re.compile(_TOKEN + rb" [^\x00\s]+ HTTP/1\.[0-9]\r?\n")
"""RFC 9112, 3. Any other version has other replies: HTTP/0.9 has no heads, and nothing could follow one."""

_FIELD_LINE = re.compile(rb"(?:" + _TOKEN + rb":[^\x00\r\n]*)?\r?\n")
"""RFC 9112, 5, and the empty line at the end. Refused by it: a CR within a line, where `email.parser` would
begin a new field and others would not; a folded line (5.2); a space before the colon (5.1)."""

_DIGITS = re.compile(r"[0-9]+")

_STEP = 65_536
"""Bytes of a body read at once: `io.BufferedReader` takes the memory for all that it is asked for before any
of it has come, and the client alone says how much that is."""


def read_request(
    stream: io.BufferedReader, sock: socket, address: Any, server: WSGIServer, settings: Settings
) -> Request:
    """Read one head and make a request of it.

    Args:
        stream: where the bytes come from.
        sock: where `100 Continue` goes when the application asks for the body.
        address: the client's address.
        server: gevent's server, for the base environment.
        settings: the limits.

    Raises:
        BadRequestError: the client sent something else than a request.
        ClientGoneError: the stream ended before the head did.
        OSError: reading failed; `TimeoutError` when it took too long.

    """
    lines = _HeadLines(stream, settings.max_head_size)
    line = _read_request_line(lines)
    head = _Head(sock, address, server, lines)
    try:
        head.read_request(line)
    except HTTPException as error:  # more than a hundred fields
        raise BadRequestError("431 Request Header Fields Too Large") from error
    except ValueError as error:
        raise BadRequestError from error
    http_1_1 = head.request_version == "HTTP/1.1"
    environ = head.get_environ()
    chunked = "Transfer-Encoding" in head.headers
    expects = http_1_1 and head.headers.get("Expect", "").lower() == "100-continue"
    body = InputBody(stream, head.content_length, sock if expects else None, chunked)
    environ["wsgi.input"] = body
    environ["wsgi.input_terminated"] = True
    return Request(
        environ=environ,
        body=body,
        line=line.rstrip(),
        method=environ["REQUEST_METHOD"],
        http_1_1=http_1_1,
        keep_alive=_keep_alive(head.headers, http_1_1=http_1_1),
    )


_FAILURES = (OSError, ValueError, OverflowError)
"""What reading a body raises when the client is to blame: the last one for a line of a chunk that no machine
could count."""


class InputBody(Input):
    """`wsgi.input`: gevent's, which also remembers a failure and can be read to its end within a limit."""

    __slots__ = ("failure",)

    def __init__(
        self, stream: io.BufferedReader, content_length: int | None, sock: socket | None, chunked: bool
    ) -> None:
        super().__init__(stream, content_length, sock, chunked)
        self.failure: Exception | None = None

    def read(self, length: int | None = None) -> bytes:
        """Read `length` bytes, or all.

        Raises:
            OSError: the client hung up, stalled, or sent a chunk that is none.
            ValueError: a chunk's length is not a number.

        """
        try:
            if length is not None and 0 <= length <= _STEP:
                return super().read(length)
            return self._read_in_steps(length)
        except _FAILURES as error:
            self.failure = error
            raise

    def _read_in_steps(self, length: int | None) -> bytes:
        left = sys.maxsize if length is None or length < 0 else length
        whole = io.BytesIO()
        while part := super().read(min(left, _STEP)):
            whole.write(part)
            left -= len(part)
        return whole.getvalue()

    def readline(self, size: int | None = None) -> bytes:
        """Read to the next newline or the end, at most `size` bytes. Raises what `read` raises."""
        try:
            return super().readline(size)
        except _FAILURES as error:
            self.failure = error
            raise

    @property
    def awaits_continue(self) -> bool:
        """Whether the client holds the body back until it is told `100 Continue`, which it was not."""
        return self.socket is not None and self.unread != 0

    @property
    def unread(self) -> int | None:
        """Bytes still to be read; None when a chunked body does not tell."""
        if self.chunked_input:
            return 0 if self.chunk_length == 0 else None
        return (self.content_length or 0) - self.position

    def withhold_continue(self) -> None:
        """Send no `100 Continue` from now on: it would stand in the middle of the response."""
        self.send_100_continue_enabled = False

    def discard(self, limit: int) -> bool:
        """Read at most `limit` bytes and throw them away; whether that was all of the body."""
        if self.failure is not None or self.awaits_continue or (self.unread or 0) > limit:
            return False
        try:
            while self.unread != 0 and limit > 0:
                limit -= len(self.read(min(_STEP, limit)))
        except _FAILURES:
            return False
        return self.unread == 0


class _Head(WSGIHandler):
    """gevent's handler, used for parsing one head only."""

    def __init__(self, sock: socket, address: Any, server: WSGIServer, lines: "_HeadLines") -> None:
        # Not gevent's own: that one opens another buffered file, which would read ahead of ours.
        self.socket = sock
        self.client_address = address
        self.server = server
        self.rfile = cast("io.BufferedReader", lines)

    def MessageClass(self, *args: Any) -> OldMessage:  # noqa: N802 - gevent's name
        headers = super().MessageClass(*args)
        _check_framing(headers, http_1_1=self.request_version == "HTTP/1.1")
        return headers


class _HeadLines:
    """The lines of one head, so that neither a huge head nor half of one passes for a whole."""

    def __init__(self, stream: io.BufferedReader, limit: int) -> None:
        self._stream = stream
        self._left = limit

    def readline(self, size: int) -> bytes:
        """The next field, or the empty line at the end: what `http.client` asks for."""
        line = self.take(size)
        if not line.endswith(b"\n"):
            raise BadRequestError("431 Request Header Fields Too Large")
        if not _FIELD_LINE.fullmatch(line):
            raise BadRequestError
        return line

    def take(self, size: int) -> bytes:
        """Any line, or `size` bytes of it."""
        line = self._stream.readline(min(size, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise BadRequestError("431 Request Header Fields Too Large")
        if len(line) < size and not line.endswith(b"\n"):
            # `http.client` takes the end of the stream for the end of the head, and gevent would serve
            # a request that lost its last fields.
            raise ClientGoneError("the client closed the connection before the end of the head")
        return line


def _read_request_line(lines: _HeadLines) -> str:
    line = lines.take(_MAX_REQUEST_LINE + 2)
    if line in (b"\r\n", b"\n"):
        # RFC 9112, 2.2: ignore one empty line, which old clients send after a body.
        line = lines.take(_MAX_REQUEST_LINE + 2)
    if not line.endswith(b"\n"):
        raise BadRequestError("414 URI Too Long")
    if not _REQUEST_LINE.fullmatch(line):
        raise BadRequestError
    return line.decode("latin-1")


def _check_framing(headers: HTTPMessage, *, http_1_1: bool) -> None:
    """Refuse a head that leaves in doubt where its request ends, or whose it is.

    Raises:
        BadRequestError: 400, or 501 for a transfer coding that is not known, or 413 for a length that no
            machine could count.
        ValueError: the same, for a length that Python refuses to count.

    """
    codings = headers.get_all("Transfer-Encoding", [])
    lengths = headers.get_all("Content-Length", [])
    if codings and (lengths or not http_1_1):
        raise BadRequestError
    # Only these two characters may stand around a value (RFC 9110, 5.6.3); `strip` alone takes more.
    if codings and [coding.strip(" \t").lower() for coding in codings] != ["chunked"]:
        raise BadRequestError("501 Not Implemented")
    if len(lengths) > 1 or not all(_DIGITS.fullmatch(length.strip(" \t")) for length in lengths):
        # `int` would also take +5, 1_0 and other digits than ASCII's.
        raise BadRequestError
    if lengths and int(lengths[0]) > sys.maxsize:
        # RFC 9110, 8.6. gevent's `readline` would never come to an end.
        raise BadRequestError("413 Content Too Large")
    if len(headers.get_all("Host", [])) > 1 or (http_1_1 and "Host" not in headers):
        raise BadRequestError


def _keep_alive(headers: HTTPMessage, *, http_1_1: bool) -> bool:
    """Whether the connection may be used again (RFC 9112, 9.3)."""
    options = {option.strip().lower() for option in ",".join(headers.get_all("Connection", [])).split(",")}
    if "close" in options:
        return False
    return http_1_1 or "keep-alive" in options
