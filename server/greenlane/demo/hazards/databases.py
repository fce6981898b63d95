"""What belongs to one request of a database, used by several: a cursor, and an ORM's session."""

import os
import secrets
import weakref
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent.lock import BoundedSemaphore
from gevent.monkey import get_original
from greenlet import getcurrent
from sqlalchemy import Column, MetaData, String, Table, delete, insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker
from sqlalchemy.schema import CreateTable
from werkzeug.exceptions import ServiceUnavailable

from greenlane.app import App, Request
from greenlane.demo.database import NoDatabase, open_database, told_in_a_line
from greenlane.demo.hazards.hazard import Cell, Hazard, Kept, Variant, everywhere
from greenlane.demo.keeper import FIELDS, Keeper, Reading
from greenlane.demo.parameters import Parameters
from greenlane.demo.switching import jitter
from greenlane.sql import SQLHelper

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

SEALED: Final = 80
"""Characters of the longest nonce with its seal, and some to spare."""

PAUSE: Final = 0.001
"""Seconds, on average, between a query and the fetching of its rows."""

ROWS: Final = Table(
    "greenlane_lanes",
    MetaData(),
    Column("lane", String(32), primary_key=True),
    Column("field", String(16), primary_key=True),
    Column("value", String(SEALED), nullable=False),
)


class _InRows(Variant):
    """Keeps the data in rows of a database, under a name of the request's own."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self._opening = BoundedSemaphore()
        self._db: SQLHelper | None = None

    def db(self) -> SQLHelper:
        """Return the database, which is opened on first use."""
        with self._opening:
            if self._db is None:
                with told_in_a_line():
                    db = open_database(os.environ.get("DATABASE_URL"))
                    with db.engine.begin() as connection:
                        connection.execute(CreateTable(ROWS, if_not_exists=True))
                self.opened(db)
                self._db = db
            return self._db

    def opened(self, db: SQLHelper) -> None:
        """Prepare what is to be used for all requests."""

    @abstractmethod
    def keeper(self) -> Keeper:
        """Return the keeper of one request."""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Probe rows that nobody else knows the name of."""
        parameters = Parameters.of(Request(environ))
        try:
            keeper = self.keeper()
            try:
                report = self.cell.probe(keeper, parameters).run()
            finally:
                keeper.release()
        except (NoDatabase, SQLAlchemyError) as error:
            reason = str(error) if isinstance(error, NoDatabase) else "The database does not answer."
            raise ServiceUnavailable(reason) from None
        return self.cell.reply(report)(environ, start_response)


class _Rows(Keeper):
    """The rows of one request, by the name that it has given them."""

    def __init__(self) -> None:
        self.name = secrets.token_hex(16)


class OneCursor(_InRows):
    """One connection and one cursor for all, with a lock around each query, and not around its rows."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.lock = BoundedSemaphore()

    def opened(self, db: SQLHelper) -> None:
        """Connect once, and make the cursor."""
        connection = db.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.detach()  # from the pool, which would count it for ever
        weakref.finalize(self, connection.close)
        self.cursor: Any = connection.connection.cursor()
        self.no_result: type[Exception] = db.engine.dialect.loaded_dbapi.ProgrammingError
        self.mark = "?" if db.engine.dialect.paramstyle == "qmark" else "%s"

    def keeper(self) -> Keeper:
        """Return a keeper that uses the one cursor."""
        self.db()
        return _ByCursor(self)


class _ByCursor(_Rows):
    def __init__(self, shared: OneCursor) -> None:
        super().__init__()
        self._shared = shared

    def write(self, field: str, value: str) -> None:
        self._execute("INSERT INTO greenlane_lanes (lane, field, value) VALUES (?, ?, ?)", field, value)

    def read(self) -> Reading:
        self._execute("SELECT field, value FROM greenlane_lanes WHERE lane = ?")
        gevent.sleep(jitter(PAUSE))  # whatever a program does before it looks at the rows
        try:
            rows = dict(self._shared.cursor.fetchall())
        except self._shared.no_result:  # psycopg's word for rows that somebody else has fetched
            rows = {}
        return {field: rows.get(field) for field in FIELDS}

    def release(self) -> None:
        self._execute("DELETE FROM greenlane_lanes WHERE lane = ?")

    def _execute(self, statement: str, *values: str) -> None:
        with self._shared.lock:
            self._shared.cursor.execute(statement.replace("?", self._shared.mark), (self.name, *values))
            gevent.sleep(jitter(PAUSE) / 2)  # such as a line of a log


class OwnConnection(_InRows):
    """SQLHelper: a connection for each block, and rows that are fetched in one go with their query."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self._app = App(__name__)

    def opened(self, db: SQLHelper) -> None:
        """Have the App's contexts give connections back."""
        db.init_app(self._app)

    def keeper(self) -> Keeper:
        """Return a keeper that takes a connection for each block."""
        return _ByHelper(self.db())

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Probe in an application context, whose connections are its own."""
        with self._app.app_context():
            return super().__call__(environ, start_response)


class _ByHelper(_Rows):
    def __init__(self, db: SQLHelper) -> None:
        super().__init__()
        self._db = db

    def write(self, field: str, value: str) -> None:
        with self._db:
            self._db.execute(insert(ROWS).values(lane=self.name, field=field, value=value))

    def read(self) -> Reading:
        with self._db:
            found = self._db.query(select(ROWS.c.field, ROWS.c.value).where(ROWS.c.lane == self.name))
            gevent.sleep(jitter(PAUSE))
        rows = {row.field: row.value for row in found}
        return {field: rows.get(field) for field in FIELDS}

    def release(self) -> None:
        with self._db:
            self._db.execute(delete(ROWS).where(ROWS.c.lane == self.name))


class SharedCursor(Hazard):
    """Two queries, and one place for their rows."""

    name = "shared-cursor"
    summary = "One connection and one cursor execute the queries of all requests."
    shows = (
        "a checkpoint reads the rows of whoever executed last, or nothing where those were fetched already"
    )
    cause = (
        "A cursor has the rows of its last query. Between a request's query and the fetching of its rows "
        "it waits, and others execute theirs. A lock that covers the query, as drivers for threads have it "
        "too, does not cover the two together."
    )
    incidents = (
        "https://github.com/psycopg/psycopg2/issues/1548",
        "https://github.com/psycopg/psycopg2/issues/1710",
    )
    not_applicable = everywhere("the rows are on a cursor, wherever the request keeps its own data")
    broken = OneCursor
    fixed = OwnConnection


class _Base(DeclarativeBase):
    pass


class Draft(_Base):
    """An object of an ORM, that its session will insert at the next flush."""

    __tablename__ = "greenlane_drafts"

    id: Mapped[int] = mapped_column(primary_key=True)
    first: Mapped[str | None] = mapped_column(String(SEALED))
    second: Mapped[str | None] = mapped_column(String(SEALED))


class _InSession(Kept):
    """Keeps the data in a new object of the current session, which is removed when the request is over."""

    sessions: "scoped_session[Any]"

    def write(self, field: str, value: str) -> None:
        """Set an attribute of the draft, which is added to the session when there is none."""
        draft = self._draft()
        if draft is None:
            self.sessions.add(draft := Draft())
        setattr(draft, field, value)

    def read(self) -> Reading:
        """Read the draft that the current session has."""
        draft = self._draft()
        return {field: getattr(draft, field, None) for field in FIELDS}

    def end(self) -> None:
        """Close the current session, and forget it: what was not committed is gone."""
        self.sessions.remove()

    def left(self) -> int:
        """Return how many sessions there are."""
        return len(self.sessions.registry.registry)

    def _draft(self) -> Draft | None:
        return next((each for each in self.sessions.new if isinstance(each, Draft)), None)


class ScopedByIdent(_InSession):
    """A session for each native thread, as thread-locals give it that were made before the patching."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.sessions = scoped_session(sessionmaker(), scopefunc=get_original("threading", "get_ident"))


class ScopedByGreenlet(_InSession):
    """A session for each greenlet."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.sessions = scoped_session(sessionmaker(), scopefunc=getcurrent)


class ScopedByThread(Hazard):
    """A registry of sessions that knows threads, and has greenlets."""

    name = "scoped-by-thread"
    summary = "The registry of an ORM gives each native thread a session, and all greenlets run on one."
    shows = "a checkpoint reads another request's new object, or none, since another's end closed the session"
    cause = (
        "All requests add to the same session, and the first of them to end removes it for all: what the "
        "others had not committed is lost, or was committed by somebody else."
    )
    incidents = ("https://github.com/pallets-eco/flask-sqlalchemy/issues/413",)
    not_applicable = everywhere("the objects are in a session, wherever the request keeps its own data")
    broken = ScopedByIdent
    fixed = ScopedByGreenlet
