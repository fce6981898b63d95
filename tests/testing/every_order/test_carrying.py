"""copy_current_request_context and stream_with_context, in every order."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent import Greenlet
from gevent.queue import Queue
from greenlet import GreenletExit

from greenlane.app import (
    App,
    copy_current_request_context,
    g,
    has_app_context,
    has_request_context,
    request,
    stream_with_context,
)
from greenlane.testing import interleave

if TYPE_CHECKING:
    from tests.testing.every_order.conftest import EveryOrder, Ledger, Pause

NAMES = ("ada", "bob")


def in_no_context() -> bool:
    return not has_request_context() and not has_app_context()


def test_children_that_outlive_their_request(app: App, every_order: "EveryOrder", pause: "Pause") -> None:
    """B58: children of two requests carry on when the responses have gone, each with its own request."""
    ended: list[str] = []
    copies_ended: list[str] = []
    app.teardown_request(lambda _error: ended.append(request.path))
    app.teardown_appcontext(lambda _error: copies_ended.append(g.name))

    @app.get("/<name>")
    def view(name: str) -> Any:
        g.name = name

        @copy_current_request_context
        def child() -> str:
            assert "name" not in g
            g.name = f"child of {name}"
            pause()
            assert (request.path, request.args["name"], g.name) == (f"/{name}", name, f"child of {name}")
            pause()
            return f"{request.args['name']} {g.name}"

        def whole() -> str:
            assert in_no_context()
            text = child()
            assert in_no_context()
            return text

        children.append(gevent.spawn(whole))
        pause()
        assert (request.path, g.name) == (f"/{name}", name)
        return name

    children: list[Greenlet[[], str]] = []
    visits = [interleave.request(app, f"/{name}?name={name}") for name in NAMES]

    def program() -> Any:
        for each in (children, ended, copies_ended):
            each.clear()
        responses = yield visits
        assert [response.text for response in responses] == ["ada", "bob"]
        assert sorted(str(child.value) for child in children) == ["ada child of ada", "bob child of bob"]
        assert sorted(ended) == ["/ada", "/bob"]  # once for each request, not for its copies
        assert sorted(copies_ended) == ["ada", "bob", "child of ada", "child of bob"]

    every_order.holds(program)


def test_several_children_of_one_request(
    app: App, ledger: "Ledger", every_order: "EveryOrder", pause: "Pause"
) -> None:
    """B58: one wrapped function in three greenlets at once, one of which is killed at any moment."""

    @app.get("/")
    def view() -> dict[str, Any]:
        @copy_current_request_context
        def child(number: int) -> int:
            g.path = "/"  # for the ledger, which reads it at the end
            g.number = number
            pause()
            assert request.args["name"] == "ada"
            return int(g.number)

        children = [gevent.spawn(child, number) for number in range(3)]
        pause()
        children[0].kill(block=False)
        gevent.joinall(children)
        assert not hasattr(g, "number")
        return {"values": [None if isinstance(c.value, GreenletExit) else c.value for c in children]}

    visit = interleave.request(app, "/?name=ada")

    def program() -> Any:
        ledger.clear()
        (response,) = yield [visit]
        first, *rest = response.json["values"]
        assert first in (None, 0)
        assert rest == [1, 2]
        assert ledger.ended == ["/"]

    every_order.holds(program)


def test_a_worker_that_serves_copies_of_different_requests(
    app: App, every_order: "EveryOrder", pause: "Pause"
) -> None:
    """B51: between the tasks the worker has no context, also after one that fails."""
    jobs: list[Queue[Any]] = []

    @app.get("/<name>")
    def view(name: str) -> str:
        done: Queue[Any] = Queue()

        def work() -> str:
            g.name = name
            pause()
            if name == "bob":
                raise ZeroDivisionError
            return f"{request.args['name']} {g.name}"

        jobs[0].put((copy_current_request_context(work), done))
        pause()
        assert request.args["name"] == name
        return str(done.get())

    visits = [interleave.request(app, f"/{name}?name={name}") for name in NAMES]

    def worker() -> None:
        for _job in range(2):
            assert in_no_context()
            with pytest.raises(RuntimeError, match="outside of request context"):
                _ = request.path
            work, done = jobs[0].get()
            try:
                done.put(work())
            except ZeroDivisionError:
                done.put("failed")
        assert in_no_context()

    def program() -> Any:
        jobs[:] = [Queue()]
        *responses, _none = yield [*visits, worker]
        assert [response.text for response in responses] == ["ada ada", "failed"]

    every_order.holds(program)


@pytest.fixture
def streaming(app: App, pause: "Pause") -> Callable[[str], Callable[[], Iterator[bytes]]]:
    """Make functions that start a streamed request and return its body, to be read."""

    @app.get("/<name>")
    def view(name: str) -> Any:
        g.name = name

        def generate() -> Iterator[str]:
            try:
                for piece in range(3):
                    assert (g.name, request.args["name"]) == (name, name)
                    if piece:
                        pause()
                    assert (g.name, request.args["name"]) == (name, name)
                    yield f"{name}{piece} "
            finally:
                assert (g.name, request.args["name"]) == (name, name)

        return stream_with_context(generate())

    def make(name: str) -> Callable[[], Iterator[bytes]]:
        environ = app.test_request_context(f"/{name}?name={name}").request.environ

        def start() -> Any:
            return app(dict(environ), lambda *_: lambda _data: None)

        return start

    return make


def read(body: Any, name: str, pieces: int, pause: "Pause", ledger: "Ledger") -> str:
    """Read so many pieces as a server does, and close the body in any case: its request ends then."""
    read = []
    try:
        iterator = iter(body)
        for _piece in range(pieces):
            read.append(next(iterator, b"").decode())
            assert in_no_context()
            pause()
        return "".join(read)
    finally:
        body.close()
        assert in_no_context()
        assert f"/{name}" in ledger.ended


def test_three_streams(
    app: App, ledger: "Ledger", streaming: Any, every_order: "EveryOrder", pause: "Pause"
) -> None:
    """B57: each reads its own request at each piece, and between the pieces the lane is empty."""
    starts = {name: streaming(name) for name in ("ada", "bob", "cyd")}

    def program() -> Any:
        ledger.clear()
        texts = yield [
            lambda: read(starts["ada"](), "ada", 4, lambda: None, ledger),
            lambda: read(starts["bob"](), "bob", 2, pause, ledger),
            lambda: read(starts["cyd"](), "cyd", 2, pause, ledger),
        ]
        assert texts == ["ada0 ada1 ada2 ", "bob0 bob1 ", "cyd0 cyd1 "]
        ledger.check()

    every_order.holds(program)


def test_a_stream_is_killed(
    app: App, ledger: "Ledger", streaming: Any, every_order: "EveryOrder", pause: "Pause"
) -> None:
    """B57: between two of its pieces or inside of one; the connection's next request finds nothing."""
    starts = {name: streaming(name) for name in ("ada", "bob", "cyd")}

    def connection() -> str:
        try:
            text = read(starts["ada"](), "ada", 3, pause, ledger)
        except GreenletExit:
            text = "killed"
        assert in_no_context()
        return text

    def program() -> Any:
        ledger.clear()
        victim = Greenlet(connection)
        ada, bob, cyd, _none = yield [
            victim,
            lambda: read(starts["bob"](), "bob", 4, lambda: None, ledger),
            lambda: read(starts["cyd"](), "cyd", 1, lambda: None, ledger),
            lambda: victim.kill(block=False),
        ]
        assert isinstance(ada, GreenletExit) or ada in ("killed", "ada0 ada1 ada2 ")
        assert (bob, cyd) == ("bob0 bob1 bob2 ", "cyd0 ")
        ledger.check()

    every_order.holds(program)


def test_a_stream_that_moves_to_another_greenlet(
    app: App, ledger: "Ledger", streaming: Any, every_order: "EveryOrder", pause: "Pause"
) -> None:
    """B57: begun here, read there while this greenlet answers another request."""
    start, other = streaming("ada"), streaming("bob")

    def program() -> Any:
        ledger.clear()
        bodies: Queue[Any] = Queue()

        def first() -> str:
            bodies.put(start())
            return read(other(), "bob", 4, pause, ledger)

        def second() -> str:
            with app.test_request_context("/own"):
                pause()
                body = bodies.get()
                pieces = []
                for piece in body:
                    pieces.append(piece.decode())
                    assert request.path == "/own"
                body.close()
                assert request.path == "/own"
                g.path = "/own"  # for the ledger
            return "".join(pieces)

        texts = yield [first, second]
        assert texts == ["bob0 bob1 bob2 ", "ada0 ada1 ada2 "]
        assert sorted(ledger.ended) == ["/ada", "/bob", "/own"]

    every_order.holds(program)


def test_two_streams_of_one_request(
    app: App, ledger: "Ledger", every_order: "EveryOrder", pause: "Pause"
) -> None:
    """B57: the request ends when the last of them does, whichever that is, and once."""
    streams: list[Iterator[str]] = []

    @app.get("/")
    def view() -> str:
        @stream_with_context
        def generate(number: int) -> Iterator[str]:
            for _piece in range(2):
                pause()
                assert ledger.ended == []
                yield f"{g.path}{number}"

        streams[:] = [generate(number) for number in range(2)]
        return "begun"

    visit = interleave.request(app, "/")

    def reader(number: int) -> str:
        pieces = []
        for piece in streams[number]:
            assert in_no_context()
            pieces.append(piece)
        return " ".join(pieces)

    def program() -> Any:
        ledger.clear()
        (response,) = yield [visit]
        assert response.text == "begun"
        assert ledger.ended == []
        texts = yield [lambda: reader(0), lambda: reader(1)]
        assert texts == ["/0 /0", "/1 /1"]
        assert ledger.ended == ["/"]
        ledger.check()
        streams.clear()

    every_order.holds(program, orders=20)
