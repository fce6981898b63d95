"""A drain comes to its end: nobody who is owed nothing holds it, and it lets go of those who wait for it."""

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import gevent
import pytest
import trustme
from gevent.event import Event

from greenlane.wsgi import Settings, WSGIServer
from greenlane.wsgi.tls import server_context

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from tests.wsgi.conftest import Client
    from tests.wsgi.drain.conftest import App, Draining

    Serve = Callable[..., WSGIServer]
    Connect = Callable[[WSGIServer], Client]

GET = "GET / HTTP/1.1\r\nHost: test\r\n\r\n"


# What is owed to nobody must not hold the drain.


def test_a_handshake_that_was_never_begun_does_not_hold_the_drain(
    serve: "Serve", connect: "Connect", app: "App", tmp_path: Path
) -> None:
    """B45: who waits to be accepted is taken in as the drain begins: it was not yet among the handshakes."""
    certificate = tmp_path / "certificate.pem"
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    server = serve(app, kind=partial(WSGIServer, tls=server_context(certificate)), head_timeout=2)
    server.stop_accepting()
    silent = connect(server)
    begun = monotonic()
    assert server.drain(timeout=10) == 0
    assert monotonic() - begun < 1
    assert silent.ended()
    assert server.connections_accepted == 1


SIZED = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc"
CHUNKED = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\na\r\nabc"


@pytest.mark.parametrize(
    ("post", "begins"),
    [
        (SIZED, "behind the reply"),
        (CHUNKED, "behind the reply"),
        (SIZED, "in the reply"),
        (CHUNKED, "in the reply"),
        (CHUNKED, "before the head"),
    ],
    ids=lambda value: {SIZED: "sized", CHUNKED: "chunked"}.get(value, value),
)
def test_a_body_that_nobody_reads_does_not_hold_the_drain(
    serve: "Serve", connect: "Connect", post: str, begins: str, draining: "Draining"
) -> None:
    """B45: its reply is out, and the rest is only thrown away. It was waited for as long as for a head."""
    inside, go = Event(), Event()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        if begins == "in the reply":
            yield b"a"
        inside.set()
        assert go.wait(5)
        yield b"ab" if begins != "in the reply" else b"b"

    server = serve(app, head_timeout=2, linger=0.05)
    client = connect(server).send(post)
    assert inside.wait(5)
    if begins == "behind the reply":
        go.set()
        assert client.reply().body == b"ab"
        with gevent.Timeout(5):
            while server.busy:
                gevent.sleep(0)
    drained = draining(server)
    begun = monotonic()
    if begins != "behind the reply":
        go.set()
        assert client.reply().body == b"ab"
    assert drained.get(timeout=5) == 0
    assert monotonic() - begun < 1
    assert client.ended()


# A drain that does not come to its end must let go of those who wait for it.


@pytest.fixture
def unstopped(errors: io.StringIO) -> Iterator[Callable[..., WSGIServer]]:
    """Start servers which nothing stops behind the test: whether they stop at all is what it asks."""
    servers: list[WSGIServer] = []

    def start(app: "WSGIApplication") -> WSGIServer:
        settings = Settings(access_log="off")
        servers.append(WSGIServer(("127.0.0.1", 0), app, settings=settings, error_log=errors))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.close()
        if server.pool is not None:
            server.pool.kill()


def test_a_drain_that_a_request_asks_for_lets_the_server_stop(
    unstopped: Callable[..., WSGIServer], connect: "Connect"
) -> None:
    """It is cut off by the drain that it waits for; nobody then told the others that it was over."""
    servers: list[WSGIServer] = []

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        servers[0].drain(timeout=0.02)
        raise AssertionError("it was cut off")

    servers.append(unstopped(app))
    [server] = servers
    forever = gevent.spawn(server.serve_forever)
    client = connect(server).send(GET)
    assert client.ended()
    forever.get(timeout=1)
    with gevent.Timeout(1):
        server.stop()


def test_a_drain_that_its_caller_gives_up_lets_the_server_stop(
    unstopped: Callable[..., WSGIServer], connect: "Connect", app: "App"
) -> None:
    """Whoever waited for the drain to be over waited for ever."""
    server = unstopped(app)
    forever = gevent.spawn(server.serve_forever)
    connect(server).send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n")
    assert app.inside.wait(5)
    with suppress(gevent.Timeout), gevent.Timeout(0.02):
        server.drain(timeout=30)
    forever.get(timeout=1)
    with gevent.Timeout(1):
        server.stop()
