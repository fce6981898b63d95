"""How large a request may be, and how slowly it may come: its handshake, its head and its body.

A pause or a slow trickle of the client's is what is tried here, so these tests make some, short ones:
nothing is synchronised by them.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent.event import Event

from greenlane.wsgi import WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.wsgi.conftest import Answer, Client
    from tests.wsgi.limits.conftest import AwaitIdle, Dripping, Reader, Secure

    Serve = Callable[..., WSGIServer]
    Connect = Callable[[WSGIServer], Client]

GET = "GET / HTTP/1.1\r\nHost: test\r\n\r\n"
POST = "POST / HTTP/1.1\r\nHost: test\r\n"
MEGABYTE = 1_000_000


# Heads.


def test_a_handshake_that_never_comes_is_given_up(
    serve: "Serve", connect: "Connect", reader: "Reader", secured: Any
) -> None:
    client = connect(serve(reader, kind=secured, head_timeout=0.05))
    assert client.rest() == b""


def test_a_handshake_has_a_deadline_and_not_a_pause(
    serve: "Serve", reader: "Reader", secured: Any, secure: "Secure", dripping: "Dripping"
) -> None:
    client = secure(serve(reader, kind=secured, head_timeout=0.1))
    begun = monotonic()
    with dripping(client.sock, client.hello(), every=0.01), suppress(ConnectionError):
        while client.sock.recv(1):
            pass
    assert monotonic() - begun < 2


def test_a_record_in_bytes_does_not_hold_a_head(
    serve: "Serve", reader: "Reader", secured: Any, secure: "Secure", dripping: "Dripping"
) -> None:
    """Slowloris through TLS: a socket's own timeout begins anew with each byte of a record."""
    client = secure(serve(reader, kind=secured, head_timeout=0.2)).shake_hands()
    client.sock.sendall(client.record("G"))
    begun = monotonic()
    with dripping(client.sock, client.record("ET / HTTP/1.1\r\n" + "X: y\r\n" * 50), every=0.02):
        assert client.read().startswith(b"HTTP/1.1 408 ")
    assert monotonic() - begun < 3
    assert reader.calls == 0


def test_a_record_in_bytes_does_not_hold_a_body(
    serve: "Serve", reader: "Reader", secured: Any, secure: "Secure", dripping: "Dripping"
) -> None:
    server = serve(reader, kind=secured, body_timeout=0.2)
    client = secure(server).shake_hands()
    client.sock.sendall(client.record(POST + "Content-Length: 300\r\n\r\n"))
    begun = monotonic()
    with dripping(client.sock, client.record("x" * 300), every=0.02):
        assert client.read().startswith(b"HTTP/1.1 408 ")
    assert monotonic() - begun < 3


LINE = len("GET / HTTP/1.1")


@pytest.mark.parametrize(
    ("limit", "size", "status"),
    [
        ({"max_request_line": 100}, 100, 200),
        ({"max_request_line": 100}, 101, 414),
        ({"max_header_count": 5}, 5, 200),
        ({"max_header_count": 5}, 6, 431),
        ({"max_head_size": 300}, 300, 200),
        ({"max_head_size": 300}, 301, 431),
    ],
    ids=str,
)
@pytest.mark.parametrize("step", [1, 7, 10_000], ids=lambda step: f"{step} bytes at a time")
def test_a_head_may_be_as_large_as_its_limit(
    serve: "Serve",
    connect: "Connect",
    reader: "Reader",
    limit: dict[str, int],
    size: int,
    status: int,
    step: int,
) -> None:
    if "max_request_line" in limit:
        head = GET.replace("/ ", "/" + "a" * (size - LINE) + " ", 1)
    elif "max_header_count" in limit:
        head = GET[:-2] + "X: y\r\n" * (size - 1) + "\r\n"
    else:
        head = GET[:-2] + "X: " + "y" * (size - len(GET) - len("X: \r\n")) + "\r\n\r\n"
        assert len(head) == size
    client = connect(serve(reader, **limit))
    for start in range(0, size if "max_head_size" in limit else len(head), step):
        try:
            client.send(head[start : start + step])
        except ConnectionError:  # it has heard enough
            break
        gevent.sleep(0)
    assert client.reply().status == status
    assert reader.calls == (status == 200)


# Bodies.


def test_a_client_that_sends_a_byte_now_and_then_is_cut_off(
    serve: "Serve", connect: "Connect", reader: "Reader", dripping: "Dripping"
) -> None:
    """It never pauses for long: what counts is the rate."""
    client = connect(serve(reader, body_timeout=0.3, min_rate=10_000))
    begun = monotonic()
    client.send(POST + "Content-Length: 1000000\r\n\r\n")
    with dripping(client.sock, b"x" * MEGABYTE, every=0.005):
        assert client.reply().status == 408
    assert 0.25 < monotonic() - begun < 3
    assert client.ended()


def test_a_chunked_trickle_is_cut_off_too(
    serve: "Serve", connect: "Connect", reader: "Reader", dripping: "Dripping"
) -> None:
    client = connect(serve(reader, body_timeout=0.3, min_rate=10_000))
    client.send(POST + "Transfer-Encoding: chunked\r\n\r\n")
    with dripping(client.sock, b"1\r\nx\r\n" * MEGABYTE, every=0.005):
        assert client.reply().status == 408


def test_a_fast_client_may_pause_now_and_then(serve: "Serve", connect: "Connect", reader: "Reader") -> None:
    """Together the pauses are longer than the time; what came between has earned it again."""
    client = connect(serve(reader, body_timeout=0.4, min_rate=1_000))
    client.send(POST + "Content-Length: 4000\r\n\r\n")
    for _ in range(4):
        gevent.sleep(0.2)
        client.send("x" * 1000)
    assert client.reply().body == b"read"


def test_bytes_that_nobody_waited_for_count_too(serve: "Serve", connect: "Connect") -> None:
    """A pause, then much at once while the application is busy, then a pause."""
    first, go = Event(), Event()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        body = environ["wsgi.input"]
        body.read(1)
        first.set()
        assert go.wait(5)
        body.read()
        start_response("200 OK", [])
        return [b"read"]

    client = connect(serve(app, body_timeout=0.5, min_rate=1_000))
    client.send(POST + "Content-Length: 2002\r\n\r\n")
    gevent.sleep(0.3)
    client.send("x")
    assert first.wait(5)
    client.send("x" * 2000)
    go.set()
    gevent.sleep(0.3)
    client.send("x")
    assert client.reply().body == b"read"


def test_a_body_may_be_as_large_as_its_limit(serve: "Serve", connect: "Connect", reader: "Reader") -> None:
    server = serve(reader, max_body_size=10)
    for body in (
        "Content-Length: 10\r\n\r\n0123456789",
        "Transfer-Encoding: chunked\r\n\r\n" + "5\r\n01234\r\n" * 2 + "0\r\n\r\n",
    ):
        assert connect(server).send(POST + body).reply().status == 200
    assert (reader.calls, reader.received) == (2, 20)


def test_a_body_that_says_it_is_too_large_is_not_the_applications(
    serve: "Serve", connect: "Connect", reader: "Reader"
) -> None:
    client = connect(serve(reader, max_body_size=10)).send(POST + "Content-Length: 11\r\n\r\n0123456789a")
    reply = client.reply()
    assert (reply.status, reply.headers["connection"]) == (413, "close")
    assert client.ended()
    assert reader.calls == 0


@pytest.mark.parametrize("size", [1, 5, 11])
def test_chunks_that_become_too_many_are_a_413(
    serve: "Serve", connect: "Connect", reader: "Reader", size: int
) -> None:
    client = connect(serve(reader, max_body_size=10))
    client.send(POST + "Transfer-Encoding: chunked\r\n\r\n" + f"{size:x}\r\n{'x' * size}\r\n" * 11)
    reply = client.reply()
    assert (reply.status, reply.headers["connection"]) == (413, "close")
    assert client.ended()
    assert reader.received <= 10


def test_an_application_may_answer_too_many_chunks_itself(serve: "Serve", connect: "Connect") -> None:
    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        with pytest.raises(OSError, match="more than 10 bytes"):
            environ["wsgi.input"].read()
        start_response("422 Too Much", [])
        return []

    client = connect(serve(app, max_body_size=10))
    client.send(POST + "Transfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n0\r\n\r\n")
    reply = client.reply()
    assert (reply.status, reply.headers["connection"]) == (422, "close")
    assert client.ended()


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
@pytest.mark.parametrize(("size", "stays"), [(1000, True), (1001, False)])
def test_of_an_unread_body_no_more_is_read_than_its_limit(
    serve: "Serve", connect: "Connect", answer: "Answer", size: int, stays: bool, chunked: bool
) -> None:
    client = connect(serve(answer([b"no"]), max_discard=1000 + chunked))  # its end costs a look
    body = f"Content-Length: {size}\r\n\r\n" + "x" * size
    if chunked:
        body = f"Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n{'x' * size}\r\n0\r\n\r\n"
    client.send(POST + body + GET)
    assert client.reply().body == b"no"
    if stays:
        assert client.reply().body == b"no"
    else:
        assert client.ended()


@pytest.mark.parametrize("rest", ["", "llo"], ids=["nothing", "a trickle"])
def test_an_unread_body_must_come_in_the_time_of_a_head(
    serve: "Serve",
    connect: "Connect",
    answer: "Answer",
    rest: str,
    dripping: "Dripping",
    await_idle: "AwaitIdle",
) -> None:
    server = serve(answer([b"no"]), head_timeout=0.15, linger=0)
    client = connect(server).send(POST + "Content-Length: 5000\r\n\r\nHe")
    client.reply()
    with dripping(client.sock, rest.encode() * 1000, every=0.02):
        assert 0.1 < await_idle(server) < 2
