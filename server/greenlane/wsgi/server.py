"""The server: gevent's, with a bound on its connections and an end that loses no request.

Rule: the server owns what lives as long as it does (the listener, the set of
connections, the counters); a connection owns the rest. Must not know
applications, signals or the command line.
"""

import ssl
from collections import Counter
from contextlib import suppress
from socket import socket
from typing import Any, TextIO
from wsgiref.types import WSGIApplication, WSGIEnvironment

from gevent import Timeout, getcurrent, killall
from gevent.event import Event
from gevent.monkey import get_original
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer as GeventServer
from gevent.ssl import SSLSocket

from greenlane.wsgi.connection import Connection
from greenlane.wsgi.response import encode_head, plain_error
from greenlane.wsgi.settings import Settings
from greenlane.wsgi.stream import Stream

_NativeSocket: type[socket] = get_original("socket", "socket")

_KILL_TIMEOUT = 1.0
"""Seconds for a request that is cut off to run its `finally` blocks."""


class WSGIServer(GeventServer):
    """gevent's WSGI server with Greenlane's connections, a bound on them, and a drain.

    `start`, `stop`, `serve_forever` and `server_port` are as there.

    Args:
        listener: `(host, port)`, port 0 for a free one; or a socket that listens.
        application: any WSGI application.
        settings: limits and times.
        tls: a server context; None for plain HTTP. gevent's (`gevent.ssl.SSLContext`), or the standard
            library's when it was patched before the context was made.
        log: where the access log goes; stderr by default.
        error_log: where failures of the application go, as `wsgi.errors`; stderr by default.
        environ: more variables for every request's environment.

    Attributes:
        settings: as given.
        draining: whether the server has begun to stop.
        connections_accepted: how many connections it has taken since it was made.

    Raises:
        OSError: on `start`, the address is taken or not allowed.

    """

    def __init__(
        self,
        listener: tuple[str, int] | socket,
        application: WSGIApplication,
        *,
        settings: Settings | None = None,
        tls: ssl.SSLContext | None = None,
        log: TextIO | None = None,
        error_log: TextIO | None = None,
        environ: WSGIEnvironment | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.draining = False
        self.connections_accepted = 0
        self._connections: set[Connection] = set()
        self._addresses: Counter[str] = Counter()
        self._handshakes: set[Any] = set()
        self._tls = tls
        self._greenlets = Pool(self.settings.max_connections)
        self._drained = Event()
        super().__init__(
            listener,
            application,
            # A socket that listens has its backlog already.
            backlog=None if hasattr(listener, "accept") else self.settings.backlog,
            spawn=self._greenlets,
            log=log or "default",
            error_log=error_log or "default",
            environ=environ,
        )

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return len(self._connections)

    @property
    def busy(self) -> int:
        """How many requests have begun and are not answered."""
        return sum(connection.busy for connection in self._connections)

    def update_environ(self) -> None:
        """Fill in SERVER_NAME and SERVER_PORT: without gevent's reverse look-up, which may take seconds."""
        if self._tls is not None:
            self.environ["wsgi.url_scheme"] = "https"
        if isinstance(self.address, tuple):
            self.environ.setdefault("SERVER_NAME", self.address[0])
        else:  # a Unix socket has neither, and URLs that are made of them must have both
            self.environ.setdefault("SERVER_NAME", "localhost")
            self.environ.setdefault("SERVER_PORT", "80" if self._tls is None else "443")
        super().update_environ()

    def do_read(self) -> Any:
        """Accept a connection, if one waits, as a native socket: gevent's would be a third of what one costs.

        It would block the loop: only a `Stream` may read and write it, which does all the waiting, or TLS
        on a socket of gevent's in its place.
        """
        listener: Any = self.socket
        try:
            descriptor, address = listener._accept()  # noqa: SLF001 - as gevent's own `do_read`
        except BlockingIOError:
            return None
        return _NativeSocket(listener.family, listener.type, listener.proto, fileno=descriptor), address

    def do_handle(self, *args: Any) -> None:
        """Count a connection that was accepted, and give it a greenlet."""
        self.connections_accepted += 1
        super().do_handle(*args)

    def handle(self, sock: socket, address: Any) -> None:
        """Serve one connection, on a greenlet of its own."""
        most = self.settings.max_connections_per_address
        if most is None or not isinstance(address, tuple):
            self._serve(sock, address)
            return
        host = address[0]
        self._addresses[host] += 1
        try:
            connections = self._addresses[host]
            if connections <= most:
                self._serve(sock, address)
            elif self._tls is None:  # no handshake for it, so nothing that it could read
                # Those that linger are counted too: an address holds no more than twice its share.
                _turn_away(sock, self.settings.linger if connections <= 2 * most else 0.0)
        finally:
            self._addresses[host] -= 1
            if not self._addresses[host]:
                del self._addresses[host]

    def _serve(self, sock: socket, address: Any) -> None:
        if self._tls is not None:
            if self.draining:
                return  # as for those whose handshake was under way
            try:
                sock = self._shake_hands(sock, self._tls)
            except OSError:  # SSLError is one: it speaks something else, or not our versions
                return
        connection = Connection(sock, address, self)
        self._connections.add(connection)
        try:
            if self.draining:  # accepted just before
                connection.drain()
            connection.handle()
        finally:
            self._connections.discard(connection)

    def _shake_hands(self, sock: socket, tls: ssl.SSLContext) -> socket:
        """Begin TLS, within the time of a head. Raises `OSError`, and `TimeoutError` as one."""
        greenlet = getcurrent()
        secured: SSLSocket = tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self._handshakes.add(greenlet)
        try:
            with Timeout(self.settings.head_timeout, TimeoutError("the TLS handshake took too long")):
                secured.do_handshake()
        except BaseException:
            secured.close()
            raise
        finally:
            self._handshakes.discard(greenlet)
        return secured

    def drain(self, timeout: float | None = None) -> int:
        """Stop accepting, close idle connections, finish every request whose first byte was read.

        Args:
            timeout: seconds that those requests have; the settings' `drain_timeout` by default.

        Returns:
            How many requests were cut off when the time was over.

        """
        limit = self.settings.drain_timeout if timeout is None else timeout
        self.draining = True
        try:
            if self.started:
                self._accept_what_waits()
            self.close()
            for connection in list(self._connections):
                connection.drain()
            killall(list(self._handshakes), block=False)  # no request has begun there
            self._greenlets.join(timeout=limit)
            cut_off = self.busy
            self._greenlets.kill(block=True, timeout=_KILL_TIMEOUT)
        finally:
            self._drained.set()  # also when this is interrupted: others wait for it
        return cut_off

    def stop(self, timeout: float | None = None) -> None:
        """Drain for at most `timeout` seconds (1 by default, as in gevent), or await the drain under way."""
        if self.draining:
            self._drained.wait()
        else:
            self.drain(self.stop_timeout if timeout is None else timeout)

    def _accept_what_waits(self) -> None:
        """Take the connections that the kernel completed: closing the listener would reset them."""
        for _ in range(self.settings.backlog):
            if self.full():
                return
            try:
                accepted: Any = self.do_read()  # None when no more wait
            except OSError:  # no descriptor left, or reset already
                return
            if accepted is None:
                return
            self.do_handle(*accepted)


def _turn_away(sock: socket, linger: float) -> None:
    """Tell a client that it has enough connections, if it can be told at once.

    Args:
        sock: the connection.
        linger: how long to wait for the client's own close, in seconds: its request may be on its way.

    """
    head, body = plain_error("503 Service Unavailable")
    stream = Stream(sock)
    with suppress(OSError):
        sock.send(encode_head(head, b"Connection: close\r\n") + body)
        if linger:
            stream.linger(linger)
    stream.close()
