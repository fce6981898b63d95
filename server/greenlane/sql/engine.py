"""Engines that suit greenlets: what SQLAlchemy and each database must be told before the first query.

Rule: nothing waits on the native thread for what another greenlet of it holds, and no
connection that was left in the middle of a query goes back to the pool. Knows
nothing of contexts.
"""

import select
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent import monkey
from sqlalchemy import URL, Engine, QueuePool, create_engine, event, make_url
from sqlalchemy.engine import Connection, ExceptionContext
from sqlalchemy.exc import ArgumentError, DisconnectionError, NoSuchModuleError, SQLAlchemyError

if TYPE_CHECKING:
    import psycopg

CONNECT_TIMEOUT: Final = 10
"""Seconds that connecting to PostgreSQL may take, unless the URL has a ``connect_timeout``."""

LOCK_PAUSE: Final = 0.005
"""Seconds between two attempts to get SQLite's write lock: about as long as a small transaction takes."""

_native_poll = monkey.get_original("select", "poll")


def make_engine(url: str | URL, *, pool_size: int, timeout: float) -> Engine:
    """Make an engine for greenlets.

    Args:
        url: as for :func:`sqlalchemy.create_engine`; ``postgres://`` and ``postgresql://``,
            as platforms put them into DATABASE_URL, mean psycopg 3.
        pool_size: the most connections at once.
        timeout: seconds to wait for SQLite's write lock.

    Raises:
        ValueError: there can be no engine for this URL, or no pool of this size; the message
            holds no password.

    """
    if pool_size < 1:
        raise ValueError(f"a pool of {pool_size} serves nobody: pool_size is at least 1")
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: of a port that is no number
        raise ValueError("it is no database URL, such as postgresql://user@host/name") from None
    if "@" in (parsed.host or ""):  # what is taken for the host begins with a part of the password
        raise ValueError("there is an @ too many in it: in a user's name or a password, write %40")
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    backend = parsed.get_backend_name()
    arguments: dict[str, Any] = {}
    if backend == "sqlite":
        _refuse_memory(parsed)
        # No waiting inside SQLite: it would stop the greenlet that holds the lock, too.
        arguments = {"timeout": 0, "check_same_thread": False}
    elif backend == "postgresql":
        # A database in SQL_ASCII does not say what its texts are, and psycopg would give bytes.
        arguments = {"connect_timeout": CONNECT_TIMEOUT, "client_encoding": "utf8"}
        arguments = {name: value for name, value in arguments.items() if name not in parsed.query}
    try:
        engine = create_engine(
            parsed,
            connect_args=arguments,
            poolclass=QueuePool,
            pool_size=pool_size,
            max_overflow=0,
            # The connection used last: those that a burst has opened can grow old unused.
            pool_use_lifo=True,
            hide_parameters=True,  # they are users' data, and errors end up in logs
        )
    except NoSuchModuleError:
        raise ValueError(f"{parsed.drivername!r} is no kind of database that is known here") from None
    except ImportError as error:
        raise ValueError(f"{parsed.drivername!r} needs a driver that is not installed: {error}") from None
    except (ArgumentError, TypeError, ValueError) as error:
        raise ValueError(f"its options are wrong: {error}") from None
    event.listen(engine, "handle_error", _drop_interrupted)
    if backend == "sqlite":
        _prepare_sqlite(engine, timeout)
    elif parsed.drivername == "postgresql+psycopg":
        event.listen(engine, "checkout", _replace_unfit)
    return engine


def is_aborted(connection: Connection) -> bool:
    """Whether PostgreSQL has given the transaction up: it answers COMMIT with a rollback, and no error."""
    info = getattr(connection.connection.dbapi_connection, "info", None)
    return info is not None and info.transaction_status.name == "INERROR"


def _refuse_memory(url: URL) -> None:
    database = url.database or ""
    name = database.removeprefix("file:").partition("?")[0]  # of a URI (sqlite.org/uri.html)
    if name in ("", ":memory:") or "mode=memory" in database or url.query.get("mode") == "memory":
        raise ValueError("SQLite in memory has a database of its own for each connection: name a file")


def _drop_interrupted(context: ExceptionContext) -> None:
    """Have a connection closed, not pooled, when something else than the database ended its query.

    A reply that was not read stays on the connection, and the next user would read it. SQLAlchemy
    does this for GreenletExit and gevent.Timeout, which are no Exception; but a timeout
    may raise any exception that it is given.
    """
    dbapi_error = context.dialect.loaded_dbapi.Error
    if not isinstance(context.original_exception, (dbapi_error, SQLAlchemyError)):
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False  # the others are well


def _replace_unfit(connection: "psycopg.Connection[Any]", _record: object, _proxy: object) -> None:
    """Have a connection replaced that the server has closed, or on which a reply was left.

    An idle connection has nothing to read. Not SQLAlchemy's own ping, which costs a round trip
    for each request, and where a kill in its middle comes out as a ProgrammingError.
    """
    if not connection.closed:
        # Of an idle connection the answer is there at once: nothing to wait for, so no switch.
        poll = _native_poll()
        poll.register(connection.fileno(), select.POLLIN)
        if not poll.poll(0):
            return
    raise DisconnectionError("The connection was closed while it was idle.")


def _prepare_sqlite(engine: Engine, timeout: float) -> None:
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        # Readers and a writer at once; and what a crash of the machine may lose then is
        # the last commits, not the file's consistency (sqlite.org/wal.html).
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            _when_unlocked(partial(connection.execute, f"PRAGMA {pragma}"), timeout)

    def execute(cursor: sqlite3.Cursor, statement: str, parameters: Any, _context: object) -> bool:
        _when_unlocked(partial(cursor.execute, statement, parameters), timeout)
        return True  # done: SQLAlchemy does not execute it again

    event.listen(engine, "connect", prepare)
    event.listen(engine, "do_execute", execute)


def _when_unlocked(act: Callable[[], object], timeout: float) -> None:
    """Act, and again as long as another connection holds the write lock, letting others run meanwhile."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            act()
            return
        except sqlite3.OperationalError as error:
            # Exactly this code: the extended ones (recovery, a stale snapshot) do not pass by waiting.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        gevent.sleep(LOCK_PAUSE)
