"""Requests and responses over real sockets: framing, errors, and what the application may do."""

import errno
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from greenlane.wsgi import WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.wsgi.conftest import Client

    Serve = Callable[..., WSGIServer]
    Connect = Callable[[WSGIServer], Client]


def answer(result: Iterable[bytes], *headers: tuple[str, str], status: str = "200 OK") -> Any:
    """An application that always answers the same."""

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response(status, list(headers))
        return result

    return app


def echo(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Answers with the request's body."""
    start_response("200 OK", [])
    return [environ["wsgi.input"].read()]


class Closing:
    """A response iterable that says when it was closed."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.closed = Event()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def close(self) -> None:
        self.closed.set()


def test_a_list_is_framed_by_its_length(serve: "Serve", connect: "Connect") -> None:
    client = connect(serve(answer([b"Hello, ", b"world"])))
    for _ in range(2):
        reply = client.get()
        assert (reply.status, reply.headers["content-length"], reply.body) == (200, "12", b"Hello, world")
        assert "connection" not in reply.headers


def test_one_block_is_framed_by_its_length(serve: "Serve", connect: "Connect") -> None:
    """PEP 3333: when `len(iterable)` is 1, the block's length is the body's."""

    class OneBlock(Closing):
        def __len__(self) -> int:
            return 1

    assert connect(serve(answer(OneBlock([b"Hello"])))).get().headers["content-length"] == "5"


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


def test_an_http_1_0_client_gets_no_chunks(serve: "Serve", connect: "Connect") -> None:
    client = connect(serve(answer(iter([b"Hello, ", b"world"]))))
    reply = client.send("GET / HTTP/1.0\r\n\r\n").reply()
    assert (reply.headers["connection"], reply.body) == ("close", b"Hello, world")
    assert "transfer-encoding" not in reply.headers


def test_an_http_1_0_client_may_keep_its_connection(serve: "Serve", connect: "Connect") -> None:
    client = connect(serve(answer([b"Hello"])))
    for _ in range(2):
        reply = client.send("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").reply()
        assert (reply.headers["connection"], reply.body) == ("keep-alive", b"Hello")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_no_body_follows_where_none_may(serve: "Serve", connect: "Connect", status: str) -> None:
    """RFC 9110, 6.4.1. The next reply on the connection would begin with it."""
    client = connect(serve(answer([b"not allowed"], status=status)))
    assert client.get().body == b""
    assert client.get().status == int(status[:3])


def test_head_is_answered_like_get_without_the_body(serve: "Serve", connect: "Connect") -> None:
    client = connect(serve(answer([b"Hello"])))
    reply = client.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n").reply(head_only=True)
    assert reply.headers["content-length"] == "5"
    assert client.get().body == b"Hello"


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")]
)
def test_a_stream_that_is_not_sent_is_not_made(
    serve: "Serve", connect: "Connect", errors: io.StringIO, method: str, status: str
) -> None:
    """An endless one would hold the loop for ever: nothing is sent, so no client ever holds it up."""

    def chunks() -> Iterator[bytes]:
        yield b"Hello"
        raise AssertionError("a block that nobody gets was asked for")

    results: list[Closing] = []

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response(status, [])
        results.append(Closing(chunks()))
        return results[-1]

    client = connect(serve(app))
    for _ in range(2):  # the connection is whole, and goes on
        client.send(f"{method} / HTTP/1.1\r\nHost: test\r\n\r\n").reply(head_only=True)
        assert results[-1].closed.wait(5)
    assert errors.getvalue() == ""


def test_a_stream_of_nothing_is_framed_by_its_length(serve: "Serve", connect: "Connect") -> None:
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


def test_the_client_may_ask_to_close(serve: "Serve", connect: "Connect") -> None:
    client = connect(serve(answer([b"Hello"])))
    assert client.get("/", "Connection: TE, Close").headers["connection"] == "close"
    assert client.ended()


def test_the_application_may_ask_to_close(serve: "Serve", connect: "Connect") -> None:
    client = connect(serve(answer([b"Hello"], ("Connection", "close"))))
    assert client.get().headers["connection"] == "close"
    assert client.ended()


def test_a_large_body_arrives_whole(serve: "Serve", connect: "Connect") -> None:
    body = bytes(range(256)) * 40_000
    client = connect(serve(answer([body])))
    assert client.get().body == body
    assert client.get().body == body


# The request's body.


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
        f"Content-Length: {10**18}\r\n\r\n",
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


def test_a_large_body_that_nobody_read_costs_the_connection(serve: "Serve", connect: "Connect") -> None:
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


def test_a_body_that_was_never_asked_for_is_not_awaited(serve: "Serve", connect: "Connect") -> None:
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


# Errors.


def test_an_error_before_the_first_byte_is_a_500_that_tells_nothing(
    serve: "Serve", connect: "Connect", errors: io.StringIO
) -> None:
    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response("200 OK", [("X-Secret", "1")])
        raise ValueError("the password is swordfish")

    client = connect(serve(app))
    for _ in range(2):  # the connection is whole, and goes on
        reply = client.get("/path?token=secret")
        assert (reply.status, reply.body) == (500, b"Internal Server Error")
        assert "x-secret" not in reply.headers
    assert "ValueError: the password is swordfish" in errors.getvalue()
    assert "GET '/path' failed" in errors.getvalue()
    assert "token" not in errors.getvalue()


def test_the_environment_is_the_applications_to_change(
    serve: "Serve", connect: "Connect", errors: io.StringIO
) -> None:
    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        environ.clear()
        raise ValueError("after clearing it")

    client = connect(serve(app))
    assert client.get("/path").status == 500
    assert client.get("/path").status == 500
    assert "GET '/path' failed" in errors.getvalue()


@pytest.mark.parametrize("error", [gevent.Timeout(1), SystemExit(3), KeyError("x")], ids=repr)
def test_whatever_is_raised_ends_only_its_own_request(
    serve: "Serve", connect: "Connect", error: BaseException
) -> None:
    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        raise error

    server = serve(app)
    assert connect(server).get().status == 500
    assert connect(server).get().status == 500


def test_an_error_after_the_first_byte_closes_the_connection(
    serve: "Serve", connect: "Connect", errors: io.StringIO
) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"Hello"
        raise ValueError("too late")

    result = Closing(chunks())
    client = connect(serve(answer(result)))
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert client.rest().endswith(b"\r\n\r\n5\r\nHello\r\n")  # without the last chunk: visibly cut off
    assert result.closed.is_set()
    assert "ValueError: too late" in errors.getvalue()


def test_an_error_of_the_applications_own_sockets_is_its_error(
    serve: "Serve", connect: "Connect", errors: io.StringIO
) -> None:
    """A reset by its database is not a client that went away."""

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        raise ConnectionResetError(errno.ECONNRESET, "database went away")

    assert connect(serve(app)).get().status == 500
    assert "database went away" in errors.getvalue()


@pytest.mark.parametrize("result", [b"bytes", "text", ["text"], [None], None, 42], ids=repr)
def test_what_is_no_iterable_of_bytes_is_a_500(serve: "Serve", connect: "Connect", result: Any) -> None:
    assert connect(serve(answer(result))).get().status == 500


def test_no_start_response_is_a_500(serve: "Serve", connect: "Connect", errors: io.StringIO) -> None:
    assert connect(serve(lambda environ, start_response: [b"Hello"])).get().status == 500
    assert "did not call start_response" in errors.getvalue()


@pytest.mark.parametrize("promised", ["4", "6"])
def test_a_wrong_content_length_is_a_500_while_there_is_time(
    serve: "Serve", connect: "Connect", promised: str
) -> None:
    """Sent as it is, it would shift every later reply on the connection."""
    client = connect(serve(answer([b"Hello"], ("Content-Length", promised))))
    assert client.get().status == 500
    assert client.get().status == 500


@pytest.mark.parametrize(("promised", "sent"), [("4", b"Hell"), ("6", b"Hello")])
def test_a_wrong_content_length_found_late_closes_the_connection(
    serve: "Serve", connect: "Connect", promised: str, sent: bytes
) -> None:
    client = connect(serve(answer(iter([b"Hell", b"o"]), ("Content-Length", promised))))
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert client.rest().partition(b"\r\n\r\n")[2] == sent


def test_a_second_start_response_needs_exc_info(serve: "Serve", connect: "Connect") -> None:
    """PEP 3333, "The start_response() Callable"."""

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/twice":
            start_response("201 Created", [])
        try:
            raise ValueError
        except ValueError:
            start_response("202 Accepted", [], sys.exc_info())
        return [b""]

    client = connect(serve(app))
    assert client.get("/twice").status == 500
    assert client.get("/").status == 202


def test_exc_info_is_raised_again_after_the_first_byte(
    serve: "Serve", connect: "Connect", errors: io.StringIO
) -> None:
    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"Hello"
        try:
            raise ValueError("in the middle")
        except ValueError:
            start_response("500 Oh", [], sys.exc_info())
        yield b"never sent"

    client = connect(serve(app)).send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert b"never sent" not in client.rest()
    assert "ValueError: in the middle" in errors.getvalue()


def test_an_error_in_close_is_logged_and_the_reply_stands(
    serve: "Serve", connect: "Connect", errors: io.StringIO
) -> None:
    class Failing(Closing):
        def close(self) -> None:
            raise ValueError("in close")

    client = connect(serve(answer(Failing([b"Hello"]))))
    assert client.get().body == b"Hello"
    assert client.get().body == b"Hello"
    assert "ValueError: in close" in errors.getvalue()


def test_an_error_that_cannot_be_logged_is_answered(
    serve: "Serve", connect: "Connect", errors: io.StringIO
) -> None:
    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        raise ValueError

    errors.close()  # writing raises, as to a pipe whose reader has gone
    client = connect(serve(app))
    assert client.get().status == 500
    assert client.get().status == 500


# Clients that go away.


def test_a_client_that_goes_away_ends_its_response_quietly(
    serve: "Serve", connect: "Connect", errors: io.StringIO
) -> None:
    gone = Event()

    def chunks() -> Iterator[bytes]:
        while True:
            yield b"x" * 100_000
            assert gone.wait(5)

    result = Closing(chunks())
    client = connect(serve(answer(result))).send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    client.sock.recv(1)
    client.close()
    gone.set()
    assert result.closed.wait(5)
    assert errors.getvalue() == ""


def test_a_client_that_hangs_up_in_its_body_is_not_logged(
    serve: "Serve", connect: "Connect", errors: io.StringIO
) -> None:
    reading, done = Event(), Event()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        reading.set()
        try:
            environ["wsgi.input"].read()
        finally:
            done.set()
        return []

    client = connect(serve(app)).send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nHe")
    assert reading.wait(5)
    client.close()
    assert done.wait(5)
    gevent.sleep(0)
    assert errors.getvalue() == ""


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
        with pytest.raises(OSError, match="Non-hex"):
            environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [b"never mind"]

    client = connect(serve(app))
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
    reply = client.reply()
    assert (reply.body, reply.headers["connection"]) == (b"never mind", "close")
    assert client.ended()


def test_an_error_that_is_its_own_cause_is_an_error_like_any_other(
    serve: "Serve", connect: "Connect", errors: io.StringIO
) -> None:
    """Whoever follows its causes to their end would never be done."""

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        with pytest.raises(OSError, match="Non-hex"):
            environ["wsgi.input"].read()
        error = KeyError("mine")
        raise error from error

    client = connect(serve(app))
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
    assert client.reply().status == 500
    assert "KeyError: 'mine'" in errors.getvalue()


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
