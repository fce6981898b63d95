"""The server's own lane: what it keeps by greenlet, and that it lets go of it whatever happens."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import gevent
import pytest
from gevent import GreenletExit
from gevent.event import Event

from greenlane.wsgi import WSGIServer, lane, request_id

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.wsgi.conftest import Client

    Serve = Callable[..., WSGIServer]
    Connect = Callable[[WSGIServer], Client]

GET = "GET / HTTP/1.1\r\nHost: test\r\n\r\n"


def entries() -> int:
    """How many greenlets the lane holds something of."""
    return len(lane._lane.__storage__)


def test_a_lane_is_empty_between_two_requests(serve: "Serve", connect: "Connect") -> None:
    """The connection is kept, and its greenlet lives."""
    inside: list[int] = []

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        inside.append(entries())
        start_response("200 OK", [])
        return [b"Hello"]

    server = serve(app)
    first, second = connect(server), connect(server)
    for client in (first, second, first):
        client.get()
        assert server.connections
        assert entries() == 0
    assert inside == [1, 1, 1]


def test_requests_that_overlap_have_a_lane_each(serve: "Serve", connect: "Connect") -> None:
    inside: list[int] = []
    both = Event()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        inside.append(entries())
        if len(inside) == 2:
            both.set()
        assert both.wait(5)
        start_response("200 OK", [])
        return [b"Hello"]

    server = serve(app)
    clients = [connect(server).send(GET) for _ in range(2)]
    for client in clients:
        client.reply()
    assert inside == [1, 2]
    assert entries() == 0


@pytest.mark.parametrize(
    "error", [ValueError("x"), SystemExit(1), gevent.Timeout(1), GreenletExit(), OSError("x")], ids=repr
)
@pytest.mark.parametrize("begun", [False, True], ids=["before", "after the first byte"])
def test_a_lane_is_empty_behind_an_error(
    serve: "Serve", connect: "Connect", error: BaseException, begun: bool
) -> None:
    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
        assert entries() == 1
        start_response("200 OK", [])
        if begun:
            yield b"Hello"
        raise error

    server = serve(app)
    client = connect(server).send(GET)
    if begun:
        assert client.rest().endswith(b"\r\n5\r\nHello\r\n")  # cut off: there is no last chunk
    elif isinstance(error, GreenletExit):
        assert client.ended()  # it ended the connection's greenlet, and nobody is left to answer
    else:
        assert client.reply().status == 500
    assert entries() == 0


def test_a_lane_is_empty_behind_a_kill(serve: "Serve", connect: "Connect") -> None:
    inside = Event()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        inside.set()
        gevent.sleep(60)
        return []

    server = serve(app)
    client = connect(server).send(GET)
    assert inside.wait(5)
    assert entries() == 1
    assert server.drain(timeout=0) == 1
    assert client.ended()
    assert entries() == 0


def test_a_greenlet_that_a_request_spawned_has_no_lane(serve: "Serve", connect: "Connect") -> None:
    """It has a life of its own, longer than the request's; what it needs, it is given."""
    told: list[str] = []

    def ask(name: str) -> None:
        told.append(name)
        with pytest.raises(RuntimeError, match="a lane of its own"):
            str(request_id)
        told.append("none")

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        gevent.spawn(ask, str(request_id)).get(timeout=5)
        start_response("200 OK", [])
        return [str(request_id).encode()]

    assert [connect(serve(app)).get().body.decode(), "none"] == told


def test_the_body_and_its_close_are_still_in_the_lane(serve: "Serve", connect: "Connect") -> None:
    """Whoever logs there can name the request."""
    told: list[str] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            told.append(str(request_id))
            yield b"Hello"

        def close(self) -> None:
            told.append(str(request_id))

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        told.append(str(request_id))
        start_response("200 OK", [])
        return Body()

    client = connect(serve(app))
    client.get()
    client.get()
    assert told[0] == told[1] == told[2]
    assert told[3] == told[4] == told[5]
    assert told[0] != told[3]
