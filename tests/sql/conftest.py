"""What the tests of SQLHelper share: two databases, an App, and a ledger of connections."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.exc import OperationalError

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


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server: DATABASE_URL's, or one that is started for the tests alone."""
    given = os.environ.get("DATABASE_URL", "")
    if given.startswith("postgres"):
        yield given
        return
    programs = _server_programs()
    if programs is None:
        pytest.skip("no PostgreSQL: initdb is not installed, and DATABASE_URL is not set")
    # PostgreSQL refuses to run as root, and pytest's own folders are closed to other users.
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:
        as_user = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid}
    with tempfile.TemporaryDirectory(prefix="greenlane-pg-", ignore_cleanup_errors=True) as folder:
        if as_user:
            shutil.chown(folder, **as_user)
        data = f"{folder}/data"
        subprocess.run(
            [
                programs / "initdb",
                "-D",
                data,
                "-U",
                "tests",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
            ],
            check=True,
            capture_output=True,
            cwd=folder,
            **as_user,
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with (Path(folder) / "log").open("w") as log:
            server = subprocess.Popen(
                [programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", folder, "-F"],
                stdout=log,
                stderr=log,
                cwd=folder,
                **as_user,
            )
        try:
            url = f"postgresql://tests@127.0.0.1:{port}/postgres"
            _wait_until_it_answers(url, server)
            yield url
        finally:
            server.send_signal(signal.SIGINT)  # its "fast" shutdown: connections are closed
            server.wait(timeout=30)


def _server_programs() -> Path | None:
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "postgres").exists()), None)


def _wait_until_it_answers(url: str, server: "subprocess.Popen[bytes]") -> None:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    deadline = time.monotonic() + 30
    while True:
        try:
            engine.connect().close()
            engine.dispose()
            return
        except OperationalError:
            assert server.poll() is None, "the server did not start"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.05)


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
