"""How many connections and requests there may be, how long a connection may be idle, and how it ends.

A pause or a slow trickle of the client's is what is tried here, so these tests make some, short ones:
nothing is synchronised by them.
"""

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from greenlane.wsgi import WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.wsgi.conftest import Answer, Client
    from tests.wsgi.limits.conftest import AwaitIdle, Dripping, Reader, Secure

    Serve = Callable[..., WSGIServer]
    Connect = Callable[[WSGIServer], Client]

GET = "GET / HTTP/1.1\r\nHost: test\r\n\r\n"
BAD = "nonsense\r\n\r\n"
POST = "POST / HTTP/1.1\r\nHost: test\r\n"

# Connections.


@pytest.mark.parametrize("what", ["nonsense", "half a head", "half a body", "nothing", "reset"])
def test_a_connection_that_failed_gives_its_place_back(
    serve: "Serve", connect: "Connect", reader: "Reader", what: str
) -> None:
    server = serve(reader, max_connections=1, head_timeout=0.05, keep_alive=0.05, body_timeout=0.05, linger=0)
    client = connect(server)
    if what == "nonsense":
        client.send(BAD)
    elif what == "half a head":
        client.send(GET[:10])
    elif what == "half a body":
        client.send(POST + "Content-Length: 5\r\n\r\nHe")
    elif what == "reset":
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        client.send(GET[:10]).close()
    assert connect(server).get().body == b"read"


def test_a_handshake_that_failed_gives_its_place_back(
    serve: "Serve", connect: "Connect", reader: "Reader", secured: Any, secure: "Secure"
) -> None:
    server = serve(reader, kind=secured, max_connections=1)
    with suppress(ConnectionError):
        connect(server).send(GET).rest()
    reply = secure(server).shake_hands()
    reply.sock.sendall(reply.record(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")))
    assert reply.read().endswith(b"\r\n\r\nread")


def test_one_address_gets_its_share_and_no_more(serve: "Serve", connect: "Connect", answer: "Answer") -> None:
    server = serve(answer([b"Hello"]), max_connections_per_address=2)
    first, second = connect(server), connect(server)
    assert first.get().status == second.get().status == 200
    third = connect(server)
    reply = third.reply()
    assert (reply.status, reply.headers["connection"]) == (503, "close")
    assert third.ended()
    for client in (first, third):
        client.close()
    with gevent.Timeout(5):
        while connect(server).get().status != 200:  # the server learns of the closing in its own time
            gevent.sleep(0.001)
    assert second.get().status == 200


def test_another_address_has_its_own_share(serve: "Serve", connect: "Connect", answer: "Answer") -> None:
    server = serve(answer([b"Hello"]), max_connections_per_address=1)
    assert connect(server).get().status == 200
    with socket.create_connection(
        ("127.0.0.1", server.server_port), timeout=5, source_address=("127.0.0.2", 0)
    ) as elsewhere:
        elsewhere.sendall(GET.encode())
        assert elsewhere.recv(12) == b"HTTP/1.1 200"


def test_a_request_that_is_on_its_way_does_not_destroy_the_503(
    serve: "Serve", connect: "Connect", answer: "Answer"
) -> None:
    """RFC 9112, 9.6: closed at once, with bytes unread, the connection would be reset."""
    server = serve(answer([b"Hello"]), max_connections_per_address=1)
    connect(server).get()
    client = connect(server).send(GET + "x" * 100_000)
    assert client.reply().status == 503
    assert client.ended()


def test_those_that_are_turned_away_do_not_take_the_places(
    serve: "Serve", connect: "Connect", answer: "Answer"
) -> None:
    """They linger, but no more of them than have a place: here, one."""
    server = serve(answer([b"Hello"]), max_connections_per_address=1, max_connections=3, linger=30)
    first = connect(server)
    first.get()
    for _ in range(10):
        connect(server).rest()
    with socket.create_connection(
        ("127.0.0.1", server.server_port), timeout=5, source_address=("127.0.0.2", 0)
    ) as elsewhere:
        elsewhere.sendall(GET.encode())
        assert elsewhere.recv(12) == b"HTTP/1.1 200"


def test_through_tls_one_too_many_is_closed_without_a_word(
    serve: "Serve", connect: "Connect", answer: "Answer", secured: Any, secure: "Secure"
) -> None:
    server = serve(answer([b"Hello"]), kind=secured, max_connections_per_address=1)
    secure(server).shake_hands()
    assert connect(server).rest() == b""


@pytest.mark.parametrize("most", [1, 3])
def test_the_last_request_of_a_connection_is_told_so(
    serve: "Serve", connect: "Connect", reader: "Reader", most: int
) -> None:
    client = connect(serve(reader, max_requests_per_connection=most))
    client.send(GET * (most + 1))
    replies = [client.reply() for _ in range(most)]
    assert [reply.headers.get("connection") for reply in replies] == [None] * (most - 1) + ["close"]
    assert client.ended()
    assert reader.calls == most


@pytest.mark.skipif(sys.platform != "linux", reason="others count the queue differently")
def test_the_kernel_holds_as_many_as_the_backlog(
    serve: "Serve", connect: "Connect", answer: "Answer"
) -> None:
    server = serve(answer([b"Hello"]), backlog=2)
    connect(server).get()  # gevent begins to accept once more when its loop runs first
    server.stop_accepting()
    held: list[socket.socket] = []
    with suppress(TimeoutError):  # what is too much is not answered
        while len(held) < 10:
            held.append(socket.create_connection(("127.0.0.1", server.server_port), timeout=0.2))
    for sock in held:
        sock.close()
    assert 2 <= len(held) <= 3  # Linux holds one more


# Idle connections.


def test_a_connection_in_use_is_not_idle_and_then_it_is(
    serve: "Serve", connect: "Connect", reader: "Reader"
) -> None:
    """It looks at its own time now and then: also after it has looked once and went on."""
    keep_alive = 0.3
    client = connect(serve(reader, keep_alive=keep_alive))
    begun = monotonic()
    while monotonic() - begun < 3 * keep_alive:
        client.get()
        gevent.sleep(0.02)
    client.get()
    begun = monotonic()
    assert client.ended()
    assert keep_alive - 0.05 < monotonic() - begun < 2 * keep_alive


def test_a_request_that_takes_longer_is_not_idle(serve: "Serve", connect: "Connect") -> None:
    go = Event()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        go.wait(0.3)
        start_response("200 OK", [])
        return [b"late"]

    client = connect(serve(app, keep_alive=0.05))
    assert client.get().body == b"late"
    assert client.ended()


def test_a_connection_is_idle_behind_a_body_that_was_thrown_away(
    serve: "Serve", connect: "Connect", answer: "Answer"
) -> None:
    """Its time was over meanwhile, when nobody could be told."""
    client = connect(serve(answer([b"no"]), keep_alive=0.05, head_timeout=5))
    client.send(POST + "Content-Length: 5\r\n\r\nHe").reply()
    gevent.sleep(0.15)
    client.send("llo")
    assert client.ended()


def test_a_secured_connection_is_closed_when_idle(
    serve: "Serve", reader: "Reader", secured: Any, secure: "Secure", dripping: "Dripping"
) -> None:
    server = serve(reader, kind=secured, keep_alive=0.1)
    client = secure(server).shake_hands()
    record = client.record(GET)
    with dripping(client.sock, record[:-1], every=0.02):  # not a byte of a request was ever read
        assert client.read() == b""
    assert reader.calls == 0


# The end of a connection, and of the server.


def test_a_client_that_does_not_close_is_waited_for_so_long(
    serve: "Serve", connect: "Connect", answer: "Answer", await_idle: "AwaitIdle"
) -> None:
    server = serve(answer([b"Hello"]), linger=0.2)
    client = connect(server).send(BAD)
    assert client.reply().status == 400
    assert client.ended()  # our side is closed at once; its own it keeps open
    assert 0.1 < await_idle(server) < 2


def test_a_client_that_closes_is_not_waited_for(
    serve: "Serve", connect: "Connect", answer: "Answer", await_idle: "AwaitIdle"
) -> None:
    server = serve(answer([b"Hello"]), linger=30)
    client = connect(server).send(BAD)
    assert client.reply().status == 400
    client.close()
    assert await_idle(server) < 5


def test_a_client_that_goes_on_sending_is_not_listened_to_for_long(
    serve: "Serve", connect: "Connect", answer: "Answer", await_idle: "AwaitIdle"
) -> None:
    server = serve(answer([b"Hello"]), linger=0.1)
    client = connect(server).send(BAD)

    def flood() -> None:
        with suppress(ConnectionError):
            while True:
                client.send("x" * 100_000)

    flooding = gevent.spawn(flood)
    assert await_idle(server) < 3
    flooding.get(timeout=5)


def test_what_has_not_finished_in_the_settings_time_is_cut_off(serve: "Serve", connect: "Connect") -> None:
    inside = Event()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        inside.set()
        Event().wait()
        raise AssertionError("never")

    server = serve(app, drain_timeout=0.1)
    client = connect(server).send(GET)
    assert inside.wait(5)
    begun = monotonic()
    assert server.drain() == 1
    assert 0.1 <= monotonic() - begun < 2
    assert client.ended()
