"""Apps on the real server, over sockets: what the lanes of kept-alive connections see."""

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from greenlane import (
    App,
    current_app,
    g,
    get_ident,
    has_app_context,
    has_request_context,
    request,
    session,
    stream_with_context,
)
from greenlane.wsgi import Settings, WSGIServer

TIMEOUT = 10
CONNECTIONS = 20
ROUNDS = 15


@pytest.fixture
def serve() -> Iterator[Callable[[Any], WSGIServer]]:
    """Start servers on free ports; at the end, nothing may have failed in them."""
    servers: list[WSGIServer] = []
    errors = io.StringIO()

    def start(application: Any) -> WSGIServer:
        settings = Settings(access_log="off")
        server = WSGIServer(("127.0.0.1", 0), application, settings=settings, error_log=errors)
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop(timeout=1)
    assert errors.getvalue() == ""


class Connection:
    """A kept-alive connection. Every wait ends after `TIMEOUT` seconds."""

    def __init__(self, server: WSGIServer) -> None:
        self.sock = socket.create_connection(("127.0.0.1", server.server_port), timeout=TIMEOUT)
        self._reader = self.sock.makefile("rb")

    def send(self, path: str) -> None:
        self.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())

    def head(self) -> dict[str, str]:
        """Read the head of a reply, which must be a 200."""
        assert self._reader.readline() == b"HTTP/1.1 200 OK\r\n"
        lines = iter(lambda: self._reader.readline().decode().strip(), "")
        return dict(line.split(": ", 1) for line in lines)

    def chunk(self) -> str:
        """Read one chunk of a body; the last one is empty."""
        text = self._reader.read(int(self._reader.readline(), 16)).decode()
        assert self._reader.readline() == b"\r\n"
        return text

    def get(self, path: str) -> str:
        self.send(path)
        head = self.head()
        if "Content-Length" in head:
            return self._reader.read(int(head["Content-Length"])).decode()
        return "".join(iter(self.chunk, ""))

    def close(self) -> None:
        self._reader.close()
        self.sock.close()


@pytest.fixture
def connect() -> Iterator[Callable[[WSGIServer], Connection]]:
    connections: list[Connection] = []

    def open_one(server: WSGIServer) -> Connection:
        connections.append(Connection(server))
        return connections[-1]

    yield open_one
    for connection in connections:
        connection.close()


def clean() -> bool:
    return not has_request_context() and not has_app_context()


def test_several_apps_under_mixed_load(serve: Any, connect: Any, app: App, meeting: Any) -> None:
    """B46: each connection serves both Apps in turn, and in each round all are inside at once.

    Between what a view sees first and what it sees then, every other request of its
    round has run: half of them of the other App.
    """
    other = App("second")
    meets = [meeting(CONNECTIONS) for _ in range(ROUNDS)]

    def look() -> list[str]:
        return [current_app.name, request.script_root, request.path, request.args["nonce"]]

    def view() -> Any:
        assert "nonce" not in g
        g.nonce = request.args["nonce"]
        before = look()
        meets[int(request.args["round"])].wait()
        return [before, look(), g.nonce]

    app.add_url_rule("/index", "index", view)
    other.add_url_rule("/index2", "index2", view)
    server = serve(DispatcherMiddleware(app, {"/sec": other}))

    def client(number: int) -> list[str]:
        connection = connect(server)
        paths = ("/index", "/sec/index2")
        return [
            connection.get(f"{paths[(number + turn) % 2]}?round={turn}&nonce={number}.{turn}")
            for turn in range(ROUNDS)
        ]

    clients = [gevent.spawn(client, number) for number in range(CONNECTIONS)]
    gevent.joinall(clients, timeout=30, raise_error=True)
    for number, job in enumerate(clients):
        for turn, reply in enumerate(job.value or ()):
            nonce = f"{number}.{turn}"
            first = ["shop", "", "/index", nonce]
            seen = first if (number + turn) % 2 == 0 else ["second", "/sec", "/index2", nonce]
            assert json.loads(reply) == [seen, seen, nonce]
    assert all(len(set(meet.arrived)) == CONNECTIONS for meet in meets)


def test_streams_on_kept_alive_connections(serve: Any, connect: Any, app: App, meeting: Any) -> None:
    """B57: overlapping streams see their own request; the next on the greenlet finds none of it."""
    meets = [meeting(CONNECTIONS) for _ in range(3)]
    ended: list[str] = []
    app.teardown_request(lambda exc: ended.append(f"{request.path} {exc}"))
    lanes: dict[str, set[object]] = {}

    @app.get("/stream/<name>")
    def streamed(name: str) -> Any:
        g.name = session["name"] = name

        @stream_with_context
        def generate() -> Iterator[str]:
            for meet in meets:
                lanes.setdefault(name, set()).add(get_ident())
                meet.wait()
                yield f"{request.path} {g.name} {session['name']} "

        return generate()

    @app.get("/next/<name>")
    def following(name: str) -> str:
        assert get_ident() in lanes[name]
        return str((request.path, "name" in g, f"/stream/{name} None" in ended))

    def around(environ: Any, start_response: Any) -> Any:
        assert clean()
        body = app(environ, start_response)
        assert clean()
        return body

    server = serve(around)

    def client(name: str) -> tuple[str, str]:
        connection = connect(server)
        return connection.get(f"/stream/{name}"), connection.get(f"/next/{name}")

    names = [f"n{number}" for number in range(CONNECTIONS)]
    clients = [gevent.spawn(client, name) for name in names]
    gevent.joinall(clients, timeout=30, raise_error=True)
    assert [job.value for job in clients] == [
        (f"/stream/{name} {name} {name} " * 3, str((f"/next/{name}", False, True))) for name in names
    ]
    assert all(len(set(meet.arrived)) == CONNECTIONS for meet in meets)
    assert all(len(idents) == 1 for idents in lanes.values())
    assert len(ended) == 2 * CONNECTIONS


def test_a_client_that_goes_away_in_mid_stream(serve: Any, connect: Any, app: App) -> None:
    """B57: the generator is closed in its request, and teardown runs once."""
    gone, ended = Event(), Event()
    log: list[str] = []

    @app.teardown_appcontext
    def teardown(exc: BaseException | None) -> None:
        log.append(f"teardown {g.name} {exc}")
        ended.set()

    @app.get("/")
    def view() -> Any:
        g.name = "ada"

        def generate() -> Iterator[bytes]:
            try:
                yield b"first"
                assert gone.wait(TIMEOUT)
                for _ in range(1000):  # more than any buffer on the way takes
                    yield bytes(1 << 20)
                log.append("all sent")
            finally:
                log.append(f"closed {request.path}")

        return stream_with_context(generate())

    connection = connect(serve(app))
    connection.send("/")
    connection.head()
    assert connection.chunk() == "first"
    assert log == []
    connection.close()
    gone.set()
    assert ended.wait(TIMEOUT)
    assert log == ["closed /", "teardown ada None"]
