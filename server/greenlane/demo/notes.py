"""Notes: each visitor writes, sees and deletes rows of a real database, and only their own.

Who is asking stands in ``g`` and is read anew for each query, after a switch: so a page
of somebody else's notes would show at once that ``g``, the session or the connection
was another request's.

Must not import the site, which mounts this.
"""

import secrets
import unicodedata
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

import gevent
from sqlalchemy import Column, Index, Integer, MetaData, Select, String, Table, delete, func, insert, select
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.schema import CreateIndex, CreateTable
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.wrappers import Response as BaseResponse

from greenlane.app import App, abort, current_app, g, redirect, request, session
from greenlane.demo.pages import error_response, json_response, not_stored, render, wants_json
from greenlane.demo.probe import Turns
from greenlane.demo.switching import jitter
from greenlane.demo.tokens import check_token, form_token
from greenlane.sql import SQLHelper

#: Bounds, whoever writes: characters of a note, notes of a visitor, and notes in all.
#: Past the last two, the oldest notes make room.
LIMITS: Final = {"length": 280, "each": 20, "total": 20_000}

PAUSE: Final = 0.003
"""Seconds, on average, between writing and reading: time for other requests to run."""

_NAME_BYTES: Final = 16

NOTES: Final = Table(
    "greenlane_notes",
    MetaData(),
    # Never used again, so that the bound in all can go by number.
    Column("id", Integer, primary_key=True),
    Column("visitor", String(2 * _NAME_BYTES), nullable=False),
    Column("text", String(LIMITS["length"]), nullable=False),
    sqlite_autoincrement=True,
)
_BY_VISITOR: Final = Index("greenlane_notes_by_visitor", NOTES.c.visitor, NOTES.c.id)

_MAKING_THE_TABLE: Final = 0x677265656E
"""The lock that makes servers on one database take turns: any number that nobody else uses."""


@dataclass(frozen=True)
class Note:
    """One row, as its visitor sees it."""

    id: int
    text: str


class NoteStore:
    """The rows. Every method takes the visitor whose rows they are, and touches no other's unless full.

    Args:
        db: where they are; its block must be open, except for :meth:`prepare`.

    """

    def __init__(self, db: SQLHelper) -> None:
        self._db = db

    def prepare(self) -> None:
        """Make the table where there is none, and look at it.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database does not answer, or its
                table is another one.

        """
        with self._db.engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                # There, IF NOT EXISTS fails for all but one of the servers that start at once.
                connection.execute(select(func.pg_advisory_xact_lock(_MAKING_THE_TABLE)))
            connection.execute(CreateTable(NOTES, if_not_exists=True))
            connection.execute(CreateIndex(_BY_VISITOR, if_not_exists=True))
            connection.execute(select(NOTES).limit(0))

    def of(self, visitor: str) -> list[Note]:
        """Return the visitor's notes, the newest first."""
        rows = self._db.query(_newest(NOTES.c.id, NOTES.c.text, visitor=visitor))
        return [Note(row.id, row.text) for row in rows]

    def add(self, visitor: str, text: str) -> None:
        """Add a note, and drop the oldest where there are too many."""
        row = {"visitor": visitor, "text": text}
        key = self._db.connection.execute(insert(NOTES), row).inserted_primary_key
        number = key.id if key is not None else 0
        kept = _newest(NOTES.c.id, visitor=visitor).scalar_subquery()
        self._db.execute(delete(NOTES).where(NOTES.c.visitor == visitor, NOTES.c.id.not_in(kept)))
        # At most as many rows as there are numbers left, without counting them.
        self._db.execute(delete(NOTES).where(NOTES.c.id <= number - LIMITS["total"]))

    def remove(self, visitor: str, number: int) -> bool:
        """Delete the visitor's note of that number; whether there was one."""
        return self._db.execute(delete(NOTES).where(NOTES.c.visitor == visitor, NOTES.c.id == number)) > 0


class NotesPage:
    """The views on one store.

    Args:
        db: where the notes are.
        in_flight: returns the number of requests in flight now.

    """

    def __init__(self, db: SQLHelper, in_flight: Callable[[], int]) -> None:
        self._db = db
        self._store = NoteStore(db)
        self._in_flight = in_flight
        self._turns = Turns()

    def mount(self, app: App) -> None:
        """Make the table, and register everything on ``app``.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: as of :meth:`NoteStore.prepare`.

        """
        self._store.prepare()
        self._db.init_app(app)
        for end in ("", ".json"):
            app.add_url_rule(f"/notes{end}", f"notes{end}", self.show)
            app.add_url_rule(f"/notes{end}", f"add_note{end}", self.add, methods=["POST"])
            app.add_url_rule(
                f"/notes/<int(max=2147483647):number>/delete{end}",
                f"delete_note{end}",
                self.remove,
                methods=["POST"],
            )
        for error in (OperationalError, InterfaceError, NoFreeConnection):
            app.register_error_handler(error, self.unavailable)

    def show(self) -> BaseResponse:
        """Show the visitor's notes."""
        _recognise()
        with self._db:
            return self._answer()

    def add(self) -> BaseResponse:
        """Add a note and read the visitor's notes back, on one connection."""
        _recognise()
        check_token()
        text = _text_of_the_form()
        with self._db:
            self._store.add(g.visitor, text)
            # Now, because SQLite lets nobody else write until then, and the answer waits.
            self._db.commit()
            return self._answer(written=True)

    def remove(self, number: int) -> BaseResponse:
        """Delete a note of the visitor's and read the others back, on one connection."""
        _recognise()
        check_token()
        with self._db:
            if not self._store.remove(g.visitor, number):
                abort(404, "You have no such note.")
            self._db.commit()
            return self._answer(written=True)

    def unavailable(self, error: SQLAlchemyError) -> BaseResponse:
        """Say that the database does not answer; the log has the reason."""
        current_app.logger.error("The database does not answer: %s", error)
        return error_response(
            ServiceUnavailable("The database does not answer. Please try again in a moment.")
        )

    def _answer(self, *, written: bool = False) -> BaseResponse:
        """Let other requests run, and then read whose notes there are."""
        self._turns.take(request.environ)
        in_flight = self._in_flight()
        gevent.sleep(jitter(PAUSE))
        switched = self._turns.take(request.environ)
        notes = self._store.of(g.visitor)
        in_flight = max(in_flight, self._in_flight())
        if wants_json():
            document = {
                "notes": [asdict(note) for note in notes],
                "token": form_token(),
                "in_flight": in_flight,
                "switches": int(switched),
            }
            return not_stored(json_response(document))
        if written:
            # Reloading the page does not write once more.
            return not_stored(redirect(f"{request.root_path}/notes", 303))
        page = render("notes.html", notes=notes, token=form_token(), limits=LIMITS)
        return not_stored(current_app.make_response(page))


def _newest(*columns: Column[Any], visitor: str) -> Select[*tuple[Any, ...]]:
    return (
        select(*columns).where(NOTES.c.visitor == visitor).order_by(NOTES.c.id.desc()).limit(LIMITS["each"])
    )


def _recognise() -> None:
    """Put into ``g`` who the visitor is; one who is new gets a name that nobody can guess."""
    if "visitor" not in session:
        session["visitor"] = secrets.token_hex(_NAME_BYTES)
    g.visitor = session["visitor"]


def _text_of_the_form() -> str:
    text = " ".join(request.form.get("text", "").split())
    if not text:
        abort(400, "An empty note cannot be kept.")
    if len(text) > LIMITS["length"]:
        abort(400, f"A note has at most {LIMITS['length']} characters, and this one has {len(text)}.")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        abort(400, "A note is text: it cannot have control characters.")
    return text
