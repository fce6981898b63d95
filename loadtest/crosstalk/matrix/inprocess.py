"""Small servers of the load test's own, in its process: for a block, on a free port of loopback.

Waits on gevent's sockets, in a patched process or not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gevent import socket
from gevent.pywsgi import WSGIHandler, WSGIServer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

STOPPING = 1.0
"""Seconds that connections may take to end before they are cut off."""


class _Handler(WSGIHandler):
    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        return environ | {"RAW_URI": self.path}  # as it was sent: PATH_INFO is decoded


class _Server(WSGIServer):
    handler_class = _Handler

    def handle(self, client_socket: socket.socket, address: Any) -> None:
        # gevent writes head and body apart: with Nagle's algorithm each reply would wait 40 ms.
        client_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().handle(client_socket, address)


@contextmanager
def serving(application: "WSGIApplication") -> Iterator[str]:
    """Serve ``application``, and give the address."""
    server = _Server(("127.0.0.1", 0), application, log=None, error_log=None)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.stop(timeout=STOPPING)
