"""What an application interrupts or leaves behind: a write, a read, a time that runs on, a broken body.

A `gevent.Timeout` comes out of wherever the greenlet waits, and that is mostly in the server's own code. It
must leave nothing half done on a connection that goes on, and nothing to other requests.
"""

import gc
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from greenlane.wsgi import Connection, WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.wsgi.conftest import Client

    Serve = Callable[..., WSGIServer]
    Connect = Callable[[WSGIServer], Client]

GET = "GET / HTTP/1.1\r\nHost: test\r\n\r\n"
NEXT = "GET /next HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
CHUNKED = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
SIZED = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n"
SIZE = 20_000_000
"""More than the kernel holds for a client that takes nothing."""
LAST_CHUNK = b"0\r\n\r\n"


# Writes.


@pytest.mark.parametrize("headers", [[("Content-Length", str(SIZE + 4))], []], ids=["sized", "chunked"])
@pytest.mark.parametrize("gives_up", ["application", "server"])
def test_nothing_follows_a_write_that_broke_off(
    serve: "Serve", connect: "Connect", headers: list[tuple[str, str]], gives_up: str
) -> None:
    """What an application catches around `write` must not pass for a body that was sent.

    The body was counted as sent before it left: the rest of it, the last chunk and the next response all
    stood in the place of what was missing.
    """
    gave_up = Event()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/next":
            start_response("200 OK", [])
            return [b"NEXT"]
        write = start_response("200 OK", headers)
        limit = gevent.Timeout(0.1 if gives_up == "application" else None)
        with suppress(gevent.Timeout, OSError), limit:
            write(b"a" * SIZE)
        gave_up.set()
        with suppress(OSError):
            write(b"MORE")
        return []

    times = {} if gives_up == "application" else {"write_timeout": 0.1}
    client = connect(serve(app, **times)).send(GET + NEXT)
    assert gave_up.wait(5)
    body = client.rest().partition(b"\r\n\r\n")[2]
    assert 0 < len(body) < SIZE
    assert body.rstrip(b"a") in (b"", b"%x\r\n" % SIZE), "only what was begun"


class Halting:
    """A connected socket that takes two bytes of a last chunk, and then nothing while it is tried again."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, data: bytes, *args: Any) -> int:
        if bytes(data) == LAST_CHUNK:
            return self._sock.send(data[:2], *args)
        if bytes(data) == LAST_CHUNK[2:]:
            raise BlockingIOError
        return self._sock.send(data, *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class HaltingServer(WSGIServer):
    """Its clients take no last chunk."""

    def handle(self, sock: socket.socket, address: object) -> None:
        super().handle(Halting(sock), address)  # type: ignore[arg-type]


def test_nothing_follows_a_last_chunk_that_broke_off(serve: "Serve", connect: "Connect") -> None:
    """The body counted as whole before its last chunk had left, and the next response stood inside it."""

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"Hello"
        gevent.Timeout(0.05).start()  # goes off behind the application's end

    client = connect(serve(app, kind=HaltingServer)).send(GET + NEXT)
    assert client.rest().partition(b"\r\n\r\n")[2] == b"5\r\nHello\r\n0\r"


@pytest.mark.parametrize("before", [6, 14])
def test_nothing_follows_a_head_whose_body_broke_off(serve: "Serve", connect: "Connect", before: int) -> None:
    """A large body leaves behind its head, and between the two others may get their turn (every 16th time).

    What comes in there left the body counted as sent, and the next response stood in its place.
    """
    cut_off: list[bool] = []

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/big":
            start_response("200 OK", [])
            return iter([b"x"]) if environ["PATH_INFO"] == "/pieces" else [b"NEXT"]
        write = start_response("200 OK", [("Content-Length", "100000")])
        greenlet, waiting = gevent.getcurrent(), [True]
        gevent.spawn(lambda: waiting and greenlet.throw(gevent.Timeout(1)))
        with suppress(gevent.Timeout, OSError):
            write(b"a" * 100_000)
            waiting.clear()
        cut_off.append(bool(waiting))
        return []

    paths = ["/pieces", *["/"] * before, "/big"]
    client = connect(serve(app))
    client.send("".join(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n" for path in paths) + NEXT)
    body = client.rest().partition(b"Content-Length: 100000\r\n")[2].partition(b"\r\n\r\n")[2]
    assert cut_off == [True], "its turn did not end between head and body: the test tells nothing"
    assert body == b""


# Reads.


@pytest.mark.parametrize(
    ("before", "after"),
    [("0\r\n", "5\r\nhello\r\n0\r\n\r\n"), ("5\r\nhe", "llo\r\n0\r\n\r\n")],
    ids=["in the trailers", "in a chunk"],
)
def test_a_chunked_body_whose_reading_was_interrupted_has_failed(
    serve: "Serve", connect: "Connect", before: str, after: str
) -> None:
    """Nobody knows any more where in it the reading was: the size of the last chunk was forgotten.

    So what stood behind the last chunk, which is the next request, was read as more of the body.
    """
    interrupted, go = Event(), Event()
    read: list[object] = []

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        with suppress(gevent.Timeout), gevent.Timeout(0.05):
            read.append(environ["wsgi.input"].read())
        interrupted.set()
        assert go.wait(5)
        for _ in range(2):
            try:
                read.append(environ["wsgi.input"].read())
            except OSError as error:
                read.append(type(error).__name__)
        start_response("200 OK", [])
        return [b"done"]

    client = connect(serve(app)).send(CHUNKED + before)
    assert interrupted.wait(5)
    client.send(after)
    go.set()
    reply = client.reply()
    assert read == ["BadBodyError", "BadBodyError"]
    assert (reply.body, reply.headers["connection"]) == (b"done", "close")
    assert client.ended()


# What goes on behind a request.


def test_a_time_that_was_left_running_ends_its_connection_and_no_other(
    serve: "Serve", connect: "Connect", errors: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    """It goes off while the connection waits for its next request, and came out of the greenlet as a failure.

    The hub printed its traceback on stderr, where nobody looks for an application's errors.
    """

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/leave":
            gevent.Timeout(0.05).start()
        start_response("200 OK", [])
        return [b"Hello"]

    server = serve(app)
    leaving, other = connect(server), connect(server)
    assert other.get().status == 200
    assert leaving.get("/leave").status == 200
    assert leaving.ended()
    assert other.get().status == 200
    assert server.connections == 1
    assert "Traceback" not in capfd.readouterr().err
    [line] = errors.getvalue().splitlines()
    assert "was left running" in line


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Turn the cycle collector off."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def hang_up(client: "Client") -> None:
    client.send(SIZED + "abc").sock.shutdown(socket.SHUT_WR)


def hang_up_in_a_chunk(client: "Client") -> None:
    client.send(CHUNKED + "5\r\nhe").sock.shutdown(socket.SHUT_WR)


def stall(client: "Client") -> None:
    client.send(SIZED + "abc")


def send_nonsense(client: "Client") -> None:
    client.send(CHUNKED + "nonsense\r\n")


@pytest.mark.parametrize("catches", [False, True], ids=["fails", "catches it"])
@pytest.mark.parametrize("fault", [hang_up, hang_up_in_a_chunk, stall, send_nonsense])
def test_a_body_that_broke_off_leaves_nothing_to_the_collector(
    serve: "Serve",
    connect: "Connect",
    no_collector: None,
    fault: Callable[["Client"], None],
    catches: bool,
) -> None:
    """The failure was kept with its traceback, whose frames refer to the body that kept it.

    So each upload that broke off left its connection, its environment and what was read of it in memory
    until the collector came: which may be long, and costs all others a pause.
    """

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        with suppress(*((OSError,) if catches else ())):
            environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [b"Hello"]

    server = serve(app, body_timeout=0.02, linger=0.02)
    for _ in range(3):
        client = connect(server)
        fault(client)
        assert client.reply().status in ((200,) if catches else (400, 408))
        client.close()
    assert server.pool is not None
    assert server.pool.join(timeout=5)
    gevent.sleep(0)  # the last greenlet is let go of
    left = [thing for thing in gc.get_objects() if isinstance(thing, Connection) and thing.server is server]
    assert left == []
