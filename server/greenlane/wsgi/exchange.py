"""One request and its response: a fresh object for each, so that nothing needs resetting.

Rule: every response ends in one of three ways: whole, replaced by an error
before its first byte, or cut off with its connection. The response iterable is
closed in all three (PEP 3333). Must not know how bytes are read or parsed.
"""

import traceback
from collections.abc import Callable, Iterable, Sized
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol
from wsgiref.types import ErrorStream, WSGIApplication
from wsgiref.util import FileWrapper

from gevent import GreenletExit

from greenlane.wsgi.errors import BadBodyError, ClientGoneError
from greenlane.wsgi.files import RegularFile, regular_file
from greenlane.wsgi.framing import RESPONSE_BODY, ResponseBody
from greenlane.wsgi.lane import next_request_id
from greenlane.wsgi.request import Request
from greenlane.wsgi.response import ResponseHead, check_head, encode_head, plain_error

if TYPE_CHECKING:
    from _typeshed import OptExcInfo

_ONE_WRITE = 65_536
"""Up to this many bytes of body are copied behind the head to leave in one write; beyond, the copy costs more
than a second write (which waits for nothing: TCP_NODELAY is set)."""

_LAST_CHUNK = b"0\r\n\r\n"

# Python 3.11 calls a function for each look at a member of an enumeration.
_NONE, _SIZED, _CHUNKED = ResponseBody.NONE, ResponseBody.SIZED, ResponseBody.CHUNKED


class Line(Protocol):
    """What an exchange asks of its connection."""

    def send(self, data: bytes, last: bool = False) -> None:
        """Put bytes on the line; the last are what it is closed behind. Raises `ClientGoneError`."""

    @property
    def sends_files(self) -> bool:
        """Whether the kernel can put files on the line by itself."""

    def send_file(self, file: RegularFile, size: int) -> int:
        """Put a part of a file on the line; how many bytes it had. Raises `ClientGoneError`."""

    def may_stay_open(self) -> bool:
        """Whether another request may follow, for all the server knows; asked when the head leaves."""


class Exchange:
    """One request, its application's call and its response.

    Args:
        request: what was read of it.
        application: any WSGI application.
        line: the connection.

    Attributes:
        keep_open: whether another request may follow on the connection.
        code: the status code that was sent; 0 while none was.
        body_bytes: how many bytes of body were sent, without chunk framing.

    """

    __slots__ = (
        "_application",
        "_at_hand",
        "_broken",
        "_chunked",
        "_has_body",
        "_head",
        "_left",
        "_line",
        "_request_id",
        "_whole",
        "_whole_length",
        "body_bytes",
        "code",
        "keep_open",
        "request",
    )

    def __init__(self, request: Request, application: WSGIApplication, line: Line) -> None:
        self.request = request
        self.keep_open = request.keep_alive
        self.code = 0
        self.body_bytes = 0
        self._application = application
        self._line = line
        self._request_id = ""
        self._head: ResponseHead | None = None
        self._whole_length: int | None = None
        self._left: int | None = None
        self._at_hand = False
        self._broken = False
        self._has_body = True
        self._chunked = False
        self._whole = False

    @property
    def request_id(self) -> str:
        """A name for this request, in logs: unique among all processes. Made when it is first asked for."""
        if not self._request_id:
            self._request_id = next_request_id()
        return self._request_id

    def run(self) -> None:
        """Call the application and send what it answers. Only a kill or Ctrl-C comes out of it."""
        # Kept apart, because the environment is the application's to change.
        environ = self.request.environ
        told = (environ["wsgi.errors"], environ["PATH_INFO"])
        result: Iterable[bytes] = ()
        try:
            try:
                result = self._application(environ, self.start_response)
                self._respond(result)
            finally:
                if result.__class__ is not list:  # which has no `close`, and looking for it takes time
                    close = getattr(result, "close", None)
                    if close is not None:
                        close()
        except (GreenletExit, KeyboardInterrupt):
            raise
        except ClientGoneError:
            self.keep_open = False
        except (
            BaseException
        ) as error:  # also gevent.Timeout and SystemExit: one request must not end the others
            self._fail(error, *told)

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: "OptExcInfo | None" = None, /
    ) -> Callable[[bytes], None]:
        """Take the response's head; nothing is sent before the first byte of the body (PEP 3333).

        Returns:
            The `write` callable.

        Raises:
            RuntimeError: a second call without `exc_info`.
            TypeError: see `check_head`.
            ValueError: see `check_head`.
            BaseException: the one in `exc_info`, when the head has left already.

        """
        try:
            if exc_info is None or exc_info[1] is None:
                if self._head is not None:
                    raise RuntimeError("start_response was called twice without exc_info (PEP 3333)")
            elif self.code:
                raise exc_info[1].with_traceback(exc_info[2])
            self._head = check_head(status, headers)
        finally:
            exc_info = None  # the traceback refers to this frame
        return self.write

    def write(self, data: bytes) -> None:
        """Send `data` at once, behind the head when that has not left yet.

        Raises:
            RuntimeError: `start_response` was not called, the body is longer
                than its Content-Length, or the response is complete.
            TypeError: `data` is not bytes.
            ClientGoneError: there is nobody to send it to.

        """
        if not isinstance(data, bytes):
            raise TypeError(f"a response's body is made of bytes, not {type(data).__name__}")
        if self._whole:
            # Whoever kept the callable: the connection may be in the middle of the next response.
            raise RuntimeError("the response is complete: nothing can be written to it any more")
        if self._broken:
            raise ClientGoneError("an earlier write broke off between the head and the body")
        first = b"" if self.code else self._begin(len(data))
        frame = self._frame(data)
        if len(frame) <= _ONE_WRITE:
            if first or frame:
                self._line.send(first + frame, self._at_hand and not self.keep_open)
        else:
            self._broken = bool(first)  # until the frame is out as well: an application may go on without it
            if first:
                self._line.send(first)
            self._line.send(frame)
            self._broken = False

    def _respond(self, result: Iterable[bytes]) -> None:
        if isinstance(result, (list, tuple)):
            # All of it is at hand: joining it delays nothing, its length is known, and nothing comes behind.
            self._at_hand = True
            whole = result[0] if len(result) == 1 else b"".join(result)
            self._whole_length = len(whole)
            self.write(whole)
        elif not (isinstance(result, FileWrapper) and self._respond_with_file(result)):
            self._respond_piecewise(result)
        if self._left:
            raise RuntimeError(f"the body is {self._left} bytes shorter than its Content-Length")
        if self._broken:
            raise ClientGoneError("an earlier write broke off between the head and the body")
        self._whole = True
        if self._chunked:
            self._line.send(_LAST_CHUNK)

    def _respond_piecewise(self, result: Iterable[bytes]) -> None:
        # PEP 3333, "Handling the Content-Length Header": one block is the whole body.
        one_block = isinstance(result, Sized) and len(result) == 1
        for data in result:
            if one_block:
                self._whole_length = len(data)
            if data:
                self.write(data)
            if self.code and not self._has_body:
                break  # what it yields is not sent, so nothing would ever stop an endless one
        if not self.code:
            self._whole_length = 0
            self.write(b"")

    def _respond_with_file(self, wrapper: FileWrapper) -> bool:
        """Let the kernel send a regular file; whether it could."""
        file = regular_file(wrapper) if self._line.sends_files and not self.code else None
        if file is None:
            return False
        promised = None if self._head is None else self._head[2]
        # PEP 3333: a file may be longer than what is promised of it, and no more is sent.
        self._whole_length = size = file.size if promised is None else min(file.size, promised)
        self._line.send(self._begin(size))
        if self._has_body and size:
            self.body_bytes = self._line.send_file(file, size)
            self._left = size - self.body_bytes  # the file may have become shorter
        return True

    def _begin(self, first: int) -> bytes:
        """Decide how the body is framed and return the head's bytes. No way back.

        Args:
            first: bytes of body that are known to follow at once.

        """
        head = self._head
        if head is None:
            raise RuntimeError("the application did not call start_response")
        code, _, length, _ = head
        request = self.request
        bodiless = code in (204, 304)  # RFC 9110, 6.4.1: whatever the application yields
        sized = length is not None or self._whole_length is not None
        framing = RESPONSE_BODY[request.method == "HEAD", bodiless, sized, request.http_1_1]
        lines = b""
        if framing is _NONE:
            self._has_body = False
            if length is None and self._whole_length and not bodiless:
                # RFC 9110, 8.6: what a GET would have had. An empty reply to HEAD would tell a wrong length.
                lines = b"Content-Length: %d\r\n" % self._whole_length
        elif framing is _SIZED:
            if length is not None:
                _check_length(length, first, self._whole_length)
            elif self._whole_length is not None:
                length = self._whole_length
                lines = b"Content-Length: %d\r\n" % length
            self._left = length
        elif framing is _CHUNKED:
            self._chunked = True
            lines = b"Transfer-Encoding: chunked\r\n"
        else:
            self.keep_open = False
        self.keep_open = self.keep_open and self._line.may_stay_open()
        if not self.keep_open:
            lines += b"Connection: close\r\n"
        elif not request.http_1_1:
            lines += b"Connection: keep-alive\r\n"
        request.body.withhold_continue()
        self.code = code
        return encode_head(head, lines)

    def _frame(self, data: bytes) -> bytes:
        """The bytes that carry `data`: what must not be sent is left out."""
        if not self._has_body or not data:
            return b""
        if self._left is not None:
            if len(data) > self._left:
                # More would be read as the beginning of the next response.
                raise RuntimeError(
                    f"the body is longer than its Content-Length by {len(data) - self._left} bytes"
                )
            self._left -= len(data)
        self.body_bytes += len(data)
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data

    def _fail(self, error: BaseException, errors: ErrorStream, path: str) -> None:
        """Answer with an error if there is still time, and cut the connection off if not."""
        failure = self.request.body.failure
        client_failed = failure is not None and _came_from(error, failure)
        if not client_failed:
            _log(error, errors, self.request.method, path)
        if self.code:
            self.keep_open = self.keep_open and self._whole
            return
        status = "500 Internal Server Error"
        if client_failed:
            self.keep_open = False
            status = failure.status if isinstance(failure, BadBodyError) else "400 Bad Request"
        self._head, body = plain_error(status)
        self._whole_length = len(body)
        try:
            self.write(body)
        except ClientGoneError:
            self.keep_open = False


def _log(error: BaseException, errors: ErrorStream, method: str, path: str) -> None:
    """Write the traceback where the operator reads; the query string stays out, it may hold secrets."""
    trace = "".join(traceback.format_exception(error))
    with suppress(OSError, ValueError):  # nobody reads it any more: the client still gets its reply
        errors.write(f"{method} {path!r} failed:\n{trace}")
        errors.flush()


def _check_length(promised: int, first: int, whole: int | None) -> None:
    """Raise while an error can still be sent, if the body is known not to have its Content-Length."""
    if first > promised or (whole is not None and whole != promised):
        known = first if whole is None else whole
        raise RuntimeError(f"the body has {known} bytes, its Content-Length is {promised}")


def _came_from(error: BaseException | None, cause: BaseException) -> bool:
    """Whether `error` is `cause` or was raised because of it or while handling it."""
    seen: set[int] = set()  # `raise error from error` makes a ring
    while error is not None and error is not cause and id(error) not in seen:
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return error is cause
