"""One connection, from accept to close: which requests it reads, and when it ends.

Rule: a connection is idle until the first byte of a request has been read and
busy from there until its response is out; only an idle one may be closed in
the middle of things. Must not know how a head is parsed or a response framed.
"""

import socket as native
from contextlib import suppress
from time import monotonic
from typing import Any

from gevent import Timeout, get_hub
from gevent.socket import socket

from greenlane.wsgi.access import format_line
from greenlane.wsgi.errors import BadRequestError, ClientGoneError
from greenlane.wsgi.exchange import Exchange
from greenlane.wsgi.fairness import FairShare
from greenlane.wsgi.parser import read_request
from greenlane.wsgi.reader import Reader
from greenlane.wsgi.request import Body, Request
from greenlane.wsgi.response import plain_error
from greenlane.wsgi.settings import Settings

_LINGER_STEP = 65_536
_DEFAULTS = Settings()


class _StopWaitingError(Exception):
    """Internal: an idle connection waited long enough, or the server drains."""


class Connection:
    """Serves the requests of one connection, one after the other, on one greenlet.

    It is what `gevent.pywsgi.WSGIServer` takes as its `handler_class`; with
    `greenlane.wsgi.WSGIServer` it can be drained too.

    Args:
        sock: the accepted connection.
        address: the client's address.
        server: gevent's server or a subclass. Its `settings` are used if it has any.

    Attributes:
        busy: whether the first byte of a request was read and its response is not out.
        closing: whether no further request may begin.

    """

    def __init__(self, sock: socket, address: object, server: Any) -> None:
        self.address = address
        self.server = server
        self.busy = False
        self.closing = False
        self._settings: Settings = getattr(server, "settings", _DEFAULTS)
        self._sock = sock
        self._share = FairShare()
        self._reader = Reader(sock, self._share, self._settings.stall_timeout)
        self._arrival = get_hub().loop.io(sock.fileno(), 1)
        self._may_have_unread = False
        with suppress(OSError):  # not a TCP connection, or reset already
            sock.setsockopt(native.IPPROTO_TCP, native.TCP_NODELAY, 1)

    def handle(self) -> None:
        """Serve until the client or the server has had enough. Returns when the connection is closed."""
        try:
            while self._await_request() and self._serve_request():
                pass
        finally:
            self.busy = False
            self._close()

    def drain(self) -> None:
        """Close when idle; let a request that has begun finish, and then close.

        An idle connection looks once more for a first byte that has just
        arrived, so that as little as possible is lost.
        """
        self.closing = True
        self._reader.take_no_more()
        # Without effect on a busy one: it waits for other things.
        get_hub().cancel_wait(self._arrival, _StopWaitingError())

    def _await_request(self) -> bool:
        """Wait for a request's first byte; whether there is one."""
        while True:
            try:
                self.busy = self._reader.look()
            except OSError:
                return False
            if self.busy or self._reader.ended or self.closing:
                return self.busy
            try:
                with Timeout(self._settings.keep_alive, _StopWaitingError):
                    get_hub().wait(self._arrival)
            except _StopWaitingError:
                self.closing = True

    def _serve_request(self) -> bool:
        """Read one request and answer it; whether another may follow."""
        begun = monotonic()
        self._reader.expect_within(self._settings.head_timeout)
        try:
            request = read_request(self._reader.stream, self._sock, self.address, self.server, self._settings)
        except BadRequestError as error:
            return self._refuse(error.status, begun)
        except TimeoutError:
            return self._refuse("408 Request Timeout", begun)
        except OSError:
            return False
        self._reader.expect_within(None)
        exchange = Exchange(
            request, self.server.application, self._send, lambda: self._may_stay_open(request.body)
        )
        try:
            exchange.run()
        finally:
            self._log(request.line, exchange.code, exchange.body_bytes, begun)
        self.busy = False
        return self._may_continue(exchange, request)

    def _may_stay_open(self, body: Body) -> bool:
        """Whether another request may follow, asked when the response's head leaves."""
        if body.awaits_continue or body.failure is not None:
            # RFC 9110, 10.1.1: the client may send the body now or not: nobody could tell it from a request.
            # Nor where a request begins behind a body that broke off.
            return False
        if not self.closing:
            return True
        unread = body.unread
        # Bytes beyond this request's body are the next request, which was begun and must be answered.
        return unread is None or self._reader.buffered > unread

    def _may_continue(self, exchange: Exchange, request: Request) -> bool:
        """Whether to look for another request, once the response is out and the rest of the body is gone."""
        self._reader.expect_within(self._settings.head_timeout)
        if exchange.keep_open and request.body.discard(self._settings.max_discard):
            return True
        with suppress(OSError):
            # The body's rest, or what a client sent behind it: more of it may be on its way.
            self._may_have_unread = request.body.unread != 0 or self._reader.look()
        return False

    def _refuse(self, status: str, begun: float) -> bool:
        """Answer what is not a request, and close: nobody knows where the next one would begin."""
        head, body = plain_error(status, closes=True)
        self._may_have_unread = True
        with suppress(ClientGoneError):
            self._send(head.encode(b"Connection: close\r\n") + body)
        self._log("-", head.code, len(body), begun)
        return False

    def _send(self, data: bytes) -> None:
        """Send all of `data`, in one write when the kernel takes it.

        Raises:
            ClientGoneError: the client closed, or took nothing for the stall timeout.

        """
        try:
            self._sock.settimeout(self._settings.stall_timeout)
            sent = self._sock.send(data)
            if sent < len(data):
                view = memoryview(data)
                while sent < len(data):
                    sent += self._sock.send(view[sent:])
            self._share.spend()
        except OSError as error:
            raise ClientGoneError(str(error)) from error

    def _log(self, line: str, code: int, body_bytes: int, begun: float) -> None:
        if self._settings.access_log:
            with suppress(OSError, ValueError):  # nobody reads it any more: no reason to lose a request
                self.server.log.write(format_line(self.address, line, code, body_bytes, monotonic() - begun))

    def _close(self) -> None:
        self._arrival.close()
        with suppress(OSError):
            if self._may_have_unread:
                self._linger()
        self._sock.close()

    def _linger(self) -> None:
        """Close in two steps, so that unread bytes do not reset the connection (RFC 9112, 9.6)."""
        with suppress(_StopWaitingError), Timeout(self._settings.linger, _StopWaitingError):
            self._sock.settimeout(None)
            self._sock.shutdown(native.SHUT_WR)
            while self._sock.recv(_LINGER_STEP):
                self._share.spend()
