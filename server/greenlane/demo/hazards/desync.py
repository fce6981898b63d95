"""A connection out of step: what one side takes for the rest of a request, the other takes for the next one.

Two servers for one application, which leaves the bodies of requests alone as many do. Nothing
here is patched: both wait on gevent's own sockets.

Must not import the registry, which imports this.
"""

from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from gevent.server import StreamServer

from greenlane.demo.hazards.apart import Apart
from greenlane.demo.hazards.hazard import Exercise, Hazard, everywhere
from greenlane.demo.hazards.sharing import OneLocal
from greenlane.wsgi import Settings, WSGIServer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class UnreadBodies(BaseHTTPRequestHandler):
    """Answers, and keeps the connection, with the body still on it: the standard library's own handler."""

    protocol_version = "HTTP/1.1"  # connections stay open
    timeout = 60.0
    app: Apart

    def do_GET(self) -> None:
        """Answer from the head alone."""
        status, headers = "500 Internal Server Error", []

        def start_response(given: str, fields: list[tuple[str, str]], *_error: object) -> Any:
            nonlocal status, headers
            status, headers = given, fields

        body = b"".join(self.app(self._environ(), start_response))
        self.send_response(int(status[:3]), status[4:])
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - a Content-Length is not looked at, and so nobody reads that much

    def log_message(self, *_arguments: object) -> None:
        """Say nothing of each request."""

    def _environ(self) -> "WSGIEnvironment":
        path, _, query = self.path.partition("?")
        return {
            "REQUEST_METHOD": self.command,
            "PATH_INFO": unquote(path, "latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "HTTP_COOKIE": self.headers.get("Cookie", ""),
            "wsgi.input": self.rfile,
            "wsgi.url_scheme": "http",
        }


def unread_bodies() -> StreamServer:
    """Return the server with the mistake, on a free port of loopback."""
    app = Apart("desync", {"broken": OneLocal})
    handler = type("Handler", (UnreadBodies,), {"app": app})
    return StreamServer(("127.0.0.1", 0), lambda peer, address: handler(peer, address, None))


def greenlanes_own() -> WSGIServer:
    """Return Greenlane's server, which reads what an application has left of a body, or closes."""
    app = Apart("desync", {"fixed": OneLocal})
    return WSGIServer(("127.0.0.1", 0), app, settings=Settings(access_log="off"))


SERVERS: Final = {"broken": unread_bodies, "fixed": greenlanes_own}


class Desync(Hazard):
    """The data is kept apart, and the replies are handed to the wrong people."""

    name = "desync"
    summary = "A server does not read a request's body to its end, and takes the rest for the next request."
    shows = "from the first such body on, each reply of a connection is the one before it"
    cause = (
        "Between a proxy and a server one connection carries the requests of many people, and replies "
        "have no names: only their order says whose they are. Where the two disagree about where a "
        "request ends, somebody's body becomes a request, and all later replies go to the next in line."
    )
    incidents = (
        "https://nvd.nist.gov/vuln/detail/CVE-2023-41419",
        "https://github.com/gevent/gevent/issues/1989",
    )
    exercise = Exercise("pipelined")
    own_server = "desync"
    shown = (UnreadBodies,)
    not_applicable = everywhere("replies change places on the wire, wherever the request keeps its data")

    def variants(self) -> Mapping[str, str]:
        """Return which server serves: the application is the same."""
        return {
            "broken": "http.server's handler with HTTP/1.1: answers a POST without reading its body.",
            "fixed": "Greenlane's server: reads what the application left of the body, or closes.",
        }
