"""stream_with_context: bodies that are made after the view, each of which sees its own request."""

import gc
import io
from collections.abc import Callable, Iterable, Iterator
from threading import Thread, get_ident
from typing import Any

import gevent
import pytest
from gevent.event import Event
from werkzeug.test import EnvironBuilder, run_wsgi_app

from greenlane import (
    App,
    Local,
    LocalManager,
    Response,
    abort,
    copy_current_request_context,
    current_app,
    g,
    get_flashed_messages,
    has_app_context,
    has_request_context,
    release_local,
    request,
    session,
    stream_with_context,
)
from greenlane.app import app_stack, counts, request_stack


@pytest.fixture
def ended() -> list[str]:
    """What the teardown functions saw: kind, path or name, and the error's type if there was one."""
    return []


@pytest.fixture
def shop(app: App, ended: list[str]) -> App:
    """An App that says when its requests end, and what is current then."""

    def error(exc: BaseException | None) -> str:
        return "" if exc is None else f" {type(exc).__name__}"

    app.teardown_request(lambda exc: ended.append(f"request {request.path} {g.name}{error(exc)}"))
    app.teardown_appcontext(lambda exc: ended.append(f"app {g.name}{error(exc)}"))

    @app.before_request
    def name() -> None:
        g.name = session["name"] = request.args.get("name", "ada")

    return app


def clean() -> bool:
    return not has_request_context() and not has_app_context()


def piece(tail: str = "") -> str:
    return f"{request.args.get('name', '')} {g.name} {session['name']} {current_app.name}{tail}\n"


def call(app: App, path: str = "/", method: str = "GET") -> Iterable[bytes]:
    """Call ``app`` as a server does, and return the body unread."""
    written: list[bytes] = []
    return app(EnvironBuilder(path, method=method).get_environ(), lambda *head: written.append)


def close(body: Iterable[bytes]) -> None:
    body.close()  # type: ignore[attr-defined]


def streaming(app: App, *, log: list[str] | None = None) -> None:
    """Let ``/`` stream three pieces, each made in the request."""

    @app.get("/")
    def view() -> Any:
        def generate() -> Iterator[str]:
            try:
                for number in range(3):
                    yield piece(f" {number}")
            finally:
                if log is not None:
                    log.append(f"closed in {request.path} of {g.name}")

        return stream_with_context(generate())


def test_the_generator_sees_its_request(shop: App, ended: list[str]) -> None:
    """B57: until it is exhausted; on no stack between the pieces; teardown once, behind the last."""
    log: list[str] = []
    streaming(shop, log=log)
    body = call(shop, "/?name=bob")
    assert clean()
    seen = []
    for data in body:
        assert clean()
        assert ended == []
        seen.append(data.decode())
    assert seen == [f"bob bob bob shop {number}\n" for number in range(3)]
    assert log == ["closed in / of bob"]
    assert ended == ["request / bob", "app bob"]
    close(body)
    assert ended == ["request / bob", "app bob"]


def test_without_it_the_proxies_raise(shop: App, ended: list[str]) -> None:
    """B57: a plain generator runs when the request is over, and is told so."""

    @shop.get("/")
    def view() -> Iterator[str]:
        return (piece() for _ in range(1))

    body = call(shop)
    assert ended == ["request / ada", "app ada"]
    with pytest.raises(RuntimeError, match=r"^Working outside of request context\."):
        list(body)
    assert clean()


@pytest.mark.parametrize("read", [0, 1])
def test_a_client_that_goes_away(shop: App, ended: list[str], read: int) -> None:
    """B57: closed before or after its first piece, the generator ends in its request, which ends too."""
    log: list[str] = []
    streaming(shop, log=log)
    body = iter(call(shop))
    for _ in range(read):
        next(body)
    close(body)
    assert clean()
    assert log == ["closed in / of ada"] * read
    assert ended == ["request / ada", "app ada"]


def test_thrown_away_unread(shop: App, ended: list[str]) -> None:
    """B57: a server that neither reads nor closes the body leaves nothing open either."""
    streaming(shop)
    body = call(shop)
    assert ended == []
    del body
    gc.collect()
    gevent.sleep(0)
    assert ended == ["request / ada", "app ada"]


def test_thrown_away_in_another_requests_lane(shop: App, ended: list[str]) -> None:
    """B57: whoever throws it away, its request ends in a lane of its own, and touches nothing here."""
    log: list[str] = []
    streaming(shop, log=log)
    mine = Local()
    shop.teardown_request(lambda exc: release_local(mine))
    body = iter(call(shop, "/?name=bob"))
    next(body)
    with shop.test_request_context("/other"):
        g.name = mine.name = "other"
        del body
        gc.collect()
        gevent.sleep(0)
        assert (request.path, g.name, mine.name) == ("/other", "other", "other")
        assert log == ["closed in / of bob"]
        assert ended == ["request / bob", "app bob"]


def test_a_collection_is_not_switched_away_from(app: App) -> None:
    """B57: a teardown function that waits, of a stream in a cycle: waiting for it there ended the process."""
    ended, going_on = Event(), Event()
    order: list[str] = []

    @app.teardown_request
    def teardown(exc: BaseException | None) -> None:
        assert going_on.wait(10)
        order.append(f"{request.path} ended")
        ended.set()

    @app.get("/")
    def view() -> Any:
        return stream_with_context(iter(["x"]))

    def collect() -> None:
        cycle: list[Any] = [call(app)]
        cycle.append(cycle)
        del cycle
        gc.collect()
        order.append("collected")
        gevent.sleep(1000)

    collector = gevent.spawn(collect)
    gevent.sleep(0)
    collector.kill()
    assert isinstance(collector.value, gevent.GreenletExit)
    going_on.set()
    assert ended.wait(10)
    assert order == ["collected", "/ ended"]
    gevent.sleep(0)
    assert clean()


def test_thrown_away_by_a_native_thread(shop: App, ended: list[str]) -> None:
    """B57, B51: its request ends in the native thread that served it, whose loop runs."""
    streaming(shop)
    where: list[int] = []
    shop.teardown_request(lambda exc: where.append(get_ident()))
    bodies = [call(shop)]

    def throw_away() -> None:
        gevent.sleep(0)  # there is a hub in this thread, too, and nobody runs it any more
        bodies.clear()
        gc.collect()

    thread = Thread(target=throw_away)
    thread.start()
    thread.join(10)
    gevent.sleep(0.01)
    assert ended == ["request / ada", "app ada"]
    assert where == [get_ident()]


def test_a_failing_teardown_of_a_stream_thrown_away(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """B57: there is nobody to raise it to, so it is logged."""

    @app.teardown_request
    def teardown(exc: BaseException | None) -> None:
        raise ValueError("in teardown")

    @app.get("/")
    def view() -> Any:
        return stream_with_context(iter(["x"]))

    call(app)
    gc.collect()
    gevent.sleep(0)
    assert "in teardown" in caplog.text
    assert clean()


def test_an_error_in_the_generator(shop: App, ended: list[str]) -> None:
    """B57: it comes out of the body, and the teardown functions get it, once."""

    @shop.get("/")
    def view() -> Any:
        def generate() -> Iterator[str]:
            yield piece()
            raise KeyError("in generator")

        return stream_with_context(generate())

    body = iter(call(shop))
    next(body)
    with pytest.raises(KeyError, match="in generator"):
        next(body)
    assert list(body) == []
    close(body)
    assert ended == ["request / ada KeyError", "app ada KeyError"]


def test_a_kill_in_the_middle(shop: App, ended: list[str]) -> None:
    """B57: a greenlet that is killed in a step leaves nothing to its connection's next request."""
    inside = Event()

    @shop.get("/")
    def view() -> Any:
        def generate() -> Iterator[str]:
            inside.set()
            Event().wait()
            yield "never"

        return stream_with_context(generate())

    def connection() -> bool:
        try:
            list(call(shop))
        except gevent.GreenletExit:
            return clean()
        raise AssertionError("it was not killed")

    worker = gevent.spawn(connection)
    assert inside.wait(10)
    worker.kill()
    assert worker.value is True
    assert ended == ["request / ada GreenletExit", "app ada GreenletExit"]


def test_overlapping_streams(shop: App, ended: list[str], meeting: Any) -> None:
    """B57: 20 streams meet in each of their pieces, and each reads its own request."""
    meets = [meeting(20) for _ in range(3)]

    @shop.get("/")
    def view() -> Any:
        @stream_with_context
        def generate() -> Iterator[str]:
            for meet in meets:
                g.mark = request.args["name"]
                meet.wait()
                yield f"{piece()}{g.mark}\n"

        return generate()

    def one(name: str) -> str:
        body = call(shop, f"/?name={name}")
        text = b"".join(body).decode()
        close(body)
        assert clean()
        return text

    names = [f"n{number}" for number in range(20)]
    jobs = [gevent.spawn(one, name) for name in names]
    gevent.joinall(jobs, timeout=20, raise_error=True)
    assert [job.value for job in jobs] == [f"{name} {name} {name} shop\n{name}\n" * 3 for name in names]
    assert all(len(set(meet.arrived)) == 20 for meet in meets)
    assert sorted(ended) == sorted(line for name in names for line in (f"app {name}", f"request / {name}"))


def test_two_streams_in_turn_in_one_lane(shop: App, ended: list[str]) -> None:
    """B57: pieces of two bodies, asked for by one greenlet, never see each other's request."""
    streaming(shop)
    bodies = [iter(call(shop, f"/?name={name}")) for name in ("a", "b")]
    seen = [next(body).decode() for _ in range(3) for body in bodies]
    assert seen == [f"{name} {name} {name} shop {number}\n" for number in range(3) for name in ("a", "b")]
    for body in bodies:
        close(body)
    assert ended == ["request / a", "app a", "request / b", "app b"]


def test_each_piece_in_another_lane(shop: App, ended: list[str]) -> None:
    """B57: the request goes where the reader is, and nothing stays there."""
    streaming(shop)
    body = iter(call(shop))

    def step() -> tuple[Any, bool]:
        return next(body, None), clean()

    seen = [gevent.spawn(step).get(timeout=10) for _ in range(4)]
    assert [data for data, _clean in seen] == [*(f" ada ada shop {n}\n".encode() for n in range(3)), None]
    assert all(was_clean for _data, was_clean in seen)
    assert ended == ["request / ada", "app ada"]


def test_two_readers_at_once(shop: App) -> None:
    """B57: while one greenlet runs the generator, others are refused, and nothing breaks."""
    inside, go = Event(), Event()

    def generate() -> Iterator[str]:
        inside.set()
        assert go.wait(10)
        yield request.path

    with shop.test_request_context("/here"):
        g.name = "here"
        stream: Any = stream_with_context(generate())
    reader = gevent.spawn(list, stream)
    assert inside.wait(10)
    for use in (lambda: next(stream), stream.close):
        with pytest.raises(RuntimeError, match="is running"):
            use()
    go.set()
    assert reader.get(timeout=10) == ["/here"]


def test_a_stream_that_runs_while_its_view_fails(shop: App, ended: list[str]) -> None:
    """B57: another greenlet is in the middle of it: it goes on, and the request ends with it."""
    shop.testing = False
    shop.logger.disabled = True
    inside, go = Event(), Event()
    readers: list[Any] = []

    @shop.get("/")
    def view() -> str:
        def generate() -> Iterator[str]:
            inside.set()
            assert go.wait(10)
            yield piece()

        readers.append(gevent.spawn(list, stream_with_context(generate())))
        assert inside.wait(10)
        raise ValueError

    list(call(shop))
    shop.logger.disabled = False
    assert (ended, clean()) == ([], True)
    go.set()
    assert readers[0].get(timeout=10) == [" ada ada shop\n"]
    assert ended == ["request / ada ValueError", "app ada ValueError"]


def test_what_a_step_leaves_is_taken_off(shop: App, ended: list[str]) -> None:
    """B36, B57: contexts that the generator keeps pushed are named, and gone after the step."""

    @shop.get("/")
    def view() -> Any:
        def generate() -> Iterator[str]:
            shop.app_context().push()
            g.name = "left"
            yield "x"

        return stream_with_context(generate())

    body = iter(call(shop))
    with pytest.raises(AssertionError, match=r"AppContext .* was left on top of <RequestContext GET '/'"):
        next(body)
    assert clean()
    assert ended == ["app left", "request / ada AssertionError", "app ada AssertionError"]
    close(body)


def test_a_with_block_across_a_yield(shop: App, caplog: pytest.LogCaptureFixture) -> None:
    """B57: is the same mistake; the generator is closed, and the reader gets the first error."""

    @shop.get("/")
    def view() -> Any:
        def generate() -> Iterator[str]:
            with App("other").app_context():
                yield "x"

        return stream_with_context(generate())

    with pytest.raises(AssertionError, match=r"of 'other' .* was left on top"):
        list(call(shop))
    assert clean()
    assert "cannot be popped" in caplog.text


def fail_in_view(stream: Any) -> Any:
    raise ValueError(str(stream))


def interrupt(stream: Any) -> Any:
    raise KeyboardInterrupt(str(stream))


def answer_otherwise(stream: Any) -> Any:
    return "something else"


def abort_in_view(stream: Any) -> Any:
    abort(404)


def bad_status(stream: Any) -> Any:
    return stream, "200 OK", {"X": "a\nb"}


@pytest.mark.parametrize("answer", [fail_in_view, interrupt, answer_otherwise, abort_in_view, bad_status])
@pytest.mark.parametrize("read", [0, 1])
@pytest.mark.parametrize("testing", [True, False])
def test_a_stream_that_is_not_sent(
    shop: App, ended: list[str], answer: Callable[[Any], Any], read: int, testing: bool
) -> None:
    """B57: when the view goes on to fail or to answer otherwise, the request ends with its response."""
    shop.testing = testing
    shop.logger.disabled = True
    log: list[str] = []

    @shop.get("/")
    def view() -> Any:
        def generate() -> Iterator[str]:
            try:
                yield piece()
                yield piece()
            finally:
                log.append(f"closed in {request.path} of {g.name}")

        stream = stream_with_context(generate())
        for _ in range(read):
            next(stream)
        return answer(stream)

    gc.collect()
    gc.disable()  # it must not take the collector to find out
    try:
        caught: BaseException | None = None
        try:
            body = call(shop)
        except (ValueError, KeyboardInterrupt) as error:
            caught = error  # its traceback keeps the stream
        assert ended[0].startswith("request / ada")
        assert len(ended) == 2
        assert log == ["closed in / of ada"] * read
        assert clean()
        if caught is None:
            list(body)
            close(body)
        assert len(ended) == 2
    finally:
        gc.enable()
        shop.logger.disabled = False


def test_a_replaced_response(shop: App, ended: list[str]) -> None:
    """B57: when a hook sends something else, the request ends with that."""
    streaming(shop)
    shop.after_request(lambda response: Response("other"))
    assert b"".join(call(shop)) == b"other"
    assert ended == ["request / ada", "app ada"]


def test_head(shop: App, ended: list[str]) -> None:
    """B57: nobody reads the body of a HEAD request; closing it ends the request."""
    streaming(shop)
    body = call(shop, method="HEAD")
    assert list(body) == []
    close(body)
    assert ended == ["request / ada", "app ada"]


def test_an_error_page_that_is_streamed(shop: App, ended: list[str]) -> None:
    """B57: the stream of an error handler goes on, and the teardown functions get the view's error."""
    shop.testing = False
    shop.logger.disabled = True

    @shop.errorhandler(500)
    def handler(error: Exception) -> Any:
        return stream_with_context(piece() for _ in range(2)), 500

    @shop.get("/")
    def view() -> Any:
        g.kept = stream_with_context(iter(["not this one"]))
        raise ValueError

    body = call(shop)
    shop.logger.disabled = False
    assert ended == []
    assert b"".join(body).decode() == " ada ada shop\n" * 2
    assert ended == ["request / ada ValueError", "app ada ValueError"]


def test_as_a_decorator(shop: App, ended: list[str]) -> None:
    """B57: of a function in the view or of the module; the request is the one of the call."""

    @stream_with_context
    def rows(*numbers: int) -> Iterator[str]:
        """Make rows."""
        for number in numbers:
            yield f"{request.args['name']}{number}"

    @shop.get("/")
    def view() -> Any:
        return rows(1, 2)

    assert rows.__name__ == "rows"
    assert [b"".join(call(shop, f"/?name={name}")) for name in "ab"] == [b"a1a2", b"b1b2"]
    assert len(ended) == 4
    with pytest.raises(RuntimeError, match=r"^Working outside of request context\."):
        rows(1)


def test_where_there_is_no_request(app: App) -> None:
    """B27, B57: outside of one, while it ends, and for what cannot be streamed, there is a clear error."""
    with pytest.raises(RuntimeError, match=r"^Working outside of request context\."):
        stream_with_context(iter([]))
    with pytest.raises(TypeError, match="an iterable or a function, not 1"):
        stream_with_context(1)  # type: ignore[call-overload]
    errors: list[str] = []

    @app.teardown_request
    def teardown(exc: BaseException | None) -> None:
        with pytest.raises(RuntimeError) as caught:
            stream_with_context(iter([]))
        errors.append(str(caught.value))

    with app.test_request_context("/here"):
        pass
    assert len(errors) == 1
    assert "GET '/here'" in errors[0]
    assert "is ending" in errors[0]


def test_any_iterable_is_closed(app: App) -> None:
    """B57: not only generators: whatever has a close() has it called, once, in the request."""
    closed: list[str] = []

    class Rows(list[str]):
        def close(self) -> None:
            closed.append(request.path)

    with app.test_request_context("/here"):
        stream: Any = stream_with_context(Rows(["a", "b"]))
    assert list(stream) == ["a", "b"]
    stream.close()
    assert closed == ["/here"]


def test_an_error_in_close(shop: App, ended: list[str]) -> None:
    """B57: it comes out, when the request has ended all the same."""

    def generate() -> Iterator[str]:
        try:
            yield "x"
        finally:
            raise ValueError("in close")

    with shop.test_request_context("/here"):
        g.name = "here"
        stream: Any = stream_with_context(generate())
        next(stream)
    with pytest.raises(ValueError, match="in close"):
        stream.close()
    assert ended == ["request /here here ValueError", "app here ValueError"]


def test_several_streams_of_one_request(shop: App, ended: list[str]) -> None:
    """B39, B57: also one made in a step of another: the last to end ends the request."""
    with shop.test_request_context("/here?name=x"):
        g.name = session["name"] = "x"
        first = stream_with_context(piece() for _ in range(2))
        outer: Any = stream_with_context(stream_with_context(piece() for _ in range(2)) for _ in range(1))
    inner = next(outer)
    assert next(inner) == next(first) == "x x x shop\n"
    assert list(outer) == []
    assert list(first) == ["x x x shop\n"]
    assert "app x" not in ended
    assert list(inner) == ["x x x shop\n"]
    assert ended == ["request /here x", "app x"]
    assert clean()


def test_a_stream_in_a_stream_shares_its_g(shop: App, ended: list[str]) -> None:
    """B57: and leaves it to the outer one when it ends first."""
    with shop.test_request_context("/here"):
        g.name = "here"

        @stream_with_context
        def outer() -> Iterator[str]:
            yield from stream_with_context(g.name for _ in range(1))
            yield g.name

        stream = outer()
    assert list(stream) == ["here", "here"]
    assert ended == ["request /here here", "app here"]


def test_a_context_pushed_anew_after_its_stream(shop: App) -> None:
    """B41, B57: has a new `g`, as without a stream."""
    with (ctx := shop.test_request_context("/here")):
        g.name = "first"
        stream = stream_with_context(g.name for _ in range(1))
    assert list(stream) == ["first"]
    with ctx:
        assert "name" not in g
        g.name = "second"


def test_an_application_context_from_outside(shop: App, ended: list[str]) -> None:
    """B39, B57: `g` lasts as long as the stream that uses it, though its own block has ended."""
    with shop.app_context(), shop.test_request_context("/here?name=x"):
        g.name = session["name"] = "x"
        stream = stream_with_context(piece() for _ in range(1))
    assert ended == []
    assert list(stream) == ["x x x shop\n"]
    assert ended == ["request /here x", "app x"]


def test_in_a_carried_request(shop: App, ended: list[str]) -> None:
    """B57, B58: a stream made by a worker keeps the worker's `g`, not the request."""
    with shop.test_request_context("/here?name=x"):
        g.name = session["name"] = "x"

        @copy_current_request_context
        def work() -> Iterator[str]:
            g.name = "worker"
            return stream_with_context(piece() for _ in range(2))

        stream = gevent.spawn(work).get(timeout=10)
    assert ended == ["request /here x", "app x"]
    assert list(stream) == ["x worker x shop\n"] * 2
    assert ended[2:] == ["app worker"]


def test_flashes_and_files_in_a_stream(app: App) -> None:
    """B38, B57: messages are those of the request, and its files are open until the stream ends."""

    @app.get("/")
    def view() -> Any:
        session["_flashes"] = [("message", "hello")]
        first = get_flashed_messages()
        return stream_with_context(str(get_flashed_messages() == first == ["hello"]) for _ in range(1))

    @app.post("/")
    def upload() -> Any:
        file = request.files["f"]
        return stream_with_context(str(file.stream.closed) for _ in range(1))

    client = app.test_client()
    assert client.get("/").text == "True"
    assert client.post("/", data={"f": (io.BytesIO(b"x"), "x.txt")}).text == "False"


def test_under_a_local_manager(shop: App, ended: list[str]) -> None:
    """B28, B57: middleware that releases the stacks at the close has nothing to take away."""
    streaming(shop)
    application = LocalManager([request_stack, app_stack]).make_middleware(shop)
    body, status, _headers = run_wsgi_app(application, EnvironBuilder("/").get_environ())
    assert status == "200 OK"
    assert b"".join(body).decode() == "".join(f" ada ada shop {number}\n" for number in range(3))
    close(body)
    assert ended == ["request / ada", "app ada"]


def test_the_counters_balance(shop: App) -> None:
    """B57: each context that enters a lane for a step leaves it again, and each is counted."""
    streaming(shop)
    before = counts.request_pushed, counts.app_pushed
    open_before = before[0] - counts.request_popped, before[1] - counts.app_popped
    list(call(shop))
    assert min(counts.request_pushed - before[0], counts.app_pushed - before[1]) > 3
    assert (
        counts.request_pushed - counts.request_popped,
        counts.app_pushed - counts.app_popped,
    ) == open_before
