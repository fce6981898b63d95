"""SQLHelper: one connection for each application context, from the first query to the outermost exit.

The rule is the one of the contexts: whatever happens to the greenlet, nothing stays for
the next request. A connection is taken in one place and given back in one place, and a
connection whose state is not known is closed instead of being given back.
"""

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import count
from types import TracebackType
from typing import Any, Final, Self
from weakref import WeakSet, finalize

from sqlalchemy import URL, CursorResult, Executable, Row, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import PendingRollbackError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from greenlane.app import App, app_stack, g
from greenlane.context import get_ident
from greenlane.sql.engine import is_aborted, make_engine
from greenlane.sql.places import Places

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""Values for the ``:names`` of a statement; several mappings execute it once for each."""

POOL_SIZE: Final = 10
"""Connections at once: about as many as a PostgreSQL server makes good use of on a few cores."""

TIMEOUT: Final = 30.0
"""Seconds to wait for a connection, or for SQLite's write lock: less than a client waits."""

logger = logging.getLogger(__name__)
_numbers = count()


class _Lease:
    """What one application context has of one helper.

    Attributes:
        owner: the greenlet that entered the outermost block.
        blocks: how many blocks are open.
        connection: the connection, once there was a query.

    """

    __slots__ = ("__weakref__", "_rescue", "blocks", "connection", "owner")

    def __init__(self, owner: Hashable) -> None:
        self.owner = owner
        self.blocks = 0
        self.connection: Connection | None = None
        self._rescue: finalize[[Connection], _Lease] | None = None

    def hold(self, connection: Connection, lost: Callable[[Connection], object]) -> None:
        """Hold ``connection``, and call ``lost`` with it when the lease is thrown away with it."""
        self.connection = connection
        self._rescue = finalize(self, lost, connection)
        self._rescue.atexit = False

    def let_go(self) -> Connection | None:
        """Return the connection, if there is one, and hold it no more."""
        connection, self.connection = self.connection, None
        if self._rescue is not None:
            self._rescue.detach()
        return connection


class SQLHelper:
    """A database, as the requests of an App use it.

    ::

        db = SQLHelper("postgresql://user@host/name")
        db.init_app(app)

        @app.get("/orders")
        def orders():
            with db:
                rows = db.query("SELECT id FROM orders WHERE customer = :who", {"who": g.customer})
            return {"orders": [row.id for row in rows]}

    Entering binds: it needs an application context and takes nothing. The first query
    takes a connection, which nested blocks share. The outermost exit commits, or rolls
    back when an error passes it, and gives the connection back. Should a block never
    end, the application context's teardown rolls back and gives it back. Each
    application context has a connection of its own: so has a nested request, a
    copied request, and every greenlet with a context.

    Args:
        url: the database: PostgreSQL, or a file of SQLite.
        pool_size: the most connections at once; more requests wait.
        timeout: seconds to wait for a connection, or for SQLite's write lock.

    Attributes:
        engine: SQLAlchemy's engine, for what has no request: making tables, scripts.

    Raises:
        ValueError: there can be no engine for this URL, or no pool of this size.

    """

    def __init__(self, url: str | URL, *, pool_size: int = POOL_SIZE, timeout: float = TIMEOUT) -> None:
        self.engine = make_engine(url, pool_size=pool_size, timeout=timeout)
        self._timeout = timeout
        self._places = Places(pool_size)  # in front of the pool's own queue, which is not kill-safe
        self._apps: WeakSet[App] = WeakSet()
        # By number and not by id(self), which comes again.
        self._key = f"_greenlane_sql_{next(_numbers)}"

    def init_app(self, app: App) -> None:
        """Give connections back at the end of ``app``'s application contexts. Once for each App.

        Raises:
            AssertionError: it has handled a request already.

        """
        if app not in self._apps:
            app.teardown_appcontext(self._teardown)
            self._apps.add(app)

    def __enter__(self) -> Self:
        """Open a block.

        Raises:
            RuntimeError: outside of an application context; :meth:`init_app` was not called
                for the current App; or the context's block belongs to another greenlet.

        """
        lease: _Lease | None = g.get(self._key)
        if lease is None:
            context = app_stack.top
            if context is None or context.app not in self._apps:
                raise RuntimeError(
                    f"This SQLHelper does not know the App of {context!r}: call init_app(app)."
                )
            lease = _Lease(get_ident())
            setattr(g, self._key, lease)
        _check_owner(lease)
        lease.blocks += 1
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Close a block; the outermost one ends the transaction and gives the connection back.

        Raises:
            RuntimeError: its application context is not current, or has ended.
            sqlalchemy.exc.SQLAlchemyError: nothing was committed.

        """
        lease = self._lease()
        lease.blocks -= 1
        if not lease.blocks:
            self._end(lease, commit=exc_type is None)

    @property
    def connection(self) -> Connection:
        """The block's connection, taken from the pool when it is the first use.

        Raises:
            RuntimeError: outside of a ``with db:`` block.
            sqlalchemy.exc.TimeoutError: none became free in time.
            sqlalchemy.exc.SQLAlchemyError: the database does not answer.

        """
        lease = self._lease()
        if lease.connection is None:
            connection = self._take()
            lease.hold(connection, self._lost)
            return connection
        return lease.connection

    def query(
        self, statement: str | Executable, parameters: Parameters | None = None
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        """Execute ``statement`` and return all its rows.

        All of them, because a result that is read later might be read when somebody else
        has the connection.

        Args:
            statement: SQL with ``:names`` for values, or anything that SQLAlchemy executes.
            parameters: the values.

        Raises:
            RuntimeError: outside of a ``with db:`` block.
            sqlalchemy.exc.SQLAlchemyError: the database refuses it.

        """
        return self._run(statement, parameters).all()

    def execute(self, statement: str | Executable, parameters: Parameters | None = None) -> int:
        """Execute ``statement`` and return how many rows it changed, -1 if that is not known.

        Arguments and errors as for :meth:`query`.
        """
        with self._run(statement, parameters) as result:
            return result.rowcount

    def commit(self) -> None:
        """Commit what the block has done so far, and keep the connection.

        Before waiting for something else: SQLite lets nobody else write meanwhile.

        Raises:
            RuntimeError: outside of a ``with db:`` block.
            sqlalchemy.exc.SQLAlchemyError: nothing was committed.

        """
        connection = self._lease().connection
        if connection is not None:
            _commit(connection)

    def rollback(self) -> None:
        """Take back what the block has done since the last commit, and keep the connection.

        Raises:
            RuntimeError: outside of a ``with db:`` block.

        """
        connection = self._lease().connection
        if connection is not None:
            connection.rollback()

    def close(self) -> None:
        """Close the connections that nobody uses, at the program's end."""
        self.engine.dispose()

    def _run(
        self, statement: str | Executable, parameters: Parameters | None
    ) -> CursorResult[*tuple[Any, ...]]:
        executable = text(statement) if isinstance(statement, str) else statement
        return self.connection.execute(executable, parameters)

    def _lease(self) -> _Lease:
        lease: _Lease | None = g.get(self._key)
        if lease is None:
            raise RuntimeError("There is no open block in this application context: put it into `with db:`.")
        _check_owner(lease)
        return lease

    def _take(self) -> Connection:
        if not self._places.take(self._timeout):
            raise NoFreeConnection(
                f"No connection to the database became free within {self._timeout:g} seconds."
            )
        try:
            return self.engine.connect()
        except BaseException:  # also a kill while connecting
            self._places.give_back()
            raise

    def _end(self, lease: _Lease, *, commit: bool) -> None:
        """End the lease and give its connection back: the only place that does, but for :meth:`_lost`."""
        # First, so that whatever comes next, this is done once.
        g.pop(self._key)
        connection = lease.let_go()
        if connection is None:
            return
        try:
            if commit:
                _commit(connection)
            connection.close()  # rolls back what was not committed
        except BaseException as error:
            if not connection.closed:
                connection.invalidate(error)
                connection.close()
            if commit or not isinstance(error, Exception):
                raise
            # Lost with its connection, the transaction is rolled back all the same. The
            # error that brought us here is the one to tell of.
            logger.warning("Rolling back failed, so the connection was closed", exc_info=error)
        finally:
            self._places.give_back()

    def _lost(self, connection: Connection) -> None:
        """Close the connection of a lease that was thrown away: its context died without its end.

        Also called by the garbage collector, at any moment: closing does not wait for the database.
        """
        try:
            connection.invalidate()
            connection.close()
        finally:
            self._places.give_back()
        logger.warning("A block was never left, and its context never ended: its connection was closed")

    def _teardown(self, exc: BaseException | None) -> None:
        lease: _Lease | None = g.get(self._key)
        if lease is not None:
            self._end(lease, commit=False)


def _check_owner(lease: _Lease) -> None:
    if lease.owner is not get_ident():
        raise RuntimeError(
            "This application context's block belongs to another greenlet, and a connection serves one "
            "at a time: give the other greenlet an application context of its own."
        )


def _commit(connection: Connection) -> None:
    if is_aborted(connection):
        raise PendingRollbackError(
            "A statement failed, so PostgreSQL commits nothing of this transaction. Catch errors outside of "
            "the block, call db.rollback(), or put the statement into db.connection.begin_nested()."
        )
    connection.commit()
