"""The demonstration's database: PostgreSQL where one is named, and else a file of its own that goes with it.

Must not know what is kept there.
"""

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from greenlane.sql import SQLHelper

if TYPE_CHECKING:
    from sqlalchemy import Engine


class NoDatabase(RuntimeError):  # noqa: N818 - says what there is not
    """The demonstration's database cannot be used; the message is one line, and holds no password."""


def open_database(url: str | None) -> SQLHelper:
    """Return a helper for the database at ``url``.

    Args:
        url: without it, a file of SQLite in a folder of its own, which goes when the
            helper or the process does (one that is killed leaves it).

    Raises:
        ValueError: there can be no engine for this URL.
        OSError: there is no place for the file.

    """
    folder = None if url else tempfile.mkdtemp(prefix="greenlane-")
    db = SQLHelper(url or f"sqlite:///{folder}/notes.db")
    weakref.finalize(db, _discard, db.engine, folder, os.getpid())
    return db


@contextmanager
def told_in_a_line() -> Iterator[None]:
    """Raise :class:`NoDatabase` for whatever goes wrong in the block with a database."""
    try:
        yield
    except ValueError as error:
        raise NoDatabase(f"DATABASE_URL cannot be used: {error}") from None
    except OSError as error:
        raise NoDatabase(f"there is no place for the database: {error}") from None
    except SQLAlchemyError as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise NoDatabase(f"the database cannot be used: {str(cause).partition(chr(10))[0]}") from None


def _discard(engine: "Engine", folder: str | None, pid: int) -> None:
    """Close the connections and remove the temporary folder, unless this is a fork: they are its parent's."""
    if os.getpid() == pid:
        engine.dispose()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
