"""The counts of several servers behind one name: read from each, once, and added up."""

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from crosstalk.site import CannotRun, Idle, Site, Unreachable

METRICS = """\
greenlane_process_info{{process="{name}"}} 1.0
greenlane_requests_total {requests}
greenlane_requests_in_flight 0
greenlane_requests_in_flight_peak {peak}
greenlane_connections_accepted_total 4.0
greenlane_native_threads 1.0
greenlane_contexts_pushed_total{{kind="request"}} {pushed}
greenlane_contexts_popped_total{{kind="request"}} 8.0
greenlane_contexts_pushed_total{{kind="application"}} 9.0
greenlane_contexts_popped_total{{kind="application"}} 9.0
greenlane_local_entries{{local="local"}} {entries}
greenlane_demo_left{{hazard="abandoned",strategy="broken"}} {left}
"""

Serve = Callable[..., int]


def metrics(
    name: str, *, requests: int = 10, peak: int = 1, pushed: int = 8, entries: int = 0, left: int = 0
) -> str:
    return METRICS.format(name=name, requests=requests, peak=peak, pushed=pushed, entries=entries, left=left)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve fixed metrics at a loopback address: `serve("127.0.0.2", text, port=8000)`; returns the port."""
    servers: list[ThreadingHTTPServer] = []

    def start(address: str, text: str, port: int = 0) -> int:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                named = self.headers["Host"].partition(":")[0] == "server"
                self.send_response(200 if self.path == "/metrics" and named else 404)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
                pass

        server = ThreadingHTTPServer((address, port), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server.server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the name `server` have these addresses: `named("127.0.0.1", "127.0.0.2")`."""
    asked = socket.getaddrinfo

    def give(*addresses: str) -> None:
        def getaddrinfo(host: str, port: int, *args: Any, **options: Any) -> list[Any]:
            hosts = addresses if host == "server" else (host,)
            return [each for host in hosts for each in asked(host, port, *args, **options)]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return give


def test_the_counts_of_every_address_of_a_name_add_up(serve: Serve, named: Callable[..., None]) -> None:
    port = serve("127.0.0.1", metrics("one", requests=10, peak=7, pushed=9, entries=2, left=1))
    serve("127.0.0.2", metrics("two", requests=30, peak=5, entries=3, left=4), port)
    named("127.0.0.1", "127.0.0.2")
    site = Site("http://127.0.0.1:9", [f"http://server:{port}"])
    counts = site.counts()
    assert (counts.requests, counts.connections) == (40, 8)
    assert (counts.peak_in_flight, counts.native_threads) == (7, 1)
    assert counts.idle.contexts == {"request": 1, "application": 0}
    assert counts.idle.entries == {"local": 5}
    assert counts.idle.processes == ("one", "two")
    assert site.left() == {"abandoned/broken": 5}


def test_what_one_of_several_has_left_is_left(serve: Serve, named: Callable[..., None]) -> None:
    port = serve("127.0.0.1", metrics("one"))
    serve("127.0.0.2", metrics("two", pushed=9), port)
    named("127.0.0.1", "127.0.0.2")
    idle, _counts = Site("http://127.0.0.1:9", [f"http://server:{port}"]).at_idle(patience=0)
    assert idle.contexts == {"request": 1, "application": 0}


def test_of_a_server_that_others_use_only_what_came_since_is_left(
    serve: Serve, named: Callable[..., None]
) -> None:
    named("127.0.0.2")
    port = serve("127.0.0.2", metrics("one", pushed=9, entries=5))
    site = Site("http://127.0.0.1:9", [f"http://server:{port}"])
    now = site.counts()
    idle, _counts = site.at_idle(patience=0, since=now)
    assert not any((*idle.contexts.values(), *idle.entries.values()))
    earlier = replace(now, idle=Idle({"request": 2, "application": 0}, {"local": 3}))
    idle, _counts = site.at_idle(patience=0, since=earlier)
    assert (idle.contexts, idle.entries) == ({"request": 0, "application": 0}, {"local": 2})
    assert idle.processes == ("one",)


def test_a_process_at_two_addresses_is_counted_once(serve: Serve, named: Callable[..., None]) -> None:
    port = serve("127.0.0.1", metrics("one"))
    serve("127.0.0.2", metrics("one"), port)
    named("127.0.0.1", "127.0.0.2")
    counts = Site("http://127.0.0.1:9", [f"http://server:{port}"]).counts()
    assert (counts.requests, counts.idle.processes) == (10, ("one",))


def test_a_server_that_is_gone_is_not_among_those_counted(serve: Serve, named: Callable[..., None]) -> None:
    port = serve("127.0.0.1", metrics("one"))
    named("127.0.0.2", "127.0.0.1")
    idle, _counts = Site("http://127.0.0.1:9", [f"http://server:{port}"]).at_idle(patience=0)
    assert idle.processes == ("one",)


def test_no_server_at_all_cannot_be_run(named: Callable[..., None]) -> None:
    named("127.0.0.2")
    with pytest.raises(Unreachable, match=r"no server answers at http://127\.0\.0\.2:9"):
        Site("http://127.0.0.1:9", ["http://server:9"]).counts()


def test_a_name_without_an_address_cannot_be_run() -> None:
    with pytest.raises(CannotRun, match=r"http://nobody\.invalid has no address"):
        Site("http://127.0.0.1:9", ["http://nobody.invalid"]).counts()


def test_counts_are_not_asked_for_through_tls() -> None:
    with pytest.raises(CannotRun, match="without TLS"):
        Site("https://127.0.0.1:9", ["https://server"])
