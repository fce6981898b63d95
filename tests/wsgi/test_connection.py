"""A connection's life: one write per reply, times, limits, and what is refused as a request."""

import io
from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent import pywsgi, socket
from gevent.event import Event

from greenlane.wsgi import Connection, Settings, WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.wsgi.conftest import Client

    Serve = Callable[..., WSGIServer]
    Connect = Callable[[WSGIServer], Client]

GET = "GET / HTTP/1.1\r\nHost: test\r\n\r\n"


def hello(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello, ", b"world"]


class Recording:
    """A connected socket that notes how each reply was sent."""

    def __init__(self, sock: socket.socket, sends: list[bytes], flags: list[int]) -> None:
        self._sock = sock
        self._sends = sends
        self._flags = flags

    def send(self, data: bytes, flags: int = 0) -> int:
        self._sends.append(bytes(data))
        self._flags.append(flags)
        return self._sock.send(data, flags)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class RecordingServer(WSGIServer):
    """Notes every write and whether Nagle's algorithm is off."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sends: list[bytes] = []
        self.flags: list[int] = []
        self.sock: socket.socket | None = None

    def handle(self, sock: socket.socket, address: object) -> None:
        self.sock = sock
        super().handle(Recording(sock, self.sends, self.flags), address)  # type: ignore[arg-type]


def test_a_small_reply_is_one_write(serve: "Serve", connect: "Connect") -> None:
    server = serve(hello, kind=RecordingServer)
    assert isinstance(server, RecordingServer)
    client = connect(server)
    client.get()
    client.get()
    assert len(server.sends) == 2
    assert all(sent.startswith(b"HTTP/1.1 200 OK\r\n") for sent in server.sends)
    assert all(sent.endswith(b"\r\n\r\nHello, world") for sent in server.sends)


def test_the_last_reply_leaves_with_the_close(serve: "Serve", connect: "Connect") -> None:
    """One segment for both: the client wakes once. Not where more comes, or nothing follows at once."""

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        whole = hello(environ, start_response)
        return iter(whole) if environ["PATH_INFO"] == "/pieces" else whole

    server = serve(app, kind=RecordingServer)
    assert isinstance(server, RecordingServer)
    client = connect(server)
    client.get()
    assert client.get("/", "Connection: close").body == b"Hello, world"
    assert client.ended()
    assert server.flags == [0, socket.MSG_MORE]
    pieces = connect(server)
    assert pieces.get("/pieces", "Connection: close").body == b"Hello, world"
    assert pieces.ended()
    assert set(server.flags[2:]) == {0}


def test_nagles_algorithm_is_off(serve: "Serve", connect: "Connect") -> None:
    server = serve(hello, kind=RecordingServer)
    assert isinstance(server, RecordingServer)
    connect(server).get()
    assert server.sock is not None
    assert server.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_no_reply_waits_for_a_delayed_acknowledgement(serve: "Serve", connect: "Connect") -> None:
    """Linux delays one by 40 ms and more: with several writes and Nagle, every reply would wait that long."""

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"a"
        yield b"b"

    client = connect(serve(app))
    client.get()
    begun = monotonic()
    for _ in range(25):
        client.get()
    assert monotonic() - begun < 25 * 0.04 / 2


def test_the_connection_plugs_into_gevents_own_server(connect: "Connect") -> None:
    server = pywsgi.WSGIServer(("127.0.0.1", 0), hello, log=None, handler_class=Connection)  # type: ignore[arg-type]
    server.start()
    try:
        client = connect(server)  # type: ignore[arg-type]
        assert client.get().body == b"Hello, world"
        assert client.get().body == b"Hello, world"
    finally:
        server.stop()


def test_pipelined_requests_are_answered_in_order(serve: "Serve", connect: "Connect") -> None:
    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    client = connect(serve(app))
    client.send("".join(f"GET /{number} HTTP/1.1\r\nHost: test\r\n\r\n" for number in range(5)))
    assert [client.reply().body for _ in range(5)] == [b"/0", b"/1", b"/2", b"/3", b"/4"]


def test_the_environment_is_what_pep_3333_asks_for(serve: "Serve", connect: "Connect") -> None:
    environs: list[WSGIEnvironment] = []

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        environs.append(environ)
        return hello(environ, start_response)

    server = serve(app)
    client = connect(server)
    client.get("/a%20b/%C3%A9?x=1&y=%20", "X-Two: 1", "X-Two: 2", "Cookie: a=1", "Cookie: b=2")
    [environ] = environs
    port = client.sock.getsockname()[1]
    expected = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b/\xc3\xa9",
        "QUERY_STRING": "x=1&y=%20",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(server.server_port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": str(port),
        "HTTP_HOST": "test",
        "HTTP_X_TWO": "1, 2",
        "HTTP_COOKIE": "a=1; b=2",
        "wsgi.url_scheme": "http",
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    assert {name: environ[name] for name in expected} == expected
    assert type(environ) is dict


# Times.


def test_a_silent_client_is_dropped(serve: "Serve", connect: "Connect") -> None:
    client = connect(serve(hello, keep_alive=0.05))
    assert client.ended()


def test_an_idle_connection_is_closed(serve: "Serve", connect: "Connect") -> None:
    client = connect(serve(hello, keep_alive=0.05))
    client.get()
    assert client.ended()


@pytest.mark.parametrize("part", ["G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: test\r\nX-A"])
def test_a_head_that_never_ends_is_a_408(serve: "Serve", connect: "Connect", part: str) -> None:
    client = connect(serve(hello, head_timeout=0.05)).send(part)
    assert client.reply().status == 408
    assert client.ended()


def test_the_head_has_a_deadline_and_not_a_pause(serve: "Serve", connect: "Connect") -> None:
    """Slowloris: one byte now and then must not hold a connection."""
    client = connect(serve(hello, head_timeout=0.1))

    def drip() -> None:
        for byte in "GET / HTTP/1.1\r\nX: " + "a" * 1000:
            client.send(byte)
            gevent.sleep(0.01)

    dripping = gevent.spawn(drip)
    try:
        assert client.reply().status == 408
    finally:
        dripping.kill()


def test_a_body_that_stalls_is_a_408(serve: "Serve", connect: "Connect") -> None:
    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        environ["wsgi.input"].read()
        raise AssertionError("a body that never came was read")

    client = connect(serve(app, body_timeout=0.05))
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nHe")
    assert client.reply().status == 408
    assert client.ended()


def test_a_client_that_takes_nothing_is_dropped(
    serve: "Serve", connect: "Connect", errors: io.StringIO
) -> None:
    class Endless:
        def __init__(self) -> None:
            self.closed = Event()

        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield b"x" * 1_000_000

        def close(self) -> None:
            self.closed.set()

    result = Endless()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response("200 OK", [])
        return result

    client = connect(serve(app, write_timeout=0.05))
    client.send(GET)
    assert result.closed.wait(5)
    assert errors.getvalue() == ""


# What is no request: the rest of it is in the cases of tests/wsgi/wire.


def test_half_a_head_is_not_a_request(serve: "Serve", connect: "Connect") -> None:
    """The end of the stream must not pass for the end of the head: the lost fields may matter most."""
    called = Event()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        called.set()
        return hello(environ, start_response)

    client = connect(serve(app)).send("GET / HTTP/1.1\r\nHost: test\r\n")
    client.sock.shutdown(socket.SHUT_WR)
    assert client.ended()
    assert not called.is_set()


def test_an_empty_line_before_a_request_is_ignored(serve: "Serve", connect: "Connect") -> None:
    """RFC 9112, 2.2."""
    assert connect(serve(hello)).send("\r\n" + GET).reply().status == 200


# Floods: what never has to wait must not hold the others.


def test_a_client_that_pipelines_without_end_does_not_hold_the_others(
    serve: "Serve", connect: "Connect"
) -> None:
    paths = []

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        paths.append(environ["PATH_INFO"])
        return hello(environ, start_response)

    server = serve(app)
    flood, other = connect(server), connect(server)
    for client in (flood, other):
        client.get("/accepted")
    flood.send(GET * 5000)
    other.get("/other")
    assert len(paths) < 5000


def test_a_body_in_tiny_chunks_does_not_hold_the_others(serve: "Serve", connect: "Connect") -> None:
    done = []

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        environ["wsgi.input"].read()
        done.append(environ["PATH_INFO"])
        return hello(environ, start_response)

    server = serve(app)
    before, flood, after = (connect(server) for _ in range(3))
    for client in (before, flood, after):
        client.get("/accepted")
    chunks = "1;extended\r\nx\r\n" * 4000 + "0\r\n\r\n"
    before.send("GET /other HTTP/1.1\r\nHost: test\r\n\r\n")  # one of them is taken after the flood
    flood.send("POST /flood HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    after.send("GET /other HTTP/1.1\r\nHost: test\r\n\r\n")
    flood.reply()
    assert done[3:] == ["/other", "/other", "/flood"]


def test_a_long_stream_does_not_hold_the_others(serve: "Serve", connect: "Connect") -> None:
    made = 0

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
        nonlocal made
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/stream":
            while made < 5000:
                made += 1
                yield b"x"

    server = serve(app)
    stream, other = connect(server), connect(server)
    for client in (stream, other):
        client.get("/accepted")
    stream.send("GET /stream HTTP/1.1\r\nHost: test\r\n\r\n")
    other.get("/other")
    assert made < 5000
    assert len(stream.reply().body) == 5000


# Closing.


@pytest.mark.parametrize("behind", [1, 1000], ids=["in the buffer", "also in the kernel"])
def test_what_was_pipelined_behind_the_last_reply_does_not_destroy_it(
    serve: "Serve", connect: "Connect", behind: int
) -> None:
    """RFC 9112, 9.6: closing with bytes unread, or before more of them come, would reset the connection."""
    client = connect(serve(hello))
    client.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n" + GET * behind)
    assert client.reply().body == b"Hello, world"
    for _ in range(3):
        client.send(GET)
        gevent.sleep(0)
    assert client.ended()


@pytest.mark.parametrize("name", ["max_connections", "backlog", "keep_alive", "head_timeout"])
def test_a_limit_of_zero_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Settings(**{name: 0})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="drain_timeout"):
        Settings(drain_timeout=-1)
