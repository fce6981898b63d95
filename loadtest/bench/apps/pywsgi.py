"""gevent's own server as a program: ``python pywsgi.py MODULE:APP PORT BACKLOG [nodelay]``.

Rule: gevent's defaults, but for the access log, which is off for every server. With ``nodelay`` each accepted
connection gets TCP_NODELAY, and nothing else differs. Patches before it imports the application.
"""

import sys

from gevent import monkey

monkey.patch_all()

import importlib  # noqa: E402 - patching comes first
from socket import IPPROTO_TCP, TCP_NODELAY  # noqa: E402
from typing import Any  # noqa: E402

from gevent.pywsgi import WSGIServer  # noqa: E402


class NoDelayServer(WSGIServer):
    """gevent's server on connections that send at once."""

    def handle(self, client_socket: Any, address: Any) -> None:
        """Set the option on a connection that was just accepted, and go on as gevent does."""
        client_socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        super().handle(client_socket, address)


def main(target: str, port: str, backlog: str, *options: str) -> None:
    """Serve until the process is ended."""
    module, _, name = target.partition(":")
    make = NoDelayServer if "nodelay" in options else WSGIServer
    app = getattr(importlib.import_module(module), name)
    make(("127.0.0.1", int(port)), app, backlog=int(backlog), log=None).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
