"""`/metrics` and `/healthz`: that the figures are exact, and that nothing else is shadowed."""

import io
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING
from wsgiref.util import FileWrapper

import gevent
import pytest
from gevent import socket
from gevent.event import Event
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import Client, EnvironBuilder, run_wsgi_app
from werkzeug.wrappers import Response

from greenlane.app import App
from greenlane.context import Local, LocalStack
from greenlane.ops import Ops
from greenlane.ops.process import process_name
from greenlane.wsgi import Settings, WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    Start = Callable[..., WSGIServer]


MEASURED = {"greenlane_loop_delay_seconds", "greenlane_greenlet_switches_per_second"}
"""What is there only once it was measured."""


def hello(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "5")])
    return [b"Hello"]


def figures(ops: Ops) -> dict[str, float]:
    """Every sample of `/metrics`, by its name and label values."""
    text = Client(ops, Response).get("/metrics").get_data(as_text=True)
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def call(app: "WSGIApplication") -> Iterable[bytes]:
    """Call an application as a server does; the response is not iterated and not closed."""
    return app(EnvironBuilder().get_environ(), lambda *args: bytes)


@pytest.fixture
def started() -> Iterator["Start"]:
    servers: list[WSGIServer] = []

    def start(app: "WSGIApplication") -> WSGIServer:
        server = WSGIServer(("127.0.0.1", 0), app, settings=Settings(access_log="off"))
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop(timeout=0)


def test_every_metric_has_its_name() -> None:
    """The load test reads them by these names."""
    assert sorted(figures(Ops(hello)).keys() - MEASURED) == [
        "greenlane_connections_accepted_total",
        "greenlane_connections_open",
        "greenlane_contexts_popped_total application",
        "greenlane_contexts_popped_total request",
        "greenlane_contexts_pushed_total application",
        "greenlane_contexts_pushed_total request",
        "greenlane_greenlets",
        "greenlane_local_entries app_stack",
        "greenlane_local_entries request_stack",
        "greenlane_native_threads",
        f"greenlane_process_info {process_name()}",
        "greenlane_requests_in_flight",
        "greenlane_requests_in_flight_peak",
        "greenlane_requests_total",
        "process_cpu_seconds_total",
        "process_max_fds",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_virtual_memory_bytes",
    ]


def test_requests_are_counted_and_its_own_are_not() -> None:
    ops = Ops(hello)
    client = Client(ops, Response)
    for path in ("/", "/other", "/metrics", "/healthz", "/metrics/", "/healthz/deep", "/live/"):
        client.get(path)
    assert figures(ops)["greenlane_requests_total"] == 5


def test_a_request_in_flight_has_its_number_beginning_method_and_path() -> None:
    ops = Ops(hello)
    before = time.monotonic()
    first, second = (
        ops(EnvironBuilder(path, method=method, query_string="secret=1").get_environ(), lambda *args: bytes)
        for path, method in (("/a", "GET"), ("/b", "PUT"))
    )
    after = time.monotonic()
    assert list(ops.flying) == [1, 2]
    assert [entry[1:] for entry in ops.flying.values()] == [("GET", "/a"), ("PUT", "/b")]
    began = [entry[0] for entry in ops.flying.values()]
    assert before <= began[0] <= began[1] <= after
    first.close()  # type: ignore[attr-defined]
    assert list(ops.flying) == [2]
    second.close()  # type: ignore[attr-defined]


def test_a_request_is_in_flight_until_its_response_is_closed() -> None:
    ops = Ops(hello)
    first, second = call(ops), call(ops)
    assert (ops.in_flight, ops.peak_in_flight) == (2, 2)
    for _ in range(2):
        first.close()  # type: ignore[attr-defined]
        assert ops.in_flight == 1
    second.close()  # type: ignore[attr-defined]
    call(ops).close()  # type: ignore[attr-defined]
    assert figures(ops)["greenlane_requests_in_flight"] == 0
    assert figures(ops)["greenlane_requests_in_flight_peak"] == 2


def test_an_application_that_raises_leaves_nothing_in_flight() -> None:
    def before(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        raise KeyError("before the response")

    def within(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"Hello"
        raise KeyError("within the response")

    for app in (before, within):
        ops = Ops(app)
        with pytest.raises(KeyError):
            run_wsgi_app(ops, EnvironBuilder().get_environ(), buffered=True)
        assert (ops.requests, ops.in_flight) == (1, 0)


def test_the_applications_own_close_is_called_even_when_it_raises() -> None:
    class Response:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b""])

        def close(self) -> None:
            raise ValueError("in close")

    ops = Ops(lambda environ, start_response: Response())
    with pytest.raises(ValueError, match="in close"):
        call(ops).close()  # type: ignore[attr-defined]
    assert ops.in_flight == 0


def test_a_killed_request_leaves_nothing_in_flight(started: "Start") -> None:
    inside, never = Event(), Event()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        inside.set()
        never.wait()
        return []

    ops = Ops(app)
    server = started(ops)
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert inside.wait(5)
        assert ops.in_flight == 1
        assert server.drain(timeout=0) == 1
        assert ops.in_flight == 0


def test_the_length_of_a_list_is_passed_on() -> None:
    """A server needs it to tell the length of the body (PEP 3333)."""
    assert len(call(Ops(hello))) == 1  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        len(call(Ops(lambda environ, start_response: iter([b""]))))  # type: ignore[arg-type]


def test_entries_of_watched_locals_are_counted() -> None:
    local, stack = Local(), LocalStack[int]()
    ops = Ops(hello, locals={"a": local})
    ops.watch("b", stack)
    ops.watch("a", local)
    holding, done = Event(), Event()

    def hold() -> None:
        local.x = 1
        stack.push(1)
        holding.set()
        done.wait(5)

    greenlet = gevent.spawn(hold)
    assert holding.wait(5)
    held = figures(ops)
    assert (held["greenlane_local_entries a"], held["greenlane_local_entries b"]) == (1, 1)
    done.set()
    greenlet.join()
    left = figures(ops)
    assert (left["greenlane_local_entries a"], left["greenlane_local_entries b"]) == (0, 0)
    with pytest.raises(ValueError, match="another local is watched as 'a'"):
        ops.watch("a", Local())


def test_a_local_may_be_watched_for_a_while() -> None:
    """Its name is free again afterwards, also when what was done meanwhile raised."""
    ops = Ops(hello)
    for held in (1, 0):
        local = Local()
        with pytest.raises(KeyError, match="within"), ops.watching("race/local", local):  # noqa: PT012 - once more after it
            if held:
                local.x = 1
            assert figures(ops)["greenlane_local_entries race/local"] == held
            assert ops.live.snapshot(time.monotonic())["entries"]["race/local"] == held
            raise KeyError("within")
        local.__release_local__()
        assert "greenlane_local_entries race/local" not in figures(ops)
        assert ops.live.snapshot(time.monotonic())["entries"].keys() == {"request_stack", "app_stack"}


def test_a_name_that_is_taken_stays_with_its_local() -> None:
    first, second = Local(), LocalStack[int]()
    ops = Ops(hello, locals={"a": first})
    with ops.watching("b", second):
        for name, local in (("a", second), ("a", first), ("b", second)):
            with (
                pytest.raises(ValueError, match=f"a local is watched as '{name}' already"),
                ops.watching(name, local),
            ):
                pytest.fail("a name that is taken was given away")
        assert (ops.locals["a"], ops.locals["b"]) == (first, second)
    assert ops.locals["a"] is first


def test_contexts_are_counted() -> None:
    app = App(__name__)
    inside: dict[str, float] = {}

    @app.get("/")
    def view() -> str:
        inside.update(figures(ops))
        return ""

    ops = Ops(app)
    before = figures(ops)
    Client(ops, Response).get("/")
    after = figures(ops)
    for kind in ("request", "application"):
        pushed, popped = (f"greenlane_contexts_{what}_total {kind}" for what in ("pushed", "popped"))
        assert inside[pushed] - before[pushed] == 1
        assert inside[popped] == before[popped]
        assert after[pushed] - before[pushed] == after[popped] - before[popped] == 1
    assert (
        inside["greenlane_local_entries request_stack"],
        after["greenlane_local_entries request_stack"],
    ) == (1, 0)


def test_living_greenlets_are_counted() -> None:
    ops = Ops(hello)
    before = figures(ops)["greenlane_greenlets"]
    done = Event()
    greenlets = [gevent.spawn(done.wait, 5) for _ in range(100)]
    assert figures(ops)["greenlane_greenlets"] - before == 100
    done.set()
    gevent.joinall(greenlets)
    assert figures(ops)["greenlane_greenlets"] == before  # finished, though still referred to


def test_native_threads_are_counted() -> None:
    ops = Ops(hello)
    before = figures(ops)["greenlane_native_threads"]
    done = threading.Event()
    threads = [threading.Thread(target=done.wait, args=(5,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert figures(ops)["greenlane_native_threads"] - before == 3
    done.set()
    for thread in threads:
        thread.join()


def test_metrics_say_what_they_are() -> None:
    reply = Client(Ops(hello), Response).get("/metrics")
    assert reply.headers["Content-Type"].startswith("text/plain; version=")
    assert reply.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/live"])
def test_only_get_and_head_are_answered(path: str) -> None:
    client = Client(Ops(hello), Response)
    refused = client.post(path)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")
    head = client.head(path)
    assert (head.status_code, head.get_data()) == (200, b"")
    assert (int(head.headers.get("Content-Length", 0)) > 0) == (path != "/live")


def test_health_is_503_while_the_server_drains(started: "Start") -> None:
    """B45: asked on a connection that is still served, because no other is let in."""
    inside, go = Event(), Event()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        inside.set()
        assert go.wait(5)
        return hello(environ, start_response)

    ops = Ops(app)
    server = started(ops)
    ops.attach(server)
    assert Client(ops, Response).get("/healthz").get_data() == b"ok\n"
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=5) as client:
        request = "GET {} HTTP/1.1\r\nHost: test\r\n\r\n"
        client.sendall((request.format("/") + request.format("/healthz")).encode())
        assert inside.wait(5)
        drained = gevent.spawn(server.drain, 10)
        gevent.sleep(0)
        go.set()
        replies = b""
        while data := client.recv(10_000):
            replies += data
    assert drained.get(timeout=5) == 0
    assert replies.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"HTTP/1.1 503 Service Unavailable\r\n" in replies
    assert replies.endswith(b"draining\n")
    assert figures(ops)["greenlane_connections_accepted_total"] == 1


def test_the_connections_of_a_server_beside_it_are_told_while_it_is_there(started: "Start") -> None:
    """And what it has accepted afterwards too, since a counter never falls."""
    ops = Ops(hello)
    server = started(hello)
    with ops.beside(server), socket.create_connection(("127.0.0.1", server.server_port), timeout=5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert client.recv(10_000).startswith(b"HTTP/1.1 200 OK\r\n")
        told = figures(ops)
        assert told["greenlane_connections_open"] == told["greenlane_connections_accepted_total"] == 1
    told = figures(ops)
    assert (told["greenlane_connections_open"], told["greenlane_connections_accepted_total"]) == (0, 1)


def test_a_file_stays_a_file_for_the_server() -> None:
    """PEP 3333: `wsgi.file_wrapper` only helps a server that recognizes it."""
    file = io.BytesIO(b"Hello")

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response("200 OK", [])
        return FileWrapper(file)

    ops = Ops(app)
    response = call(ops)
    assert isinstance(response, FileWrapper)
    assert figures(ops)["greenlane_requests_in_flight"] == 1
    for _ in range(2):
        response.close()
        assert file.closed
        assert figures(ops)["greenlane_requests_in_flight"] == 0
