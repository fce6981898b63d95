"""SQLHelper's connections: one for each application context, and waiting for a free one."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent.event import Event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from greenlane import App, Response, copy_current_request_context, stream_with_context
from greenlane.sql import SQLHelper

if TYPE_CHECKING:
    from tests.sql.conftest import Ledger, MakeDB

    from greenlane.app import AppContext


def at_once(*jobs: "Callable[[], Any]") -> list[Any]:
    greenlets = [gevent.spawn(job) for job in jobs]
    gevent.joinall(greenlets, timeout=20, raise_error=True)
    return [greenlet.get() for greenlet in greenlets]


# One connection for each application context


def test_two_requests_at_once_have_a_connection_each(app: App, db: SQLHelper, ledger: "Ledger") -> None:
    """B50: both have written before either reads; a temporary table is its connection's own."""
    written = {1: Event(), 2: Event()}

    @app.get("/<int:number>")
    def view(number: int) -> dict[str, list[int]]:
        with db:
            db.execute(f"CREATE TEMPORARY TABLE own AS SELECT {number} AS id")
            written[number].set()
            assert written[3 - number].wait(10), "the requests did not overlap"
            read = [row.id for row in db.query("SELECT id FROM own")]
            db.execute("DROP TABLE own")
        return {"read": read}

    replies = at_once(*(partial(app.test_client().get, f"/{number}") for number in (1, 2)))
    assert [reply.get_json() for reply in replies] == [{"read": [1]}, {"read": [2]}]
    assert (ledger.out, ledger.back, ledger.most) == (2, 2, 2)


def test_a_nested_request_of_the_same_app_has_its_own(app: App, db: SQLHelper, ledger: "Ledger") -> None:
    """B35, B50: the inner one's end leaves the outer one's connection and transaction alone."""

    @app.get("/outer")
    def outer() -> dict[str, bool]:
        with db:
            before = db.connection
            inside = app.test_client().get("/inner").get_json()["connection"]
            return {"other": inside != id(before), "kept": db.connection is before}

    @app.get("/inner")
    def inner() -> dict[str, int]:
        with db:
            return {"connection": id(db.connection)}

    assert app.test_client().get("/outer").get_json() == {"other": True, "kept": True}
    assert (ledger.out, ledger.back, ledger.most) == (2, 2, 2)


def test_nested_application_contexts_have_their_own(app: App, db: SQLHelper, ledger: "Ledger") -> None:
    """B47, B50."""
    with app.app_context(), db:
        outer = db.connection
        with app.app_context(), db:
            assert db.connection is not outer
            assert ledger.most == 2
        assert (ledger.out, ledger.back) == (2, 1)
        assert db.connection is outer
    assert (ledger.out, ledger.back) == (2, 2)


def test_a_block_cannot_be_left_through_another_context(app: App, db: SQLHelper, ledger: "Ledger") -> None:
    """B50: the inner context has no block; the outer one's stays whole."""
    with app.app_context(), db:
        db.query("SELECT 1")
        with app.app_context(), pytest.raises(RuntimeError, match="no open block"):
            db.__exit__(None, None, None)
        assert ledger.back == 0
        db.query("SELECT 1")
    assert (ledger.out, ledger.back) == (1, 1)


def test_a_second_greenlet_in_the_same_context_is_refused(app: App, db: SQLHelper, ledger: "Ledger") -> None:
    """B50: whoever shares a context shares g, but two transactions would mix on one connection."""
    context = app.app_context()

    def other() -> None:
        with context:
            for act in (db.__enter__, lambda: db.query("SELECT 1"), db.commit):
                with pytest.raises(RuntimeError, match="another greenlet"):
                    act()

    with context:
        with db:
            db.query("SELECT 1")
            at_once(other)
            assert (ledger.out, ledger.back) == (1, 0)
        # When the block has ended, the next one may be anybody's.
        at_once(partial(_query_in, context, db))
    assert (ledger.out, ledger.back) == (2, 2)


def _query_in(context: "AppContext", db: SQLHelper) -> None:
    with context, db:
        db.query("SELECT 1")


def test_two_helpers_have_a_connection_each(app: App, make_db: "MakeDB", tmp_path: Path) -> None:
    """B50: in one context, with one `g`."""
    one, other = (make_db(f"sqlite:///{tmp_path / name}") for name in ("one.db", "other.db"))
    with app.app_context(), one, other:
        one.execute("CREATE TABLE only_here (id INTEGER)")
        assert one.connection is not other.connection
        with pytest.raises(SQLAlchemyError):
            other.query("SELECT * FROM only_here")


def test_init_app_twice_is_once(app: App, db: SQLHelper) -> None:
    functions = list(app.teardown_appcontext_funcs)
    db.init_app(app)
    assert app.teardown_appcontext_funcs == functions


def test_a_copied_request_has_its_own(app: App, db: SQLHelper, ledger: "Ledger") -> None:
    """B50, B58: both at once, each with its own transaction."""

    @app.get("/")
    def view() -> dict[str, bool]:
        with db:
            own = db.connection

            @copy_current_request_context
            def copied() -> bool:
                with db:
                    return db.connection is own

            return {"shared": gevent.spawn(copied).get(timeout=10)}

    assert app.test_client().get("/").get_json() == {"shared": False}
    assert (ledger.out, ledger.back, ledger.most) == (2, 2, 2)


@pytest.mark.parametrize("chunks", [1, 3])
def test_a_stream_keeps_its_connection_to_its_end(
    app: App, db: SQLHelper, ledger: "Ledger", chunks: int
) -> None:
    """B50, B57: from chunk to chunk, also of a client that goes away in the middle."""

    @app.get("/")
    def view() -> Response:
        def body() -> Iterator[str]:
            with db:
                for number in range(3):
                    [row] = db.query("SELECT :number AS number", {"number": number})
                    yield f"{row.number} "

        return Response(stream_with_context(body()))

    response = app.test_client().get("/", buffered=False)
    body = response.iter_encoded()
    read = [next(body) for _ in range(chunks)]
    assert read == [b"0 ", b"1 ", b"2 "][:chunks]
    assert (ledger.out, ledger.back) == (1, 0)
    response.close()
    assert (ledger.out, ledger.back) == (1, 1)


# Waiting for a connection


def test_a_request_waits_for_a_free_connection_and_lets_others_run(app: App, make_db: "MakeDB") -> None:
    """B50: a pool of one: the second comes in when the first has left, and the loop turns meanwhile."""
    db = make_db(pool_size=1)
    order: list[str] = []
    holds, go = Event(), Event()

    def first() -> None:
        with app.app_context(), db:
            db.query("SELECT 1")
            holds.set()
            assert go.wait(10)
            order.append("first")

    def second() -> None:
        assert holds.wait(10)
        order.append("second waits")
        with app.app_context(), db:
            db.query("SELECT 1")
            order.append("second")

    def third() -> None:
        while "second waits" not in order:
            gevent.sleep(0)
        order.append("third runs")
        go.set()

    at_once(first, second, third)
    assert order == ["second waits", "third runs", "first", "second"]


def test_no_free_connection_is_an_error_in_time(app: App, make_db: "MakeDB") -> None:
    db = make_db(pool_size=1, timeout=0.05)

    def second() -> None:
        with app.app_context(), pytest.raises(NoFreeConnection, match=r"in 0\.05 seconds"), db:
            db.query("SELECT 1")

    with app.app_context(), db:
        db.query("SELECT 1")
        at_once(second)
    with app.app_context(), db:
        db.query("SELECT 1")


def test_a_killed_waiter_takes_nobodys_turn(app: App, make_db: "MakeDB") -> None:
    """B50: woken and killed in the same turn of the loop, it must not leave the next one asleep."""
    db = make_db(pool_size=1, timeout=60)
    waiting = []

    def wait_and_query() -> str:
        waiting.append(gevent.getcurrent())
        with app.app_context(), db:
            return str(db.query("SELECT 'served'")[0][0])

    with app.app_context():
        with db:
            db.query("SELECT 1")
            first, second = gevent.spawn(wait_and_query), gevent.spawn(wait_and_query)
            while len(waiting) < 2:
                gevent.sleep(0)
            first.kill(block=False)
        gevent.joinall([first, second], timeout=10)
        assert isinstance(first.value, gevent.GreenletExit)
        assert second.value == "served"


def test_a_database_that_does_not_answer_keeps_no_place(app: App, make_db: "MakeDB", tmp_path: Path) -> None:
    """B50: more failures than there are places, and then it works."""
    folder = tmp_path / "later"
    db = make_db(f"sqlite:///{folder / 'shop.db'}", pool_size=2, timeout=0.1)
    for _ in range(5):
        with app.app_context(), pytest.raises(SQLAlchemyError, match="unable to open"), db:
            db.query("SELECT 1")
    folder.mkdir()
    with app.app_context(), db:
        assert db.query("SELECT 1")[0][0] == 1
