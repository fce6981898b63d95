"""Bytes to WSGI and back: an HTTP/1.1 server on gevent.

Rule: knows nothing of `greenlane.app`; it serves any WSGI application
(PEP 3333). `Connection` plugs into gevent's own server as its
`handler_class`; drain and the bound on connections come with `WSGIServer`.
"""

from greenlane.wsgi.connection import Connection
from greenlane.wsgi.lane import request_id
from greenlane.wsgi.server import WSGIServer
from greenlane.wsgi.settings import Settings
from greenlane.wsgi.signals import serve_until_signal

__all__ = ["Connection", "Settings", "WSGIServer", "request_id", "serve_until_signal"]
