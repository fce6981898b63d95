"""Engines: which URLs are taken, what is kept out of messages, and how SQLite's lock is waited for."""

import select
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent.event import Event
from sqlalchemy.exc import IntegrityError, OperationalError

from greenlane import App
from greenlane.sql import SQLHelper

if TYPE_CHECKING:
    from tests.sql.conftest import MakeDB


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_means_psycopg(scheme: str) -> None:
    db = SQLHelper(f"{scheme}://user:secret@127.0.0.1/shop")
    assert db.engine.url.drivername == "postgresql+psycopg"
    assert db.engine.url.password == "secret"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "no database URL"),
        ("secret", "no database URL"),
        ("postgres://user:secret@host:port/shop", "no database URL"),
        ("sqlite://", "name a file"),
        ("sqlite:///:memory:", "name a file"),
        ("sqlite:///file:shop?mode=memory&uri=true", "name a file"),
        ("sqlite:///file::memory:?uri=true", "name a file"),
        ("sqlite:///file:?uri=true", "name a file"),
        ("sqlite:///file:shop%3Fmode=memory?uri=true", "name a file"),
        ("postgresql://user:top@secret@host/shop", "write %40"),
        ("secretsql://user:secret@host/shop", "no kind of database"),
        ("postgresql+psycopg2://user:secret@host/shop", "not installed"),
    ],
)
def test_a_url_that_cannot_work_is_refused(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        SQLHelper(url)
    assert "secret@" not in str(caught.value)
    assert "secret'" not in str(caught.value)


@pytest.mark.parametrize("size", [0, -1])
def test_a_pool_without_places_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="pool_size is at least 1"):
        SQLHelper("postgresql://127.0.0.1/shop", pool_size=size)


def test_users_data_stays_out_of_messages(app: App, db: SQLHelper) -> None:
    with app.app_context():
        with pytest.raises(IntegrityError) as caught, db:  # noqa: PT012 - both are needed
            for _ in range(2):
                db.execute("INSERT INTO notes (id, text) VALUES (:id, :text)", {"id": 1, "text": "my diary"})
        assert "my diary" not in str(caught.value)


def test_sqlite_keeps_what_it_says(app: App, make_db: "MakeDB") -> None:
    """Readers beside a writer, and foreign keys that are checked."""
    with app.app_context(), make_db() as db:
        assert db.query("PRAGMA journal_mode")[0][0] == "wal"
        assert db.query("PRAGMA foreign_keys")[0][0] == 1
        assert db.query("PRAGMA busy_timeout")[0][0] == 0


def test_a_writer_waits_for_sqlites_lock_and_lets_its_holder_finish(
    app: App, make_db: "MakeDB", monkeypatch: pytest.MonkeyPatch
) -> None:
    """B50: waiting inside SQLite would stop the native thread, and so the greenlet that holds the lock."""
    db = make_db(timeout=20)
    with app.app_context(), db:
        db.execute("CREATE TABLE notes (text VARCHAR)")
    holds, meets_lock, order = Event(), Event(), list[str]()
    pause = gevent.sleep

    def sleep(seconds: float) -> None:
        meets_lock.set()
        pause(seconds)

    monkeypatch.setattr("greenlane.sql.engine.gevent.sleep", sleep)

    def first() -> None:
        with app.app_context(), db:
            db.execute("INSERT INTO notes VALUES ('first')")
            holds.set()
            assert meets_lock.wait(10)
            order.append("first ends")

    def second() -> None:
        assert holds.wait(10)
        order.append("the other tries")
        with app.app_context(), db:
            # Having read before, too: a transaction begins with its first write.
            assert not db.query("SELECT * FROM notes")
            db.execute("INSERT INTO notes VALUES ('second')")
            order.append("the other has written")
            assert len(db.query("SELECT * FROM notes")) == 2

    gevent.joinall([gevent.spawn(first), gevent.spawn(second)], timeout=20, raise_error=True)
    assert order == ["the other tries", "first ends", "the other has written"]


def test_a_lock_that_is_never_released_is_an_error_in_time(
    app: App, make_db: "MakeDB", tmp_path: Path
) -> None:
    db = make_db(timeout=0.05)
    with app.app_context(), db:
        db.execute("CREATE TABLE notes (text VARCHAR)")
    other = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with app.app_context(), gevent.Timeout(10):
            with pytest.raises(OperationalError, match="locked"), db:
                db.execute("INSERT INTO notes VALUES ('never')")
            with db:
                assert not db.query("SELECT * FROM notes")
    finally:
        other.close()


class Interrupt(Exception):  # noqa: N818 - it is not the query's error
    """What a timeout may raise: an ordinary exception."""


def test_an_interrupted_query_costs_its_connection(
    app: App, make_db: "MakeDB", monkeypatch: pytest.MonkeyPatch
) -> None:
    """B50, poisoned-connection: what is no report of the database may have left a reply unread."""
    db = make_db(pool_size=1)

    def interrupt(*_: object) -> None:
        raise Interrupt

    with app.app_context():
        with db:
            before = db.connection.connection.dbapi_connection
        with monkeypatch.context() as patch, pytest.raises(Interrupt), db:  # noqa: PT012
            patch.setattr("greenlane.sql.engine._when_unlocked", interrupt)
            db.query("SELECT 1")
        with db:
            assert db.connection.connection.dbapi_connection is not before


def test_a_connection_that_the_server_has_closed_is_replaced(
    app: App, make_db: "MakeDB", postgres: str
) -> None:
    """B50: it ended while nobody had it, so nobody hears of it."""
    db, other = make_db(postgres, pool_size=1), make_db(postgres, pool_size=1)
    with app.app_context():
        with db:
            pid = db.query("SELECT pg_backend_pid()")[0][0]
            handle = db.connection.connection.dbapi_connection
        with other:
            other.query("SELECT pg_terminate_backend(:pid)", {"pid": pid})
        assert handle is not None
        assert select.select([handle.fileno()], [], [], 10)[0], "the server has not closed it"
        with db:
            assert db.query("SELECT pg_backend_pid()")[0][0] != pid


def test_a_connection_is_used_again_as_long_as_it_is_fit(app: App, db: SQLHelper) -> None:
    seen = set()
    for _ in range(3):
        with app.app_context(), db:
            seen.add(id(db.connection.connection.dbapi_connection))
    assert len(seen) == 1


def test_a_connection_with_an_unread_reply_is_replaced(app: App, make_db: "MakeDB", postgres: str) -> None:
    """B50, poisoned-connection: should one get back into the pool after all, nobody reads it."""
    db = make_db(postgres, pool_size=1)
    with app.app_context():
        with db:
            handle: Any = db.connection.connection.dbapi_connection
        handle.pgconn.send_query(b"SELECT 'of somebody else'")
        handle.pgconn.flush()
        assert select.select([handle.fileno()], [], [], 10)[0]
        with db:
            assert db.query("SELECT 'mine'")[0][0] == "mine"
