"""`/live`: the format, one snapshot for all who watch, a bound on them, and how watching ends."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event
from werkzeug.test import Client, EnvironBuilder
from werkzeug.wrappers import Response

from greenlane.context import Local
from greenlane.ops import Ops
from greenlane.ops.live import MOST_LANES, MOST_WATCHERS, PERIOD
from greenlane.wsgi import Settings, WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    Serve = Callable[[Ops], WSGIServer]


def hello(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "5")])
    return [b"Hello"]


@pytest.fixture
def serve() -> Iterator["Serve"]:
    """Serve an `Ops` that knows its server."""
    servers: list[WSGIServer] = []

    def start(ops: Ops) -> WSGIServer:
        server = WSGIServer(("127.0.0.1", 0), ops, settings=Settings(access_log="off"))
        server.start()
        ops.attach(server)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop(timeout=0)


class Watcher:
    """A client that watches over a socket."""

    def __init__(self, server: WSGIServer) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.server_port), timeout=5)
        self.socket.sendall(b"GET /live HTTP/1.0\r\n\r\n")  # 1.0: the body comes as it is, until the close
        self._file = self.socket.makefile("rb")
        self.head = b"".join(iter(self._file.readline, b"\r\n")).decode()

    def event(self) -> dict[str, str]:
        """The next event or field outside of one, as the HTML standard reads it."""
        fields: dict[str, str] = {}
        for line in iter(self._file.readline, b"\n"):
            if not line:
                raise EOFError
            name, _, value = line.decode().removesuffix("\n").partition(": ")
            assert name not in fields
            fields[name] = value
        return fields

    def snapshot(self) -> dict[str, Any]:
        """The next snapshot."""
        while (event := self.event()).get("event") != "snapshot":
            pass
        document: dict[str, Any] = json.loads(event["data"])
        return document

    def close(self) -> None:
        """Go away, without a word."""
        self._file.close()
        self.socket.close()


def wait_for(condition: Callable[[], bool]) -> None:
    """Let others run until a condition holds."""
    with gevent.Timeout(5):
        while not condition():
            gevent.sleep(0.01)


def in_flight(ops: Ops, count: int, path: str = "/") -> list[Iterable[bytes]]:
    """Begin requests as a server does; they end when their responses are closed."""
    environ = EnvironBuilder(path).get_environ()
    return [ops(environ, lambda *args: bytes) for _ in range(count)]


def close(responses: list[Iterable[bytes]]) -> None:
    for response in responses:
        response.close()  # type: ignore[attr-defined]


def test_it_is_a_stream_of_events(serve: "Serve") -> None:
    watcher = Watcher(serve(Ops(hello)))
    assert watcher.head.startswith("HTTP/1.1 200 OK\r\n")
    assert "Content-Type: text/event-stream; charset=utf-8\r\n" in watcher.head
    assert "Cache-Control: no-store\r\n" in watcher.head
    assert "Content-Length" not in watcher.head
    assert watcher.event() == {"retry": "1000"}
    for _ in range(3):
        event = watcher.event()
        assert sorted(event) == ["data", "event"]
        assert event["event"] == "snapshot"
        json.loads(event["data"])
    watcher.close()


def test_a_snapshot_has_what_metrics_have(serve: "Serve") -> None:
    local = Local()
    ops = Ops(hello, locals={"mine": local})
    server = serve(ops)
    flying = in_flight(ops, 3, "/slow")
    local.x = 1
    watcher = Watcher(server)
    snapshot = watcher.snapshot()
    # Asked in the same moment: nothing else runs here.
    metrics = Client(ops, Response).get("/metrics").get_data(as_text=True)
    del local.x
    close(flying)
    watcher.close()

    def figure(name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", metrics, re.MULTILINE)
        assert found, f"no {name} in /metrics"
        return float(found[1])

    assert snapshot["in_flight"] == figure("greenlane_requests_in_flight") == 3
    assert snapshot["peak"] == figure("greenlane_requests_in_flight_peak") == 3
    assert snapshot["requests"] == figure("greenlane_requests_total") == 3
    assert snapshot["greenlets"] == figure("greenlane_greenlets")
    assert snapshot["native_threads"] == figure("greenlane_native_threads")
    assert snapshot["connections"] == figure("greenlane_connections_open") == 1
    assert snapshot["entries"]["mine"] == figure('greenlane_local_entries{local="mine"}') == 1
    assert snapshot["entries"].keys() == {"mine", "request_stack", "app_stack"}
    for kind, count in snapshot["contexts"].items():
        pushed, popped = (
            figure(f'greenlane_contexts_{what}_total{{kind="{kind}"}}') for what in ("pushed", "popped")
        )
        assert count == pushed - popped
    assert snapshot["memory_bytes"] == pytest.approx(figure("process_resident_memory_bytes"), rel=0.1)


def test_what_has_to_be_measured_comes_soon(serve: "Serve") -> None:
    watcher = Watcher(serve(Ops(hello)))
    first, _, later = (watcher.snapshot() for _ in range(3))
    watcher.close()
    for name in ("requests_per_second", "switches_per_second", "loop_delay_ms"):
        assert first[name] is None
        assert later[name] >= 0


def test_requests_a_second_are_those_of_the_last_second() -> None:
    ops = Ops(hello)
    assert ops.live.snapshot(100.0)["requests_per_second"] is None
    close(in_flight(ops, 30))
    assert ops.live.snapshot(100.5)["requests_per_second"] == 60
    assert ops.live.snapshot(101.0)["requests_per_second"] == 30
    assert ops.live.snapshot(101.5)["requests_per_second"] == 0
    assert ops.live.snapshot(200.0)["requests_per_second"] is None  # nobody watched meanwhile


def test_each_request_in_flight_is_a_lane_with_its_age() -> None:
    ops = Ops(hello)
    # As PEP 3333 gives it: bytes of UTF-8 in the form of Latin-1; the query is not told.
    flying = in_flight(ops, 1, "/caf\u00e9?token=secret") + in_flight(ops, 1, "/" + "x" * 500)
    began = [entry[0] for entry in ops.flying.values()]
    snapshot = ops.live.snapshot(began[0] + 1.5)
    first, second = snapshot["lanes"]
    assert first == [1, "GET /caf\u00e9", 1500]
    assert second[:2] == [2, "GET /" + "x" * 74 + "\u2026"]
    assert "secret" not in json.dumps(snapshot)
    close(flying)
    assert ops.live.snapshot(began[0] + 2)["lanes"] == []


def test_a_path_that_is_no_text_breaks_nothing() -> None:
    ops = Ops(hello)
    environ = EnvironBuilder("/").get_environ() | {"PATH_INFO": "/\xff\n\u20ac\x00"}
    flying = [ops(environ, lambda *args: bytes)]
    assert b"\n" not in json.dumps(ops.live.snapshot(0)).encode()
    close(flying)


def test_many_lanes_are_told_by_their_ages() -> None:
    ops = Ops(hello)
    flying = in_flight(ops, MOST_LANES)
    assert len(ops.live.snapshot(0)["lanes"]) == MOST_LANES
    flying += in_flight(ops, 5)
    ages = [20, 12, 10, 9, 1, 0.5, 0.1, 0.05, 0.01, 0.001]
    for number, age in zip(list(ops.flying), ages + [0] * (len(flying) - len(ages)), strict=True):
        ops.flying[number] = (-age, "GET", "/")
    snapshot = ops.live.snapshot(0)
    assert snapshot["lanes"] is None
    # A class ends before its bound: 10 ms is not "under 10 ms".
    assert snapshot["ages"] == [(10, MOST_LANES + 5 - 9), (100, 2), (1_000, 2), (10_000, 2), (None, 3)]
    close(flying)


def test_watching_is_no_request_in_flight(serve: "Serve") -> None:
    ops = Ops(hello)
    watcher = Watcher(serve(ops))
    assert (watcher.snapshot()["in_flight"], ops.requests) == (0, 0)
    assert ops.live.watchers == 1
    watcher.close()


def test_all_who_watch_get_the_same_snapshot(serve: "Serve", monkeypatch: pytest.MonkeyPatch) -> None:
    ops = Ops(hello)
    server = serve(ops)
    made: list[float] = []
    make = ops.live.snapshot

    def counting(now: float) -> dict[str, Any]:
        made.append(now)
        return make(now)

    monkeypatch.setattr(ops.live, "snapshot", counting)
    watchers = [Watcher(server) for _ in range(5)]
    wait_for(lambda: len(made) >= 3)
    seen = [{watcher.snapshot()["time"] for _ in range(2)} for watcher in watchers]
    assert set.intersection(*seen)
    assert all(later - earlier >= PERIOD for earlier, later in pairwise(made))
    for watcher in watchers:
        watcher.close()


def test_no_more_than_some_may_watch(serve: "Serve") -> None:
    ops = Ops(hello)
    server = serve(ops)
    watchers = [Watcher(server) for _ in range(MOST_WATCHERS)]
    wait_for(lambda: ops.live.watchers == MOST_WATCHERS)
    refused = Client(ops, Response).get("/live")
    assert refused.status_code == 503
    assert refused.headers["Live-Refused"] == "full"
    assert refused.headers["Retry-After"] == "5"
    assert refused.headers["Content-Type"].startswith("text/plain")
    assert "16 watch this server already" in refused.get_data(as_text=True)
    watchers.pop().close()
    wait_for(lambda: ops.live.watchers < MOST_WATCHERS)
    watchers.append(Watcher(server))
    assert watchers[-1].snapshot()["in_flight"] == 0
    for watcher in watchers:
        watcher.close()


def test_the_place_of_a_client_that_went_is_free_within_a_second(serve: "Serve") -> None:
    ops = Ops(hello)
    server = serve(ops)
    watcher = Watcher(server)
    watcher.snapshot()
    watcher.close()
    with gevent.Timeout(1):
        while ops.live.watchers or server.connections:
            gevent.sleep(0.01)


def test_a_response_that_is_never_read_gives_its_place_back() -> None:
    ops = Ops(hello)
    response = ops(EnvironBuilder("/live").get_environ(), lambda *args: bytes)
    assert ops.live.watchers == 1
    for _ in range(2):
        response.close()  # type: ignore[attr-defined]
        assert ops.live.watchers == 0


def test_head_takes_no_place() -> None:
    ops = Ops(hello)
    reply = Client(ops, Response).head("/live")
    assert (reply.status_code, reply.get_data()) == (200, b"")
    assert reply.headers["Content-Type"].startswith("text/event-stream")
    assert ops.live.watchers == 0


def test_a_drain_ends_the_stream_with_a_word_and_does_not_wait(serve: "Serve") -> None:
    ops = Ops(hello)
    server = serve(ops)
    watcher = Watcher(server)
    watcher.snapshot()
    drained = gevent.spawn(server.drain, 30)
    events = []
    with gevent.Timeout(5):
        while (event := watcher.event())["event"] == "snapshot":
            events.append(event)
        assert event == {"event": "end", "data": "draining"}
        assert watcher.socket.recv(1) == b""
        assert drained.get() == 0
    assert len(events) <= 2
    refused = Client(ops, Response).get("/live")
    assert (refused.status_code, refused.headers["Live-Refused"]) == (503, "draining")
    watcher.close()


def test_a_request_is_seen_coming_and_going(serve: "Serve") -> None:
    inside, go = Event(), Event()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        inside.set()
        go.wait(5)
        return hello(environ, start_response)

    ops = Ops(app)
    server = serve(ops)
    watcher = Watcher(server)
    assert watcher.snapshot()["lanes"] == []
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=5) as client:
        client.sendall(b"GET /slow?token=1 HTTP/1.1\r\nHost: test\r\n\r\n")
        assert inside.wait(5)
        with gevent.Timeout(5):
            while not (lanes := watcher.snapshot()["lanes"]):
                pass
        assert lanes[0][:2] == [1, "GET /slow"]
        go.set()
        with gevent.Timeout(5):
            while watcher.snapshot()["lanes"]:
                pass
    watcher.close()
