"""The environment: what PEP 3333 asks of it, by the standard library's validator, on every kind of line."""

import io
from collections.abc import Callable, Iterable
from http.client import HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

import pytest
import trustme
from gevent import socket
from gevent.ssl import PROTOCOL_TLS_CLIENT, PROTOCOL_TLS_SERVER, SSLContext

from greenlane.wsgi import Settings, WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.wsgi.conftest import Client

    Serve = Callable[..., WSGIServer]
    Connect = Callable[[WSGIServer], Client]


class Application:
    """Reads its input in every way, answers in the way that the path says, and keeps the environment."""

    def __init__(self, file: Path) -> None:
        self.environ: WSGIEnvironment = {}
        self._file = file

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        self.environ = environ
        stream = environ["wsgi.input"]
        body = stream.readline() + stream.read(1) + b"".join(stream.readlines()) + stream.read(-1)
        if environ["PATH_INFO"] == "/nothing":
            start_response("204 No Content", [])
            return []
        start_response("200 OK", [("Content-Type", "text/plain")])
        if environ["PATH_INFO"] == "/file":
            wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](self._file.open("rb"), 10)
            return wrapped
        return iter([b"Hello, ", body])


@pytest.fixture
def application(tmp_path: Path) -> Application:
    file = tmp_path / "file"
    file.write_bytes(b"from a file")
    return Application(file)


POST = b"POST / HTTP/1.1\r\nHost: test\r\n"

REQUESTS = [
    (b"GET / HTTP/1.1\r\nHost: test\r\n\r\n", b"Hello, "),
    (b"GET / HTTP/1.0\r\n\r\n", b"Hello, "),
    (b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n", b""),
    (b"GET /nothing HTTP/1.1\r\nHost: test\r\n\r\n", b""),
    (b"GET /file HTTP/1.1\r\nHost: test\r\n\r\n", b"from a file"),
    (b"GET http://test:80/a?b HTTP/1.1\r\nHost: else\r\n\r\n", b"Hello, "),
    (POST + b"Content-Type: a/b\r\nContent-Length: 5\r\n\r\na\nb\nc", b"Hello, a\nb\nc"),
    (POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\na\nb\r\n2\r\n\nc\r\n0\r\n\r\n", b"Hello, a\nb\nc"),
    (b"GET / HTTP/1.1\r\nHost: test\r\nCookie: a=1\r\nX-A: \xe9\r\nConnection: close\r\n\r\n", b"Hello, "),
]


def check_all(connect: Callable[[], Any], errors: io.StringIO) -> None:
    """Send each request over a connection of its own: what the validator finds is a 500, and logged."""
    for request, body in REQUESTS:
        with connect() as sock:
            sock.settimeout(5)
            sock.sendall(request)
            reply = HTTPResponse(sock, method=request.split()[0].decode())
            reply.begin()
            assert (reply.status, reply.read()) in ((200, body), (204, b""))
            reply.close()
    assert errors.getvalue() == ""


def test_the_validator_passes_everything(
    serve: "Serve", application: Application, errors: io.StringIO
) -> None:
    server = serve(validator(application))
    check_all(lambda: socket.create_connection(("127.0.0.1", server.server_port)), errors)
    assert application.environ["wsgi.url_scheme"] == "http"


def test_the_validator_passes_everything_over_a_unix_socket(
    tmp_path: Path, application: Application, errors: io.StringIO
) -> None:
    path = str(tmp_path / "socket")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    server = WSGIServer(
        listener, validator(application), settings=Settings(access_log="off"), error_log=errors
    )
    server.start()

    def connect() -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        return sock

    try:
        check_all(connect, errors)
    finally:
        server.stop(timeout=0)
    told = {
        name: application.environ.get(name)
        for name in ("REMOTE_ADDR", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT")
    }
    assert told == {"REMOTE_ADDR": "", "REMOTE_PORT": None, "SERVER_NAME": "localhost", "SERVER_PORT": "80"}


def test_the_validator_passes_everything_over_tls(application: Application, errors: io.StringIO) -> None:
    authority = trustme.CA()
    ours, theirs = SSLContext(PROTOCOL_TLS_SERVER), SSLContext(PROTOCOL_TLS_CLIENT)
    authority.issue_cert("localhost").configure_cert(ours)
    authority.configure_trust(theirs)
    server = WSGIServer(
        ("127.0.0.1", 0),
        validator(application),
        settings=Settings(access_log="off"),
        tls=ours,
        error_log=errors,
    )
    server.start()
    try:
        check_all(
            lambda: theirs.wrap_socket(
                socket.create_connection(("127.0.0.1", server.server_port)), server_hostname="localhost"
            ),
            errors,
        )
    finally:
        server.stop(timeout=0)
    assert application.environ["wsgi.url_scheme"] == "https"
    assert application.environ["SERVER_PORT"] == str(server.address[1])


def test_one_requests_environment_is_not_the_next_ones(serve: "Serve", connect: "Connect") -> None:
    """They are made from one template, which an application must not be able to change."""
    seen: list[object] = []

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        seen.append(environ.get("mine"))
        environ["mine"] = "changed"
        environ["REMOTE_ADDR"] = "changed"
        seen.append(environ["SERVER_PROTOCOL"])
        environ["SERVER_PROTOCOL"] = "changed"
        start_response("200 OK", [])
        return [b""]

    client = connect(serve(app))
    client.get()
    client.get()
    assert seen == [None, "HTTP/1.1", None, "HTTP/1.1"]
