"""What every test gets: a detector that fails it when it leaves something in a lane, and the right time.

Besides, for those that ask: a PostgreSQL server. And one option: how many orders the
tests of ``tests/testing/every_order`` run.
"""

import gc
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gevent._hub_local import get_hub_if_exists
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from greenlane.context import Local, census


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--every-order",
        action="store_true",
        help="run the programs of tests/testing/every_order in all their orders, not in a sample: minutes",
    )


def _entries() -> dict[Local, int]:
    return {local: count for local, count in census().items() if count}


@pytest.fixture(autouse=True)
def current_time() -> None:
    """Tell gevent what time it is: it remembers from when its loop last ran.

    After a long test without greenlets, ``joinall(timeout=20)`` would be over at once.
    """
    hub = get_hub_if_exists()
    if hub is not None and hub.loop is not None:
        hub.loop.update_now()


@pytest.fixture(autouse=True)
def leak_detector() -> Iterator[None]:
    """Fail a test that leaves an entry in any Local, or a context on a stack (which is one)."""
    before = _entries()
    yield
    after = _entries()
    if any(count > before.get(local, 0) for local, count in after.items()):
        gc.collect()  # what only a reference cycle holds has been let go of
        after = _entries()
    left = {local: dict(local.__storage__) for local, count in after.items() if count > before.get(local, 0)}
    assert not left, f"this test left entries behind: {left}"


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
