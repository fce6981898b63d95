"""Requests and responses over real sockets: how a response is framed, and requests that overlap."""

import io
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import gevent
import pytest
from gevent.event import Event

from greenlane.wsgi import WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.wsgi.conftest import Answer, Client, Closing

    Serve = Callable[..., WSGIServer]
    Connect = Callable[[WSGIServer], Client]


def test_a_list_is_framed_by_its_length(serve: "Serve", connect: "Connect", answer: "Answer") -> None:
    client = connect(serve(answer([b"Hello, ", b"world"])))
    for _ in range(2):
        reply = client.get()
        assert (reply.status, reply.headers["content-length"], reply.body) == (200, "12", b"Hello, world")
        assert "connection" not in reply.headers


def test_one_block_is_framed_by_its_length(serve: "Serve", connect: "Connect", answer: "Answer") -> None:
    """PEP 3333: when `len(iterable)` is 1, the block's length is the body's."""

    class OneBlock:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"Hello"])

        def __len__(self) -> int:
            return 1

    assert connect(serve(answer(OneBlock()))).get().headers["content-length"] == "5"


def test_an_iterator_is_chunked(serve: "Serve", connect: "Connect") -> None:
    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"Hello, "
        yield b""  # must not end the body
        yield b"world"

    client = connect(serve(app))
    for _ in range(2):
        reply = client.get()
        assert (reply.headers["transfer-encoding"], reply.body) == ("chunked", b"Hello, world")


def test_each_block_leaves_before_the_next_is_asked_for(serve: "Serve", connect: "Connect") -> None:
    """PEP 3333, "Buffering and Streaming"."""
    seen = Event()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        yield b"a"
        assert seen.wait(5)
        yield b"b"

    client = connect(serve(app)).send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    head = b""
    while not head.endswith(b"\r\n\r\na"):
        head += client.sock.recv(1)
    seen.set()
    assert client.sock.recv(10) == b"b"


def test_the_write_callable_comes_before_what_is_returned(serve: "Serve", connect: "Connect") -> None:
    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        write = start_response("200 OK", [])
        write(b"Hello, ")
        return [b"world"]

    assert connect(serve(app)).get().body == b"Hello, world"


def test_an_http_1_0_client_gets_no_chunks(serve: "Serve", connect: "Connect", answer: "Answer") -> None:
    client = connect(serve(answer(iter([b"Hello, ", b"world"]))))
    reply = client.send("GET / HTTP/1.0\r\n\r\n").reply()
    assert (reply.headers["connection"], reply.body) == ("close", b"Hello, world")
    assert "transfer-encoding" not in reply.headers


def test_an_http_1_0_client_may_keep_its_connection(
    serve: "Serve", connect: "Connect", answer: "Answer"
) -> None:
    client = connect(serve(answer([b"Hello"])))
    for _ in range(2):
        reply = client.send("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").reply()
        assert (reply.headers["connection"], reply.body) == ("keep-alive", b"Hello")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_no_body_follows_where_none_may(
    serve: "Serve", connect: "Connect", answer: "Answer", status: str
) -> None:
    """RFC 9110, 6.4.1. The next reply on the connection would begin with it."""
    client = connect(serve(answer([b"not allowed"], status=status)))
    assert client.get().body == b""
    assert client.get().status == int(status[:3])


def test_head_is_answered_like_get_without_the_body(
    serve: "Serve", connect: "Connect", answer: "Answer"
) -> None:
    client = connect(serve(answer([b"Hello"])))
    reply = client.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n").reply(head_only=True)
    assert reply.headers["content-length"] == "5"
    assert client.get().body == b"Hello"


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")]
)
def test_a_stream_that_is_not_sent_is_not_made(
    serve: "Serve",
    connect: "Connect",
    closing: "type[Closing]",
    errors: io.StringIO,
    method: str,
    status: str,
) -> None:
    """An endless one would hold the loop for ever: nothing is sent, so no client ever holds it up."""

    def chunks() -> Iterator[bytes]:
        yield b"Hello"
        raise AssertionError("a block that nobody gets was asked for")

    results: list[Closing] = []

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response(status, [])
        results.append(closing(chunks()))
        return results[-1]

    client = connect(serve(app))
    for _ in range(2):  # the connection is whole, and goes on
        client.send(f"{method} / HTTP/1.1\r\nHost: test\r\n\r\n").reply(head_only=True)
        assert results[-1].closed.wait(5)
    assert errors.getvalue() == ""


def test_a_stream_of_nothing_is_framed_by_its_length(
    serve: "Serve", connect: "Connect", answer: "Answer"
) -> None:
    client = connect(serve(answer(iter([b"", b""]))))
    for _ in range(2):
        reply = client.get()
        assert (reply.headers["content-length"], reply.body) == ("0", b"")


def test_nothing_is_written_behind_a_response(serve: "Serve", connect: "Connect") -> None:
    """The desync hazard: whoever kept `write` would write into the connection's next response."""
    kept: list[Callable[[bytes], object]] = []

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        kept.append(start_response("200 OK", []))
        if len(kept) == 2:
            with pytest.raises(RuntimeError, match="complete"):
                kept[0](b"too late")
        return iter([b"Hello, ", b"world"])

    client = connect(serve(app))
    for _ in range(2):
        assert client.get().body == b"Hello, world"


def test_the_client_may_ask_to_close(serve: "Serve", connect: "Connect", answer: "Answer") -> None:
    client = connect(serve(answer([b"Hello"])))
    assert client.get("/", "Connection: TE, Close").headers["connection"] == "close"
    assert client.ended()


def test_a_large_body_arrives_whole(serve: "Serve", connect: "Connect", answer: "Answer") -> None:
    body = bytes(range(256)) * 40_000
    client = connect(serve(answer([body])))
    assert client.get().body == body
    assert client.get().body == body


# Overlap.


def test_requests_overlap_on_one_thread(serve: "Serve", connect: "Connect") -> None:
    inside: list[object] = []
    both = Event()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        inside.append(gevent.getcurrent())
        if len(inside) == 2:
            both.set()
        assert both.wait(5)  # each waits for the other: one at a time would never end
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    server = serve(app)
    clients = [connect(server) for _ in range(2)]
    for number, client in enumerate(clients):
        client.send(f"GET /{number} HTTP/1.1\r\nHost: test\r\n\r\n")
    assert [client.reply().body for client in clients] == [b"/0", b"/1"]
    assert inside[0] is not inside[1]
