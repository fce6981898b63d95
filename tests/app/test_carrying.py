"""copy_current_request_context: a request in greenlets, pools and threads of other lanes."""

import gc
import io
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gevent
import pytest
from gevent.event import Event
from gevent.pool import Pool
from gevent.threadpool import ThreadPool

from greenlane import (
    App,
    Response,
    copy_current_request_context,
    current_app,
    g,
    get_ident,
    has_app_context,
    has_request_context,
    request,
    session,
)
from greenlane.app import Request, request_stack

Runner = Callable[[Callable[[], Any]], Any]


def in_greenlet(work: Callable[[], Any]) -> Any:
    return gevent.spawn(work).get(timeout=10)


def in_pool(work: Callable[[], Any]) -> Any:
    return Pool(1).spawn(work).get(timeout=10)


def in_threadpool(work: Callable[[], Any]) -> Any:
    pool = ThreadPool(1)
    try:
        return pool.spawn(work).get(timeout=10)
    finally:
        pool.kill()


def in_native_thread(work: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(work).result(timeout=10)


everywhere = pytest.mark.parametrize(
    "run", [in_greenlet, in_pool, in_threadpool, in_native_thread], ids=lambda run: run.__name__
)


def proxied() -> tuple[str, str, str, str]:
    return request.path, session["name"], current_app.name, str(g.get("name"))


def look() -> list[bool]:
    """What a bare worker sees: nothing, and says so."""
    for use in (lambda: request.path, lambda: session["name"], lambda: current_app.name, lambda: g.name):
        with pytest.raises(RuntimeError, match=r"^Working outside of (request|application) context\."):
            use()
    return [has_request_context(), has_app_context()]


@everywhere
def test_a_bare_worker_has_no_request(app: App, run: Runner) -> None:
    """B51, B58: without a copy the proxies raise, whatever request spawned the worker."""
    app.add_url_rule("/", "index", lambda: run(look))
    assert app.test_client().get("/").json == [False, False]


@everywhere
def test_a_copy_carries_the_request(app: App, run: Runner) -> None:
    """B51, B58: request and session are the view's, g is not, and the view's lane is untouched."""
    lanes: list[object] = []

    @app.get("/here")
    def view() -> Any:
        session["name"] = g.name = "ada"
        live = request_stack.top

        @copy_current_request_context
        def work() -> Any:
            lanes.append(get_ident())
            assert request_stack.top is not live
            g.name, session["from"] = "worker", "worker"
            return request._get_current_object(), proxied()  # type: ignore[attr-defined]

        lanes.append(get_ident())
        carried, seen = run(work)
        assert carried is request._get_current_object()  # type: ignore[attr-defined]
        assert request_stack.top is live
        return [seen, proxied(), session["from"]]

    assert app.test_client().get("/here").json == [
        ["/here", "ada", "shop", "worker"],
        ["/here", "ada", "shop", "ada"],
        "worker",
    ]
    assert len(set(lanes)) == 2


def test_in_the_views_own_greenlet(app: App) -> None:
    """B35, B58: called on the spot, too, it has a `g` of its own."""
    with app.test_request_context("/here"):
        g.name = session["name"] = "ada"
        assert copy_current_request_context(proxied)() == ("/here", "ada", "shop", "None")
        assert g.name == "ada"


def test_overlapping_requests_and_calls(app: App, meeting: Any) -> None:
    """B51, B58: 5 requests with 4 workers each, all at once: each worker sees its own request."""
    meet = meeting(5 * 4)
    rows: list[tuple[str, tuple[str, ...], str]] = []
    pool = Pool(5 * 4)

    @app.get("/<name>")
    def view(name: str) -> str:
        session["name"] = name

        @copy_current_request_context
        def work(number: int) -> None:
            assert "name" not in g
            g.name = f"{name} {number}"
            meet.wait()
            rows.append((name, proxied(), f"{name} {number}"))

        for worker in [pool.spawn(work, number) for number in range(4)]:
            worker.get(timeout=20)
        return request.path

    def one(path: str) -> str:
        return app.test_client().get(path).text

    clients = [gevent.spawn(one, f"/{name}") for name in "abcde"]
    assert [client.get(timeout=20) for client in clients] == [f"/{name}" for name in "abcde"]
    assert len(set(meet.arrived)) == len(rows) == 20
    assert all(seen == (f"/{name}", name, "shop", own) for name, seen, own in rows)


def test_native_threads_at_once(app: App) -> None:
    """B51: threads that stand in the same function at the same time see their own request."""
    together = threading.Barrier(4, timeout=10)

    def carried(path: str) -> Callable[[], tuple[str, str]]:
        @copy_current_request_context
        def work() -> tuple[str, str]:
            g.path = path
            together.wait()
            return request.path, g.path

        return work

    works = []
    for number in range(4):
        with app.test_request_context(f"/{number}"):
            works.append(carried(f"/{number}"))
    with ThreadPoolExecutor(4) as executor:
        seen = [future.result(timeout=10) for future in [executor.submit(work) for work in works]]
    assert seen == [(f"/{number}",) * 2 for number in range(4)]


def leaves_contexts() -> None:
    current_app.app_context().push()
    current_app.test_request_context("/left").push()


def fails() -> None:
    raise KeyError("in worker")


@pytest.mark.parametrize("bad", [leaves_contexts, fails])
@pytest.mark.parametrize("kind", [Pool, ThreadPool])
def test_the_worker_is_clean_for_the_next_task(app: App, bad: Callable[[], None], kind: Any) -> None:
    """B51: after a call that failed, or left contexts behind, in a worker that takes the next task."""
    pool = kind(1)
    lanes: list[object] = []

    def task(work: Callable[[], Any]) -> Any:
        lanes.append(get_ident())
        try:
            return work()
        except (KeyError, AssertionError) as error:
            return str(error)

    with app.test_request_context("/here"):
        broken = copy_current_request_context(bad)

    def both() -> tuple[str, list[bool]]:
        return task(broken), task(look)

    text, clean = pool.spawn(both).get(timeout=10)
    assert "in worker" in text or "was left on top of" in text
    assert clean == [False, False]
    assert pool.spawn(task, look).get(timeout=10) == [False, False]
    pool.kill()
    assert lanes[0] is lanes[1]


def test_a_killed_call(app: App) -> None:
    """B51: its contexts end with it, and the request goes on."""
    started = Event()
    ended: list[object] = []
    app.teardown_appcontext(lambda exc: ended.append(type(exc)))

    @app.get("/")
    def view() -> str:
        @copy_current_request_context
        def work() -> None:
            started.set()
            Event().wait()

        worker = gevent.spawn(work)
        assert started.wait(10)
        worker.kill()
        assert ended == [gevent.GreenletExit]
        return request.path

    assert app.test_client().get("/").text == "/"
    assert ended == [gevent.GreenletExit, type(None)]


def test_what_ends_with_the_call_and_what_with_the_request(app: App) -> None:
    """B51: its own application context, but neither teardown_request nor the request's files."""
    log: list[str] = []
    app.teardown_request(lambda exc: log.append("request"))
    app.teardown_appcontext(lambda exc: log.append(f"app of {g.owner}"))

    @app.post("/")
    def view() -> str:
        g.owner = "view"
        upload = request.files["f"]

        @copy_current_request_context
        def work() -> bytes:
            g.owner = "call"
            return upload.stream.read(1)

        assert [in_greenlet(work), in_greenlet(work)] == [b"a", b"b"]
        assert (upload.stream.closed, log) == (False, ["app of call"] * 2)
        return upload.stream.read().decode()

    client = app.test_client()
    assert client.post("/", data={"f": (io.BytesIO(b"abc"), "f.txt")}).text == "c"
    assert log == ["app of call", "app of call", "request", "app of view"]


def test_a_call_that_outlives_its_request(app: App) -> None:
    """B51, B58: it keeps its request while the connection's next one runs, and ends nothing twice."""
    log: list[str] = []
    go = Event()
    workers = []
    app.teardown_request(lambda exc: log.append(request.path))

    @app.get("/<name>")
    def view(name: str) -> str:
        session["name"] = name

        @copy_current_request_context
        def work() -> tuple[str, ...]:
            assert go.wait(10)
            return proxied()

        workers.append(gevent.spawn(work))
        return name

    client = app.test_client()
    client.get("/first")
    client.get("/second")
    assert log == ["/first", "/second"]
    go.set()
    seen = [worker.get(timeout=10) for worker in workers]
    assert seen == [(f"/{name}", name, "shop", "None") for name in ("first", "second")]
    assert log == ["/first", "/second"]


def test_a_copy_of_a_copy(app: App) -> None:
    """B58: a worker may hand the request on."""
    with app.test_request_context("/here"):
        session["name"] = "ada"
        outer = copy_current_request_context(
            lambda: [proxied(), in_greenlet(copy_current_request_context(proxied))]
        )
    assert in_greenlet(outer) == [("/here", "ada", "shop", "None")] * 2


def test_wrapping_outside_of_a_request() -> None:
    """B27, B58: says so at once, not in the worker."""
    with pytest.raises(RuntimeError, match=r"^Working outside of request context\."):
        copy_current_request_context(proxied)


def test_functions_that_run_after_their_call(app: App) -> None:
    """B58: generator and coroutine functions are refused, with what to do instead."""

    def generator() -> Iterator[str]:
        yield request.path

    async def coroutine() -> str:
        return request.path

    async def asynchronous() -> AsyncIterator[str]:
        yield request.path

    with app.test_request_context():
        for function in generator, coroutine, asynchronous:
            with pytest.raises(TypeError, match="stream_with_context"):
                copy_current_request_context(function)


def test_arguments_name_and_result(app: App) -> None:
    """B58: the wrapped function is called like the function."""
    with app.test_request_context():

        @copy_current_request_context
        def add(a: int, b: int = 1) -> int:
            """Add."""
            return a + b

        assert (add(1), add(1, b=2), add.__name__, add.__doc__) == (2, 3, "add", "Add.")


def test_the_request_is_freed(app: App) -> None:
    """B51: when request and call have ended, nothing keeps the request but the function."""
    kept: list[weakref.ref[Request]] = []

    @app.get("/")
    def view() -> Response:
        kept.append(weakref.ref(request._get_current_object()))  # type: ignore[attr-defined]
        in_greenlet(copy_current_request_context(lambda: request.path))
        return Response("x")

    app.test_client().get("/", buffered=True)
    gc.collect()  # a function that refers to itself, like a view's inner one, is a cycle
    assert kept[0]() is None
