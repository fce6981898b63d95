"""The request's body over real sockets: read, left unread, awaited, broken off."""

import io
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import pytest
from gevent import socket

from greenlane.wsgi import WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.wsgi.conftest import Answer, Client

    Serve = Callable[..., WSGIServer]
    Connect = Callable[[WSGIServer], Client]


def echo(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Answers with the request's body."""
    start_response("200 OK", [])
    return [environ["wsgi.input"].read()]


def test_a_body_is_read_by_its_length(serve: "Serve", connect: "Connect") -> None:
    client = connect(serve(echo))
    for body in ("Hello", "", "again"):
        sent = client.send(f"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n\r\n{body}")
        assert sent.reply().body == body.encode()


def test_a_chunked_body_is_read_to_its_end(serve: "Serve", connect: "Connect") -> None:
    client = connect(serve(echo))
    head = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    for _ in range(2):
        assert client.send(head + "5\r\nHello\r\n7\r\n, world\r\n0\r\n\r\n").reply().body == b"Hello, world"


def test_a_body_is_read_line_by_line(serve: "Serve", connect: "Connect") -> None:
    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"|".join(environ["wsgi.input"])]

    client = connect(serve(app)).send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\na\nb\nc")
    assert client.reply().body == b"a\n|b\n|c"


def test_a_form_with_files_is_a_request_like_any_other(serve: "Serve", connect: "Connect") -> None:
    """Its parts are in the body: a head is not incomplete because it has none of them."""
    client = connect(serve(echo))
    body = '--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\nHello\r\n--x--\r\n'
    for kind in ("multipart/form-data; boundary=x", "multipart/mixed", "message/rfc822"):
        fields = f"Host: test\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        reply = client.send(f"POST / HTTP/1.1\r\n{fields}\r\n{body}").reply()
        assert (reply.status, reply.body) == (200, body.encode())


@pytest.mark.parametrize(
    "framing",
    [
        f"Content-Length: {10**9}\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n",
    ],
    ids=["more than memory", "chunk"],
)
@pytest.mark.parametrize("method", ["read", "readline"])
def test_a_length_costs_nothing_before_the_body_comes(
    serve: "Serve", connect: "Connect", errors: io.StringIO, framing: str, method: str
) -> None:
    """Only the client says how long its body will be."""

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        getattr(environ["wsgi.input"], method)()
        raise AssertionError("a body that never came was read")

    client = connect(serve(app)).send(f"POST / HTTP/1.1\r\nHost: test\r\n{framing}Hello")
    client.sock.shutdown(socket.SHUT_WR)
    assert client.reply().status == 400
    assert client.ended()
    assert errors.getvalue() == ""


@pytest.mark.parametrize(
    "framing",
    ["Content-Length: 36\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n24\r\n"],
    ids=["length", "chunks"],
)
def test_a_body_that_nobody_read_is_not_the_next_request(
    serve: "Serve", connect: "Connect", framing: str
) -> None:
    """The desync hazard: the body looks like a request of its own."""
    paths = []

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        paths.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return [b"Hello"]

    client = connect(serve(app))
    smuggled = "GET /smuggled HTTP/1.1\r\nHost: test\r\n"[:36]
    end = "\r\n0\r\n\r\n" if "chunked" in framing else ""
    client.send(f"POST /first HTTP/1.1\r\nHost: test\r\n{framing}{smuggled}{end}").reply()
    client.get("/second")
    assert paths == ["/first", "/second"]


def test_a_large_body_that_nobody_read_costs_the_connection(
    serve: "Serve", connect: "Connect", answer: "Answer"
) -> None:
    client = connect(serve(answer([b"no, thank you"]), max_discard=1000))
    client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 500000\r\n\r\n" + bytes(500_000))
    assert client.reply().body == b"no, thank you"
    assert client.ended()


def test_continue_is_sent_when_the_body_is_asked_for(serve: "Serve", connect: "Connect") -> None:
    client = connect(serve(echo))
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n")
    assert client.reply(head_only=True).status == 100
    assert client.send("Hello").reply().body == b"Hello"
    assert client.get().body == b""


def test_a_body_that_was_never_asked_for_is_not_awaited(
    serve: "Serve", connect: "Connect", answer: "Answer"
) -> None:
    """RFC 9110, 10.1.1: it may come or not, so the connection cannot go on."""
    client = connect(serve(answer([b"no"])))
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert client.reply().headers["connection"] == "close"
    assert client.ended()


def test_continue_does_not_stand_in_the_middle_of_a_response(serve: "Serve", connect: "Connect") -> None:
    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"first, "
        yield environ["wsgi.input"].read()

    client = connect(serve(app))
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nHello")
    reply = client.reply()
    assert (reply.status, reply.body) == (200, b"first, Hello")


def test_a_chunk_that_is_none_is_a_bad_request(
    serve: "Serve", connect: "Connect", errors: io.StringIO
) -> None:
    client = connect(serve(echo))
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
    assert client.reply().status == 400
    assert client.ended()
    assert errors.getvalue() == ""


def test_an_application_may_answer_a_body_that_broke_off(serve: "Serve", connect: "Connect") -> None:
    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        with pytest.raises(OSError, match="a chunk's size"):
            environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [b"never mind"]

    client = connect(serve(app))
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
    reply = client.reply()
    assert (reply.body, reply.headers["connection"]) == (b"never mind", "close")
    assert client.ended()
