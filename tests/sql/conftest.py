"""What the tests of SQLHelper share: two databases, an App, and a ledger of connections."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from greenlane import App
from greenlane.sql import SQLHelper

MakeDB = Callable[..., SQLHelper]


class Ledger:
    """Counts what an engine's pool gives out and takes back, and the most that were out at once."""

    def __init__(self, db: SQLHelper) -> None:
        self.out = self.back = self.most = 0
        event.listen(db.engine, "checkout", self._checkout)
        event.listen(db.engine, "checkin", self._checkin)

    def _checkout(self, *_: object) -> None:
        self.out += 1
        self.most = max(self.most, self.out - self.back)

    def _checkin(self, *_: object) -> None:
        self.back += 1


@pytest.fixture
def app() -> App:
    app = App("shop")
    app.testing = True
    app.secret_key = "for tests only"
    return app


@pytest.fixture
def make_db(app: App, tmp_path: Path) -> Iterator[MakeDB]:
    """Make helpers that `app` knows, by default on a new SQLite file: `make_db(url, pool_size=...)`."""
    made: list[SQLHelper] = []

    def make(url: str = f"sqlite:///{tmp_path / 'shop.db'}", **options: Any) -> SQLHelper:
        db = SQLHelper(url, **{"timeout": 10.0} | options)
        db.init_app(app)
        made.append(db)
        return db

    yield make
    for db in made:
        db.close()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each of the two databases, in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shop.db'}"
    found: str = request.getfixturevalue("postgres")
    return found


@pytest.fixture
def db(make_db: MakeDB, url: str) -> Iterator[SQLHelper]:
    """A helper on each of the two databases in turn, with an empty table `notes`."""
    db = make_db(url, pool_size=5)
    with db.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS notes")
        connection.exec_driver_sql("CREATE TABLE notes (id INTEGER PRIMARY KEY, text VARCHAR(40) NOT NULL)")
    yield db
    with db.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE notes")


@pytest.fixture
def ledger(db: SQLHelper) -> Ledger:
    """Counts the connections of `db` that are given out and taken back."""
    return Ledger(db)
