"""What a drain does with each connection: closed at once, its requests finished, or cut off in the end."""

import io
from collections.abc import Callable, Iterable
from time import monotonic
from typing import TYPE_CHECKING

import gevent
import pytest
from gevent.event import Event

from greenlane.wsgi import WSGIServer
from greenlane.wsgi.stream import AT_ONCE

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.wsgi.conftest import Client
    from tests.wsgi.drain.conftest import App, Draining

    Serve = Callable[..., WSGIServer]
    Connect = Callable[[WSGIServer], Client]

GET = "GET / HTTP/1.1\r\nHost: test\r\n\r\n"


def test_idle_connections_close_at_once(serve: "Serve", connect: "Connect", app: "App") -> None:
    """B45."""
    server = serve(app)
    used, silent = connect(server), connect(server)
    used.get()
    begun = monotonic()
    assert server.drain(timeout=10) == 0
    assert monotonic() - begun < 1
    assert used.ended()
    assert silent.ended()
    assert server.connections == 0


def test_nobody_is_let_in_any_more(serve: "Serve", connect: "Connect", app: "App") -> None:
    """B45."""
    server = serve(app)
    server.drain()
    with pytest.raises(ConnectionRefusedError):
        connect(server)


def test_a_request_in_its_application_is_finished(
    serve: "Serve", connect: "Connect", app: "App", draining: "Draining"
) -> None:
    """B45."""
    server = serve(app)
    client = connect(server).send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n")
    assert app.inside.wait(5)
    drained = draining(server)
    assert (server.draining, server.busy) == (True, 1)
    app.go.set()
    reply = client.reply()
    assert (reply.body, reply.headers["connection"]) == (b"/wait", "close")
    assert client.ended()
    assert drained.get(timeout=5) == 0


@pytest.mark.parametrize(
    ("before", "after", "body"),
    [
        ("G", GET[1:], b"/"),
        ("GET / HTTP/1.1\r\nHost: te", "st\r\n\r\n", b"/"),
        ("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nHe", "llo", b"/Hello"),
        (
            "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHe",
            "llo\r\n0\r\n\r\n",
            b"/Hello",
        ),
    ],
    ids=["first byte", "half a head", "half a body", "half a chunk"],
)
def test_a_request_whose_first_byte_was_read_is_finished(
    serve: "Serve", connect: "Connect", app: "App", before: str, after: str, body: bytes, draining: "Draining"
) -> None:
    """B45."""
    server = serve(app)
    client = connect(server)
    client.get()
    client.send(before)
    while not server.busy:
        gevent.sleep(0)
    drained = draining(server)
    reply = client.send(after).reply()
    assert (reply.status, reply.body, reply.headers["connection"]) == (200, body, "close")
    assert client.ended()
    assert drained.get(timeout=5) == 0


def test_a_body_that_waits_to_be_asked_for_is_finished(
    serve: "Serve", connect: "Connect", app: "App", draining: "Draining"
) -> None:
    """B45: `100 Continue` is sent, and the response after it."""
    server = serve(app)
    client = connect(server)
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert client.reply(head_only=True).status == 100
    drained = draining(server)
    assert client.send("Hello").reply().body == b"/Hello"
    assert drained.get(timeout=5) == 0


def test_a_request_that_just_arrived_is_served(serve: "Serve", connect: "Connect", app: "App") -> None:
    """B45: it is in the kernel, nobody has read it, and its connection counts as idle."""
    server = serve(app)
    client = connect(server)
    client.get()
    client.send(GET)  # sent at once: the server's greenlet has not run since
    assert server.busy == 0
    drained = gevent.spawn(server.drain, 10)
    assert client.reply().headers["connection"] == "close"
    assert drained.get(timeout=5) == 0


def test_a_connection_that_waits_to_be_accepted_is_served(
    serve: "Serve", connect: "Connect", app: "App"
) -> None:
    """B45."""
    server = serve(app)
    connect(server).get()
    server.stop_accepting()
    client, silent = connect(server).send(GET), connect(server)
    drained = gevent.spawn(server.drain, 10)
    assert client.reply().headers["connection"] == "close"
    assert silent.ended()
    assert drained.get(timeout=5) == 0
    assert server.connections_accepted == 3


def test_pipelined_requests_that_were_read_are_all_finished(
    serve: "Serve", connect: "Connect", app: "App", draining: "Draining"
) -> None:
    """B45: the first byte of the second and third came in with the first request."""
    server = serve(app)
    client = connect(server)
    client.send("".join(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n" for path in ("/wait", "/2", "/3")))
    assert app.inside.wait(5)
    drained = draining(server)
    app.go.set()
    replies = [client.reply() for _ in range(3)]
    assert [reply.body for reply in replies] == [b"/wait", b"/2", b"/3"]
    assert ["connection" in reply.headers for reply in replies] == [False, False, True]
    assert client.ended()
    assert drained.get(timeout=5) == 0


def test_a_request_behind_an_unread_body_is_finished(
    serve: "Serve", connect: "Connect", draining: "Draining"
) -> None:
    """B45: what is left of a body in the buffer is not taken for a request, nor hides one."""
    inside, go = Event(), Event()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        inside.set()
        assert go.wait(5)
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    server = serve(app)
    client, alone = connect(server), connect(server)
    post = "POST /1 HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nHello"
    client.send(post + "GET /2 HTTP/1.1\r\nHost: test\r\n\r\n")
    alone.send(post)
    while server.busy < 2:
        gevent.sleep(0)
    assert inside.wait(5)
    drained = draining(server)
    go.set()
    assert [client.reply().body for _ in range(2)] == [b"/1", b"/2"]
    assert alone.reply().headers["connection"] == "close"
    assert drained.get(timeout=5) == 0


def test_a_client_that_never_stops_sending_does_not_hold_the_drain(
    serve: "Serve", connect: "Connect", app: "App", draining: "Draining"
) -> None:
    """B45: only what was read is owed a reply, and the last reply says so."""
    server = serve(app)
    client = connect(server).send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n")
    assert app.inside.wait(5)
    client.send(GET * 10)  # stays in the kernel
    drained = draining(server)
    app.go.set()
    reply = client.reply()
    assert (reply.body, reply.headers["connection"]) == (b"/wait", "close")
    assert client.ended()
    assert drained.get(timeout=5) == 0
    assert app.calls == 1


def test_of_a_flood_only_what_was_read_is_finished(
    serve: "Serve", connect: "Connect", app: "App", draining: "Draining"
) -> None:
    """B45: the end of a request that was half read must not bring in the beginning of the next one."""
    server = serve(app)
    first = "GET /wait HTTP/1.1\r\nHost: test\r\n\r\n"
    client = connect(server)
    client.get()
    client.send(first + GET * 3000)
    assert app.inside.wait(5)
    drained = draining(server)
    app.go.set()
    replies = [client.reply()]
    while "connection" not in replies[-1].headers:
        replies.append(client.reply())
    assert client.ended()
    assert drained.get(timeout=5) == 0
    begun = 1 + -(-(AT_ONCE - len(first)) // len(GET))  # one buffer full was read
    assert len(replies) == app.calls - 1 == begun


def test_a_request_that_comes_behind_a_promise_to_stay_open_is_served(
    serve: "Serve", connect: "Connect", draining: "Draining"
) -> None:
    """B45: the head left before the drain began, so the client could not know."""
    go = Event()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        yield b"a"
        assert go.wait(5)
        yield b"b"

    server = serve(app)
    client = connect(server).send(GET)
    head = b""
    while not head.endswith(b"\r\n\r\na"):
        head += client.sock.recv(1)
    drained = draining(server)
    client.send(GET)
    go.set()
    assert client.sock.recv(1) == b"b"
    reply = client.reply()
    assert (reply.body, reply.headers["connection"]) == (b"ab", "close")
    assert client.ended()
    assert drained.get(timeout=5) == 0


def test_a_reply_that_is_out_is_not_cut_off(serve: "Serve", connect: "Connect") -> None:
    """B45: what is missing is only the rest of a body that nobody reads."""

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"Hello"]

    server = serve(app)
    client = connect(server).send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nHe")
    assert client.reply().body == b"Hello"
    assert server.busy == 0
    assert server.drain(timeout=0.05) == 0


def test_what_has_not_finished_in_time_is_cut_off_and_counted(
    serve: "Serve", connect: "Connect", app: "App", errors: io.StringIO
) -> None:
    """B45."""
    server = serve(app)
    clients = [connect(server).send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n") for _ in range(3)]
    while server.busy < 3:
        gevent.sleep(0)
    assert app.inside.wait(5)
    assert server.drain(timeout=0.05) == 3
    assert app.killed == 3
    assert all(client.ended() for client in clients)
    assert server.connections == 0
    assert errors.getvalue() == ""


def test_stop_waits_for_a_drain_under_way(
    serve: "Serve", connect: "Connect", app: "App", draining: "Draining"
) -> None:
    """`serve_forever` stops the server when its listener closes: that must not cut the drain short."""
    server = serve(app)
    forever = gevent.spawn(server.serve_forever, stop_timeout=0)
    client = connect(server).send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n")
    assert app.inside.wait(5)
    drained = draining(server)
    with gevent.Timeout(5):
        while not server.closed:  # which is what ends serve_forever
            gevent.sleep(0)
    assert not forever.dead
    app.go.set()
    assert client.reply().body == b"/wait"
    assert drained.get(timeout=5) == 0
    forever.get(timeout=5)


def test_a_full_server_lets_others_wait(serve: "Serve", connect: "Connect", app: "App") -> None:
    server = serve(app, max_connections=1)
    first, second = connect(server), connect(server)
    first.get()
    second.send(GET)
    first.get()
    assert (server.connections, server.connections_accepted) == (1, 1)
    first.close()
    assert second.reply().body == b"/"
    assert server.connections_accepted == 2
