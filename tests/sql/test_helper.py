"""SQLHelper by itself: binding, checking out, giving back, committing; on SQLite and on PostgreSQL."""

from typing import TYPE_CHECKING

import gevent
import pytest
from gevent.event import Event
from sqlalchemy.exc import IntegrityError, PendingRollbackError, SQLAlchemyError

from greenlane import App, g
from greenlane.sql import SQLHelper

if TYPE_CHECKING:
    from tests.sql.conftest import Ledger, MakeDB

ADD = "INSERT INTO notes (id, text) VALUES (:id, :text)"


def add(db: SQLHelper, number: int, text: str = "a note") -> None:
    assert db.execute(ADD, {"id": number, "text": text}) == 1


def stored(app: App, db: SQLHelper) -> list[int]:
    """What a later request finds."""
    with app.app_context(), db:
        return [row.id for row in db.query("SELECT id FROM notes ORDER BY id")]


# Binding and checking out


def test_entering_needs_an_application_context(db: SQLHelper, ledger: "Ledger") -> None:
    """B27, B50."""
    with pytest.raises(RuntimeError, match=r"^Working outside of application context\.\n"), db:
        pass
    assert (ledger.out, ledger.back) == (0, 0)


def test_a_query_needs_a_block(app: App, db: SQLHelper) -> None:
    """B50: also after the last one has ended."""
    with app.app_context():
        with pytest.raises(RuntimeError, match="no open block"):
            db.query("SELECT 1")
        with db:
            db.query("SELECT 1")
        for act in (lambda: db.execute("SELECT 1"), lambda: db.connection, db.commit, db.rollback):
            with pytest.raises(RuntimeError, match="no open block"):
                act()


def test_an_app_that_was_not_introduced_is_refused(db: SQLHelper, ledger: "Ledger") -> None:
    """B50: nothing would give the connection back at its teardown."""
    with App("other").app_context(), pytest.raises(RuntimeError, match="init_app"), db:
        pass
    assert ledger.out == 0


def test_entering_takes_nothing_and_the_first_query_takes_a_connection(
    app: App, db: SQLHelper, ledger: "Ledger"
) -> None:
    """B50: and the outermost exit gives it back, once."""
    with app.app_context():
        with db:
            assert (ledger.out, ledger.back) == (0, 0)
            with db:
                assert (ledger.out, ledger.back) == (0, 0)
                first = db.connection
                assert (ledger.out, ledger.back) == (1, 0)
            db.query("SELECT 1")
            assert db.connection is first
            assert (ledger.out, ledger.back) == (1, 0)
        assert (ledger.out, ledger.back) == (1, 1)
        assert not list(g), "the block has left something on g"
    assert (ledger.out, ledger.back) == (1, 1)


def test_a_block_without_a_query_takes_nothing(app: App, db: SQLHelper, ledger: "Ledger") -> None:
    """B50."""
    with app.app_context(), db:
        db.commit()
        db.rollback()
    assert ledger.out == 0


def test_rows_and_counts(app: App, db: SQLHelper) -> None:
    """Rows outlive their block: they were all read."""
    with app.app_context():
        with db:
            assert db.execute(ADD, [{"id": number, "text": f"note {number}"} for number in (1, 2, 3)]) == 3
            rows = db.query("SELECT id, text FROM notes WHERE id > :least ORDER BY id", {"least": 1})
            assert db.execute("DELETE FROM notes WHERE id = 9") == 0
        assert [(row.id, row.text) for row in rows] == [(2, "note 2"), (3, "note 3")]


# Giving back


def test_teardown_gives_back_what_no_exit_did(app: App, db: SQLHelper, ledger: "Ledger") -> None:
    """B50: a hook entered the block and never left it; what it wrote is rolled back."""

    @app.before_request
    def begin() -> None:
        db.__enter__()

    @app.get("/")
    def view() -> str:
        add(db, 1)
        assert (ledger.out, ledger.back) == (1, 0)
        return "seen"

    assert app.test_client().get("/").get_data() == b"seen"
    assert (ledger.out, ledger.back) == (1, 1)
    assert stored(app, db) == []


def test_an_exit_after_the_teardown_gives_back_nothing_twice(
    app: App, db: SQLHelper, ledger: "Ledger"
) -> None:
    """B50."""
    context = app.app_context()
    context.push()
    db.__enter__()
    db.query("SELECT 1")
    context.pop()
    assert (ledger.out, ledger.back) == (1, 1)
    with pytest.raises(RuntimeError, match="outside of application context"):
        db.__exit__(None, None, None)
    with app.app_context(), pytest.raises(RuntimeError, match="no open block"):
        db.__exit__(None, None, None)
    assert (ledger.out, ledger.back) == (1, 1)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, gevent.GreenletExit, gevent.Timeout])
@pytest.mark.parametrize("depth", [1, 2])
def test_an_error_in_the_body_rolls_back_and_gives_back(
    app: App, db: SQLHelper, ledger: "Ledger", error: type[BaseException], depth: int
) -> None:
    """B50."""
    with app.app_context():
        with pytest.raises(error), db:  # noqa: PT012 - what came before the error matters
            add(db, 1)
            if depth == 2:
                with db:
                    raise error
            raise error
        assert (ledger.out, ledger.back) == (1, 1)
    assert stored(app, db) == []


@pytest.mark.parametrize("kill", [gevent.GreenletExit(), gevent.Timeout(1)])
def test_a_greenlet_killed_in_its_body_gives_back(
    app: App, db: SQLHelper, ledger: "Ledger", kill: BaseException
) -> None:
    """B50: killed between write and read."""
    waiting = Event()

    @app.get("/")
    def view() -> str:
        with db:
            add(db, 1)
            waiting.set()
            Event().wait(20)
            return "not killed"

    def request() -> None:
        with pytest.raises(type(kill)):
            app.test_client().get("/")

    greenlet = gevent.spawn(request)
    assert waiting.wait(10)
    assert (ledger.out, ledger.back) == (1, 0)
    greenlet.kill(kill)
    assert greenlet.successful(), greenlet.exception
    assert (ledger.out, ledger.back) == (1, 1)
    assert stored(app, db) == []


def test_every_connection_is_free_again_after_many_errors(make_db: "MakeDB", app: App) -> None:
    """B50: a pool of one serves a hundred requests that fail."""
    db = make_db(pool_size=1, timeout=0.1)
    for _ in range(100):
        with app.app_context(), pytest.raises(ValueError), db:  # noqa: PT012
            db.query("SELECT 1")
            raise ValueError
    with app.app_context(), db:
        assert db.query("SELECT 1")[0][0] == 1


# Transactions


def test_a_clean_outermost_exit_commits(app: App, db: SQLHelper) -> None:
    """B50: and an inner one does not."""
    with app.app_context():
        with db:
            with db:
                add(db, 1)
            with db.engine.connect() as other:
                assert other.exec_driver_sql("SELECT count(*) FROM notes").scalar() == 0
        assert stored(app, db) == [1]


def test_the_outermost_exit_decides(app: App, db: SQLHelper) -> None:
    """B50: who catches an error inside keeps what was written before it."""
    with app.app_context(), db:
        with pytest.raises(ValueError), db:  # noqa: PT012
            add(db, 1)
            raise ValueError
        add(db, 2)
    assert stored(app, db) == [1, 2]


def test_commit_and_rollback_within_a_block(app: App, db: SQLHelper, ledger: "Ledger") -> None:
    with app.app_context():
        with pytest.raises(ValueError), db:  # noqa: PT012
            add(db, 1)
            db.commit()
            add(db, 2)
            db.rollback()
            add(db, 3)
            raise ValueError
        assert (ledger.out, ledger.back) == (1, 1)
    assert stored(app, db) == [1]


def test_a_refused_statement_commits_all_or_says_that_it_does_not(app: App, db: SQLHelper) -> None:
    """PostgreSQL rolls such a transaction back at COMMIT and reports success; that must not pass."""
    says: type[Exception] | None = None
    with app.app_context():
        try:
            with db:
                add(db, 1)
                with pytest.raises(IntegrityError):
                    add(db, 1)
        except PendingRollbackError as error:
            says = type(error)
    assert (stored(app, db), says) in [([1], None), ([], PendingRollbackError)]
    assert (says is None) == (db.engine.dialect.name == "sqlite")


def test_after_a_rollback_the_block_goes_on(app: App, db: SQLHelper) -> None:
    with app.app_context(), db:
        with pytest.raises(SQLAlchemyError):
            db.query("SELECT nonsense")
        db.rollback()
        add(db, 2)
    assert stored(app, db) == [2]


def test_a_failing_commit_is_told_and_gives_back(
    app: App, db: SQLHelper, ledger: "Ledger", monkeypatch: pytest.MonkeyPatch
) -> None:
    """B50: the database refuses at the very end."""

    def refuse(_connection: object) -> None:
        raise db.engine.dialect.loaded_dbapi.OperationalError("the disk is full")

    with app.app_context():
        with monkeypatch.context() as patch, pytest.raises(SQLAlchemyError, match="disk is full"):  # noqa: PT012, SIM117
            with db:
                add(db, 1)
                patch.setattr(db.engine.dialect, "do_commit", refuse)
        assert (ledger.out, ledger.back) == (1, 1)
    assert stored(app, db) == []


def test_a_failing_rollback_does_not_hide_the_error(
    app: App,
    db: SQLHelper,
    ledger: "Ledger",
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """B50: the connection is closed, and with it the transaction is gone."""

    def refuse(_connection: object) -> None:
        raise db.engine.dialect.loaded_dbapi.OperationalError("no way back")

    with app.app_context():
        with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):  # noqa: PT012, SIM117
            with db:
                add(db, 1)
                patch.setattr(db.engine.dialect, "do_rollback", refuse)
                1 / 0  # noqa: B018
        assert (ledger.out, ledger.back) == (1, 1)
    assert "no way back" in caplog.text
    assert stored(app, db) == []
