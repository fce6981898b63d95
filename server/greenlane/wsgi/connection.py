"""One connection, from accept to close: which requests it reads, and when it ends.

Rule: a connection is idle until the first byte of a request has been read and
busy from there until its response is out; only an idle one may be closed in
the middle of things. Must not know how a head is parsed or a response framed.
"""

from contextlib import suppress
from socket import IPPROTO_TCP, TCP_NODELAY, socket
from time import monotonic
from typing import Any

from gevent import Timeout, get_hub, getcurrent
from gevent.ssl import SSLSocket

from greenlane.wsgi.access import Entry, format_entry
from greenlane.wsgi.body import EMPTY, Body, EmptyBody, make_body
from greenlane.wsgi.environ import make_environ, template
from greenlane.wsgi.errors import BadRequestError, ClientGoneError
from greenlane.wsgi.exchange import Exchange
from greenlane.wsgi.files import RegularFile
from greenlane.wsgi.framing import keep_alive, says_more
from greenlane.wsgi.head import HeadParser
from greenlane.wsgi.lane import own_lane, request_id
from greenlane.wsgi.request import Request
from greenlane.wsgi.response import encode_head, plain_error
from greenlane.wsgi.settings import Settings
from greenlane.wsgi.stream import Patience, Stream

_CLOSE = b"Connection: close\r\n"
_DEFAULTS = Settings()


class _StopWaitingError(Exception):
    """Internal: an idle connection waited long enough, or the server drains."""


class Connection:
    """Serves the requests of one connection, one after the other, on one greenlet.

    It is what `gevent.pywsgi.WSGIServer` takes as its `handler_class`; with
    `greenlane.wsgi.WSGIServer` it can be drained too.

    Args:
        sock: the accepted connection, with its TLS handshake done if it has one.
        address: the client's address.
        server: gevent's server or a subclass. Its `settings` are used if it has any.

    Attributes:
        busy: whether the first byte of a request was read and its response is not out.
        closing: whether no further request may begin.
        sends_files: whether the kernel can send files by itself: not through TLS.

    """

    __slots__ = (
        "_body",
        "_common",
        "_heads",
        "_idle_since",
        "_idle_timer",
        "_lane",
        "_may_have_unread",
        "_passing_over",
        "_patience",
        "_served",
        "_settings",
        "_stream",
        "address",
        "busy",
        "closing",
        "sends_files",
        "server",
    )

    def __init__(self, sock: socket, address: object, server: Any) -> None:
        self.address = address
        self.server = server
        self.busy = False
        self.closing = False
        self.sends_files = not isinstance(sock, SSLSocket)
        self._settings: Settings = getattr(server, "settings", _DEFAULTS)
        self._stream = Stream(sock)
        self._heads = HeadParser(self._settings)
        self._common = template(server.environ, address)
        self._body: Body | EmptyBody = EMPTY
        self._patience = Patience(self._settings.write_timeout, self._settings.min_rate)
        self._served = 0
        self._idle_since = 0.0
        self._idle_timer: Any = None
        self._may_have_unread = False
        self._passing_over: Any = None  # the greenlet, meanwhile
        self._lane = own_lane()
        with suppress(OSError):  # not a TCP connection, or reset already
            sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)

    def handle(self) -> None:
        """Serve until the client or the server has had enough. Returns when the connection is closed."""
        try:
            self._serve()
        except Timeout as timeout:
            note = f"greenlane: {timeout} of an application was left running, and ended its connection\n"
            with suppress(OSError, ValueError):
                self._common["wsgi.errors"].write(note)

    def _serve(self) -> None:
        self._idle_since = monotonic()
        killed = True
        try:
            while self._await_request() and self._serve_request():
                pass
            killed = False
        finally:
            self.busy = False
            self._close(linger=not killed)

    def drain(self) -> None:
        """Close when idle; let a request that has begun finish, and then close.

        An idle connection looks once more for a first byte that has just
        arrived, so that as little as possible is lost.
        """
        self.closing = True
        self._stream.sparing = True
        self._stream.stop_waiting(_StopWaitingError())
        if self._passing_over is not None:
            get_hub().loop.run_callback(self._stop_passing_over)

    def _stop_passing_over(self) -> None:
        """Leave the rest of a body that nobody reads. Runs in the hub, so the greenlet waits somewhere."""
        if self._passing_over is not None:
            self._passing_over.throw(_StopWaitingError())

    def _await_request(self) -> bool:
        """Wait for a request's first byte; whether there is one."""
        stream = self._stream
        if stream.pending:
            stream.take_turn()
            self.busy = True
            return True
        try:
            # At once on a new connection, which mostly brings its request along; and through TLS, where bytes
            # may be at hand of which the kernel knows nothing any more.
            if self.closing or not self._served or not self.sends_files:
                stream.look()
            while not (stream.pending or stream.ended or self.closing):
                try:
                    if self._idle_timer is None:
                        self._start_idle_timer(self._settings.keep_alive)
                    stream.await_arrival()
                except _StopWaitingError:
                    self.closing = True
                stream.look()
        except OSError:
            return False
        self.busy = bool(stream.pending)
        return self.busy

    def _start_idle_timer(self, seconds: float) -> None:
        self._idle_timer = get_hub().loop.timer(seconds)  # a new one: a timer's time cannot be changed
        self._idle_timer.start(self._check_idle)

    def _check_idle(self) -> None:
        """Stop waiting for a request that took too long, and look again later. Runs in the hub."""
        self._idle_timer.close()
        left = self._idle_since + self._settings.keep_alive - monotonic()
        if left <= 0 and not self.busy:
            self._stream.stop_waiting(_StopWaitingError())
        # One timer that looks now and then, and not one started and stopped for each request. Also when there
        # was nothing to wait for: the rest of a body may still be thrown away, and the waiting comes after.
        self._start_idle_timer(left if left > 0 else self._settings.keep_alive)

    def _serve_request(self) -> bool:
        """Read one request and answer it; whether another may follow."""
        begun = monotonic()
        try:
            request = self._read_request()
        except BadRequestError as error:
            return self._refuse(error, begun)
        except TimeoutError:
            return self._refuse(BadRequestError("the head took too long", "408 Request Timeout"), begun)
        except OSError:
            return False
        exchange = Exchange(request, self.server.application, self)
        self._lane["exchange"] = exchange
        try:
            exchange.run()
        finally:
            if self._settings.access_log != "off":
                self._log(exchange, begun)
            self._lane.clear()
            if request.body.failure is not None:
                _let_go(request.body.failure)
        self.busy = False
        self._idle_since = monotonic()
        return exchange.keep_open and not self._stream.torn and self._pass_over_body()

    def _read_request(self) -> Request:
        """Read one request to the end of its head. Raises what `HeadParser.read` does."""
        head = self._heads.read(self._stream)
        body: Body | EmptyBody = EMPTY  # as the template has it: most requests have none
        try:
            environ = make_environ(self._common, head)
            if says_more(head):
                body = environ["wsgi.input"] = make_body(self._stream, self._settings, head)
        except BadRequestError as error:
            error.line, error.to_head = head.line, head.method == "HEAD"
            raise
        self._body = body
        self._patience.renew()
        self._served += 1
        return Request(environ, body, head.line, head.method, head.http_1_1, keep_alive(head))

    def may_stay_open(self) -> bool:
        """Whether another request may follow, asked when the response's head leaves."""
        body = self._body
        if body.awaits_continue or body.failure is not None:
            # RFC 9110, 10.1.1: the client may send the body now or not: nobody could tell it from a request.
            # Nor where a request begins behind a body that broke off.
            return False
        most = self._settings.max_requests_per_connection
        if most is not None and self._served >= most:
            return False
        if not self.closing:
            return True
        # Bytes beyond this request's body are the next request, which was begun and must be answered.
        return body.unread is not None and len(self._stream.pending) > body.unread

    def send(self, data: bytes, last: bool = False) -> None:
        """Send all of `data`; the last is what the connection is closed behind. Raises `ClientGoneError`."""
        self._stream.send(data, self._patience, last)

    def send_file(self, file: RegularFile, size: int) -> int:
        """Send `size` bytes of a file, and return how many it had. Raises `ClientGoneError`."""
        return self._stream.send_file(file.descriptor, file.position, size, self._patience)

    def _pass_over_body(self) -> bool:
        """Read what the application left of the body, within bounds; whether it is gone."""
        unread = self._body.unread
        if unread == 0:
            return True
        if self.closing and (unread is None or unread > len(self._stream.pending)):
            return False  # it would have to be waited for
        self._passing_over = getcurrent()
        try:
            return self._body.discard(self._settings.max_discard)
        except _StopWaitingError:
            return False
        finally:
            self._passing_over = None

    def _refuse(self, error: BadRequestError, begun: float) -> bool:
        """Answer what is not a request, and close: nobody knows where the next one would begin."""
        head, body = plain_error(error.status)
        self._may_have_unread = True
        sent = b"" if error.to_head else body  # RFC 9110, 9.3.2
        with suppress(ClientGoneError):
            self.send(encode_head(head, _CLOSE) + sent)
        if self._settings.access_log != "off":
            host, line = _host(self.address), error.line.decode("latin-1")
            self._write_log(
                Entry(host, line, int(error.status[:3]), len(sent), monotonic() - begun, "-", str(error))
            )
        return False

    def _log(self, exchange: Exchange, begun: float) -> None:
        request = exchange.request
        failure = request.body.failure
        self._write_log(
            Entry(
                # The application's view of it: behind a proxy, that is the client and not the proxy.
                str(request.environ.get("REMOTE_ADDR") or "-"),
                request.line.decode("latin-1"),
                exchange.code,
                exchange.body_bytes,
                monotonic() - begun,
                str(request_id),
                "" if failure is None else str(failure),
            )
        )

    def _write_log(self, entry: Entry) -> None:
        with suppress(OSError, ValueError):  # nobody reads it any more: no reason to lose a request
            self.server.log.write(format_entry(entry, self._settings.access_log))

    def _close(self, *, linger: bool) -> None:
        stream = self._stream
        try:
            if self._idle_timer is not None:
                self._idle_timer.close()
            self._heads.close()
            stream.close()
            if isinstance(stream.sock, SSLSocket):
                with suppress(OSError):
                    stream.sock.unwrap()  # says goodbye (RFC 8446, 6.1), and does not wait for the answer
            # The body's rest, or what a client sent behind it: more of it may be on its way.
            if linger and (self._may_have_unread or self._body.unread != 0 or stream.look()):
                stream.linger(self._settings.linger)
        except OSError:
            pass
        finally:
            stream.sock.close()


def _let_go(failure: BaseException) -> None:
    """Drop what a failure refers to: its frames refer to the connection, and those to it."""
    failure.__traceback__ = failure.__cause__ = failure.__context__ = None


def _host(address: object) -> str:
    return str(address[0]) if isinstance(address, tuple) else "-"
