"""stream_with_context: bodies that are made after the view, each of which sees its own request."""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent.event import Event
from werkzeug.test import EnvironBuilder, run_wsgi_app

from greenlane import (
    App,
    LocalManager,
    copy_current_request_context,
    g,
    get_flashed_messages,
    request,
    session,
    stream_with_context,
)
from greenlane.app import app_stack, counts, request_stack

if TYPE_CHECKING:
    from tests.app.conftest import Streams


def test_the_generator_sees_its_request(shop: App, ended: list[str], streams: "type[Streams]") -> None:
    """B57: until it is exhausted; on no stack between the pieces; teardown once, behind the last."""
    log: list[str] = []
    streams.serve(shop, log=log)
    body = streams.call(shop, "/?name=bob")
    assert streams.clean()
    seen = []
    for data in body:
        assert streams.clean()
        assert ended == []
        seen.append(data.decode())
    assert seen == [f"bob bob bob shop {number}\n" for number in range(3)]
    assert log == ["closed in / of bob"]
    assert ended == ["request / bob", "app bob"]
    streams.close(body)
    assert ended == ["request / bob", "app bob"]


def test_without_it_the_proxies_raise(shop: App, ended: list[str], streams: "type[Streams]") -> None:
    """B57: a plain generator runs when the request is over, and is told so."""

    @shop.get("/")
    def view() -> Iterator[str]:
        return (streams.piece() for _ in range(1))

    body = streams.call(shop)
    assert ended == ["request / ada", "app ada"]
    with pytest.raises(RuntimeError, match=r"^Working outside of request context\."):
        list(body)
    assert streams.clean()


def test_overlapping_streams(shop: App, ended: list[str], meeting: Any, streams: "type[Streams]") -> None:
    """B57: 20 streams meet in each of their pieces, and each reads its own request."""
    meets = [meeting(20) for _ in range(3)]

    @shop.get("/")
    def view() -> Any:
        @stream_with_context
        def generate() -> Iterator[str]:
            for meet in meets:
                g.mark = request.args["name"]
                meet.wait()
                yield f"{streams.piece()}{g.mark}\n"

        return generate()

    def one(name: str) -> str:
        body = streams.call(shop, f"/?name={name}")
        text = b"".join(body).decode()
        streams.close(body)
        assert streams.clean()
        return text

    names = [f"n{number}" for number in range(20)]
    jobs = [gevent.spawn(one, name) for name in names]
    gevent.joinall(jobs, timeout=20, raise_error=True)
    assert [job.value for job in jobs] == [f"{name} {name} {name} shop\n{name}\n" * 3 for name in names]
    assert all(len(set(meet.arrived)) == 20 for meet in meets)
    assert sorted(ended) == sorted(line for name in names for line in (f"app {name}", f"request / {name}"))


def test_two_streams_in_turn_in_one_lane(shop: App, ended: list[str], streams: "type[Streams]") -> None:
    """B57: pieces of two bodies, asked for by one greenlet, never see each other's request."""
    streams.serve(shop)
    bodies = [iter(streams.call(shop, f"/?name={name}")) for name in ("a", "b")]
    seen = [next(body).decode() for _ in range(3) for body in bodies]
    assert seen == [f"{name} {name} {name} shop {number}\n" for number in range(3) for name in ("a", "b")]
    for body in bodies:
        streams.close(body)
    assert ended == ["request / a", "app a", "request / b", "app b"]


def test_each_piece_in_another_lane(shop: App, ended: list[str], streams: "type[Streams]") -> None:
    """B57: the request goes where the reader is, and nothing stays there."""
    streams.serve(shop)
    body = iter(streams.call(shop))

    def step() -> tuple[Any, bool]:
        return next(body, None), streams.clean()

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


def test_as_a_decorator(shop: App, ended: list[str], streams: "type[Streams]") -> None:
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
    assert [b"".join(streams.call(shop, f"/?name={name}")) for name in "ab"] == [b"a1a2", b"b1b2"]
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


def test_several_streams_of_one_request(shop: App, ended: list[str], streams: "type[Streams]") -> None:
    """B39, B57: also one made in a step of another: the last to end ends the request."""
    with shop.test_request_context("/here?name=x"):
        g.name = session["name"] = "x"
        first = stream_with_context(streams.piece() for _ in range(2))
        outer: Any = stream_with_context(
            stream_with_context(streams.piece() for _ in range(2)) for _ in range(1)
        )
    inner = next(outer)
    assert next(inner) == next(first) == "x x x shop\n"
    assert list(outer) == []
    assert list(first) == ["x x x shop\n"]
    assert "app x" not in ended
    assert list(inner) == ["x x x shop\n"]
    assert ended == ["request /here x", "app x"]
    assert streams.clean()


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


def test_an_application_context_from_outside(shop: App, ended: list[str], streams: "type[Streams]") -> None:
    """B39, B57: `g` lasts as long as the stream that uses it, though its own block has ended."""
    with shop.app_context(), shop.test_request_context("/here?name=x"):
        g.name = session["name"] = "x"
        stream = stream_with_context(streams.piece() for _ in range(1))
    assert ended == []
    assert list(stream) == ["x x x shop\n"]
    assert ended == ["request /here x", "app x"]


def test_in_a_carried_request(shop: App, ended: list[str], streams: "type[Streams]") -> None:
    """B57, B58: a stream made by a worker keeps the worker's `g`, not the request."""
    with shop.test_request_context("/here?name=x"):
        g.name = session["name"] = "x"

        @copy_current_request_context
        def work() -> Iterator[str]:
            g.name = "worker"
            return stream_with_context(streams.piece() for _ in range(2))

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


def test_under_a_local_manager(shop: App, ended: list[str], streams: "type[Streams]") -> None:
    """B28, B57: middleware that releases the stacks at the close has nothing to take away."""
    streams.serve(shop)
    application = LocalManager([request_stack, app_stack]).make_middleware(shop)
    body, status, _headers = run_wsgi_app(application, EnvironBuilder("/").get_environ())
    assert status == "200 OK"
    assert b"".join(body).decode() == "".join(f" ada ada shop {number}\n" for number in range(3))
    streams.close(body)
    assert ended == ["request / ada", "app ada"]


def test_the_counters_balance(shop: App, streams: "type[Streams]") -> None:
    """B57: each context that enters a lane for a step leaves it again, and each is counted."""
    streams.serve(shop)
    before = counts.request_pushed, counts.app_pushed
    open_before = counts.requests, counts.apps
    list(streams.call(shop))
    assert min(counts.request_pushed - before[0], counts.app_pushed - before[1]) > 3
    assert (counts.requests, counts.apps) == open_before
