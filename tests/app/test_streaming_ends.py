"""stream_with_context: streams that are thrown away, fail, are killed or are not sent end their request."""

import gc
from collections.abc import Callable, Iterator
from threading import Thread, get_ident
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent.event import Event

from greenlane import (
    App,
    Local,
    Response,
    abort,
    g,
    release_local,
    request,
    stream_with_context,
)

if TYPE_CHECKING:
    from tests.app.conftest import Streams


@pytest.mark.parametrize("read", [0, 1])
def test_a_client_that_goes_away(shop: App, ended: list[str], read: int, streams: "type[Streams]") -> None:
    """B57: closed before or after its first piece, the generator ends in its request, which ends too."""
    log: list[str] = []
    streams.serve(shop, log=log)
    body = iter(streams.call(shop))
    for _ in range(read):
        next(body)
    streams.close(body)
    assert streams.clean()
    assert log == ["closed in / of ada"] * read
    assert ended == ["request / ada", "app ada"]


def test_thrown_away_unread(shop: App, ended: list[str], streams: "type[Streams]") -> None:
    """B57: a server that neither reads nor closes the body leaves nothing open either."""
    streams.serve(shop)
    body = streams.call(shop)
    assert ended == []
    del body
    gc.collect()
    gevent.sleep(0)
    assert ended == ["request / ada", "app ada"]


def test_thrown_away_in_another_requests_lane(shop: App, ended: list[str], streams: "type[Streams]") -> None:
    """B57: whoever throws it away, its request ends in a lane of its own, and touches nothing here."""
    log: list[str] = []
    streams.serve(shop, log=log)
    mine = Local()
    shop.teardown_request(lambda exc: release_local(mine))
    body = iter(streams.call(shop, "/?name=bob"))
    next(body)
    with shop.test_request_context("/other"):
        g.name = mine.name = "other"
        del body
        gc.collect()
        gevent.sleep(0)
        assert (request.path, g.name, mine.name) == ("/other", "other", "other")
        assert log == ["closed in / of bob"]
        assert ended == ["request / bob", "app bob"]


def test_a_collection_is_not_switched_away_from(app: App, streams: "type[Streams]") -> None:
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
        cycle: list[Any] = [streams.call(app)]
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
    assert streams.clean()


def test_thrown_away_by_a_native_thread(shop: App, ended: list[str], streams: "type[Streams]") -> None:
    """B57, B51: its request ends in the native thread that served it, whose loop runs."""
    streams.serve(shop)
    where: list[int] = []
    shop.teardown_request(lambda exc: where.append(get_ident()))
    bodies = [streams.call(shop)]

    def throw_away() -> None:
        gevent.sleep(0)  # there is a hub in this thread, too, and nobody runs it any more
        bodies.clear()
        gc.collect()

    thread = Thread(target=throw_away)
    thread.start()
    thread.join(10)
    with gevent.Timeout(10):
        while "app ada" not in ended:
            gevent.sleep(0.001)
    assert ended == ["request / ada", "app ada"]
    assert where == [get_ident()]


def test_a_failing_teardown_of_a_stream_thrown_away(
    app: App, caplog: pytest.LogCaptureFixture, streams: "type[Streams]"
) -> None:
    """B57: there is nobody to raise it to, so it is logged."""

    @app.teardown_request
    def teardown(exc: BaseException | None) -> None:
        raise ValueError("in teardown")

    @app.get("/")
    def view() -> Any:
        return stream_with_context(iter(["x"]))

    streams.call(app)
    gc.collect()
    gevent.sleep(0)
    assert "in teardown" in caplog.text
    assert streams.clean()


def test_an_error_in_the_generator(shop: App, ended: list[str], streams: "type[Streams]") -> None:
    """B57: it comes out of the body, and the teardown functions get it, once."""

    @shop.get("/")
    def view() -> Any:
        def generate() -> Iterator[str]:
            yield streams.piece()
            raise KeyError("in generator")

        return stream_with_context(generate())

    body = iter(streams.call(shop))
    next(body)
    with pytest.raises(KeyError, match="in generator"):
        next(body)
    assert list(body) == []
    streams.close(body)
    assert ended == ["request / ada KeyError", "app ada KeyError"]


def test_a_kill_in_the_middle(shop: App, ended: list[str], streams: "type[Streams]") -> None:
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
            list(streams.call(shop))
        except gevent.GreenletExit:
            return streams.clean()
        raise AssertionError("it was not killed")

    worker = gevent.spawn(connection)
    assert inside.wait(10)
    worker.kill()
    assert worker.value is True
    assert ended == ["request / ada GreenletExit", "app ada GreenletExit"]


def test_a_stream_that_runs_while_its_view_fails(
    shop: App, ended: list[str], streams: "type[Streams]"
) -> None:
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
            yield streams.piece()

        readers.append(gevent.spawn(list, stream_with_context(generate())))
        assert inside.wait(10)
        raise ValueError

    list(streams.call(shop))
    shop.logger.disabled = False
    assert (ended, streams.clean()) == ([], True)
    go.set()
    assert readers[0].get(timeout=10) == [" ada ada shop\n"]
    assert ended == ["request / ada ValueError", "app ada ValueError"]


def test_what_a_step_leaves_is_taken_off(shop: App, ended: list[str], streams: "type[Streams]") -> None:
    """B36, B57: contexts that the generator keeps pushed are named, and gone after the step."""

    @shop.get("/")
    def view() -> Any:
        def generate() -> Iterator[str]:
            shop.app_context().push()
            g.name = "left"
            yield "x"

        return stream_with_context(generate())

    body = iter(streams.call(shop))
    with pytest.raises(AssertionError, match=r"AppContext .* was left on top of <RequestContext GET '/'"):
        next(body)
    assert streams.clean()
    assert ended == ["app left", "request / ada AssertionError", "app ada AssertionError"]
    streams.close(body)


def test_a_with_block_across_a_yield(
    shop: App, caplog: pytest.LogCaptureFixture, streams: "type[Streams]"
) -> None:
    """B57: is the same mistake; the generator is closed, and the reader gets the first error."""

    @shop.get("/")
    def view() -> Any:
        def generate() -> Iterator[str]:
            with App("other").app_context():
                yield "x"

        return stream_with_context(generate())

    with pytest.raises(AssertionError, match=r"of 'other' .* was left on top"):
        list(streams.call(shop))
    assert streams.clean()
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
    shop: App,
    ended: list[str],
    answer: Callable[[Any], Any],
    read: int,
    testing: bool,
    streams: "type[Streams]",
) -> None:
    """B57: when the view goes on to fail or to answer otherwise, the request ends with its response."""
    shop.testing = testing
    shop.logger.disabled = True
    log: list[str] = []

    @shop.get("/")
    def view() -> Any:
        def generate() -> Iterator[str]:
            try:
                yield streams.piece()
                yield streams.piece()
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
            body = streams.call(shop)
        except (ValueError, KeyboardInterrupt) as error:
            caught = error  # its traceback keeps the stream
        assert ended[0].startswith("request / ada")
        assert len(ended) == 2
        assert log == ["closed in / of ada"] * read
        assert streams.clean()
        if caught is None:
            list(body)
            streams.close(body)
        assert len(ended) == 2
    finally:
        gc.enable()
        shop.logger.disabled = False


def test_a_replaced_response(shop: App, ended: list[str], streams: "type[Streams]") -> None:
    """B57: when a hook sends something else, the request ends with that."""
    streams.serve(shop)
    shop.after_request(lambda response: Response("other"))
    assert b"".join(streams.call(shop)) == b"other"
    assert ended == ["request / ada", "app ada"]


def test_head(shop: App, ended: list[str], streams: "type[Streams]") -> None:
    """B57: nobody reads the body of a HEAD request; closing it ends the request."""
    streams.serve(shop)
    body = streams.call(shop, method="HEAD")
    assert list(body) == []
    streams.close(body)
    assert ended == ["request / ada", "app ada"]


def test_an_error_page_that_is_streamed(shop: App, ended: list[str], streams: "type[Streams]") -> None:
    """B57: the stream of an error handler goes on, and the teardown functions get the view's error."""
    shop.testing = False
    shop.logger.disabled = True

    @shop.errorhandler(500)
    def handler(error: Exception) -> Any:
        return stream_with_context(streams.piece() for _ in range(2)), 500

    @shop.get("/")
    def view() -> Any:
        g.kept = stream_with_context(iter(["not this one"]))
        raise ValueError

    body = streams.call(shop)
    shop.logger.disabled = False
    assert ended == []
    assert b"".join(body).decode() == " ada ada shop\n" * 2
    assert ended == ["request / ada ValueError", "app ada ValueError"]


def test_any_iterable_is_closed(app: App, streams: "type[Streams]") -> None:
    """B57: not only generators: whatever has a streams.close() has it called, once, in the request."""
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
