"""How slowly a client may take its response.

A pause or a slow trickle of the client's is what is tried here, so these tests make some, short ones:
nothing is synchronised by them.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import gevent
from gevent.event import Event

from greenlane.wsgi import WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.wsgi.conftest import Answer, Client, Closing

    Serve = Callable[..., WSGIServer]
    Connect = Callable[[WSGIServer], Client]

GET = "GET / HTTP/1.1\r\nHost: test\r\n\r\n"
MEGABYTE = 1_000_000


class Endless:
    """A response without an end, which says when it was closed and how much of it was asked for."""

    def __init__(self) -> None:
        self.closed = Event()
        self.given = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.given += 100_000
            yield b"x" * 100_000

    def close(self) -> None:
        self.closed.set()


def test_a_client_that_takes_a_little_now_and_then_is_cut_off(
    serve: "Serve", connect: "Connect", answer: "Answer"
) -> None:
    """It never pauses for long; it takes some 5 MB a second where 50 are asked for."""
    result = Endless()
    server = serve(answer(result), write_timeout=0.3, min_rate=50 * MEGABYTE)
    client = connect(server)
    client.send(GET)
    with gevent.Timeout(10):
        while not result.closed.is_set():
            client.sock.recv(50_000)
            gevent.sleep(0.01)
    client.close()


def test_a_client_that_takes_all_may_pause_now_and_then(
    serve: "Serve", connect: "Connect", answer: "Answer"
) -> None:
    """Together the pauses are longer than the time; what it took between has earned it again."""
    size = 60 * MEGABYTE
    client = connect(serve(answer([b"x" * size]), write_timeout=0.4)).send(GET)
    received = 0
    while received < size:
        if received // (10 * MEGABYTE) < (received := received + len(client.sock.recv(MEGABYTE))) // (
            10 * MEGABYTE
        ):
            gevent.sleep(0.15)
    assert received >= size


def test_a_file_that_nobody_takes_is_given_up(
    serve: "Serve", connect: "Connect", closing: "type[Closing]", tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    closed = Event()
    with (tmp_path / "file").open("rb+") as file:
        file.truncate(1000 * MEGABYTE)

        def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
            start_response("200 OK", [])
            wrapper: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
            wrapper.close = closed.set  # type: ignore[attr-defined]
            return wrapper

        connect(serve(app, write_timeout=0.1)).send(GET)
        assert closed.wait(5)
