"""One request and its response: a fresh object for each, so that nothing needs resetting.

Rule: every response ends in one of three ways: whole, replaced by an error
before its first byte, or cut off with its connection. The response iterable is
closed in all three (PEP 3333). Must not know how bytes are read or parsed.
"""

import traceback
from collections.abc import Callable, Iterable, Sized
from contextlib import suppress
from typing import TYPE_CHECKING
from wsgiref.types import ErrorStream, WSGIApplication

from gevent import GreenletExit

from greenlane.wsgi.errors import ClientGoneError
from greenlane.wsgi.request import Request
from greenlane.wsgi.response import ResponseHead, check_head, plain_error

if TYPE_CHECKING:
    from _typeshed import OptExcInfo

_ONE_WRITE = 65_536
"""Up to this many bytes of body are copied behind the head to leave in one write; beyond, the copy costs more
than a second write (which waits for nothing: TCP_NODELAY is set)."""


class Exchange:
    """One request, its application's call and its response.

    Args:
        request: what the parser handed over.
        application: any WSGI application.
        send: puts bytes on the connection; raises `ClientGoneError`.
        may_stay_open: asked when the head leaves: whether the connection can
            be used for another request as far as the server is concerned.

    Attributes:
        keep_open: whether another request may follow on the connection.
        code: the status code that was sent; 0 while none was.
        body_bytes: how many bytes of body were sent, without chunk framing.

    """

    def __init__(
        self,
        request: Request,
        application: WSGIApplication,
        send: Callable[[bytes], None],
        may_stay_open: Callable[[], bool],
    ) -> None:
        self.request = request
        self.keep_open = request.keep_alive
        self.code = 0
        self.body_bytes = 0
        self._application = application
        self._send = send
        self._may_stay_open = may_stay_open
        # Kept apart, because the environment is the application's to change.
        self._errors: ErrorStream = request.environ["wsgi.errors"]
        self._path: str = request.environ["PATH_INFO"]
        self._head: ResponseHead | None = None
        self._whole_length: int | None = None
        self._left: int | None = None
        self._has_body = True
        self._chunked = False
        self._whole = False

    def run(self) -> None:
        """Call the application and send what it answers. Only a kill or Ctrl-C comes out of it."""
        result: Iterable[bytes] = ()
        try:
            try:
                result = self._application(self.request.environ, self.start_response)
                self._respond(result)
            finally:
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
            self._fail(error)

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
        first = b"" if self.code else self._begin(data)
        frame = self._frame(data)
        if len(frame) <= _ONE_WRITE:
            self._put(first + frame)
        else:
            self._put(first)
            self._put(frame)

    def _respond(self, result: Iterable[bytes]) -> None:
        if isinstance(result, (list, tuple)):
            # All of it is at hand, so joining it delays nothing, and its length is known.
            whole = b"".join(result)
            self._whole_length = len(whole)
            self.write(whole)
        else:
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
        if self._left:
            raise RuntimeError(f"the body is {self._left} bytes shorter than its Content-Length")
        self._whole = True
        if self._chunked:
            self._send(b"0\r\n\r\n")

    def _begin(self, data: bytes) -> bytes:
        """Decide how the body is framed (RFC 9112, 6.3) and return the head's bytes. No way back."""
        head = self._head
        if head is None:
            raise RuntimeError("the application did not call start_response")
        self._has_body = self.request.method != "HEAD" and not head.bodiless
        if self._has_body:
            _check_length(head.content_length, len(data), self._whole_length)
        framing: list[bytes] = []
        if head.content_length is not None:
            self._left = head.content_length if self._has_body else None
        elif head.bodiless or (not self._has_body and not self._whole_length):
            pass  # a HEAD reply need not tell a length, and an empty one would tell a wrong one
        elif self._whole_length is not None:
            self._left = self._whole_length if self._has_body else None
            framing.append(b"Content-Length: %d\r\n" % self._whole_length)
        elif self.request.http_1_1:
            self._chunked = True
            framing.append(b"Transfer-Encoding: chunked\r\n")
        else:
            self.keep_open = False  # the end of the connection is the end of the body
        self.keep_open = self.keep_open and not head.closes and self._may_stay_open()
        if not self.keep_open:
            framing.append(b"Connection: close\r\n")
        elif not self.request.http_1_1:
            framing.append(b"Connection: keep-alive\r\n")
        self.request.body.withhold_continue()
        self.code = head.code
        return head.encode(*framing)

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

    def _put(self, data: bytes) -> None:
        if data:
            self._send(data)

    def _fail(self, error: BaseException) -> None:
        """Answer with an error if there is still time, and cut the connection off if not."""
        failure = self.request.body.failure
        client_failed = failure is not None and _came_from(error, failure)
        if not client_failed:
            self._log(error)
        if self.code:
            self.keep_open = self.keep_open and self._whole
            return
        status = "500 Internal Server Error"
        if client_failed:
            status = "408 Request Timeout" if isinstance(failure, TimeoutError) else "400 Bad Request"
        self._head, body = plain_error(status, closes=client_failed)
        self._whole_length = len(body)
        try:
            self.write(body)
        except ClientGoneError:
            self.keep_open = False

    def _log(self, error: BaseException) -> None:
        """Write the traceback where the operator reads; the query string stays out, it may hold secrets."""
        trace = "".join(traceback.format_exception(error))
        with suppress(OSError, ValueError):  # nobody reads it any more: the client still gets its reply
            self._errors.write(f"{self.request.method} {self._path!r} failed:\n{trace}")
            self._errors.flush()


def _check_length(promised: int | None, first: int, whole: int | None) -> None:
    """Raise while an error can still be sent, if the body is known not to have its Content-Length."""
    if promised is not None and (first > promised or (whole is not None and whole != promised)):
        known = first if whole is None else whole
        raise RuntimeError(f"the body has {known} bytes, its Content-Length is {promised}")


def _came_from(error: BaseException | None, cause: BaseException) -> bool:
    """Whether `error` is `cause` or was raised because of it or while handling it."""
    seen: set[int] = set()  # `raise error from error` makes a ring
    while error is not None and error is not cause and id(error) not in seen:
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return error is cause
