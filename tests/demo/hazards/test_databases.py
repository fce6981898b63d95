"""One cursor, or one session, for all requests: on SQLite, and on PostgreSQL where it is installed."""

import gc
import json
import tempfile
from pathlib import Path
from typing import Any

import gevent
import pytest
from werkzeug.test import Client

from crosstalk.server import running_server
from greenlane.demo import create_demo


@pytest.fixture(autouse=True)
def _no_database_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)


def test_a_shared_cursor_fetches_the_rows_of_another_query(demonstration: str, drive: Any) -> None:
    seen = drive(demonstration, "shared-cursor/broken")
    seen.must_be_whole()
    assert seen.checks["foreign"] >= 10
    assert seen.checks["missing"], "what was fetched by others is not there any more"


def test_a_connection_for_each_block_keeps_rows_apart(demonstration: str, drive: Any) -> None:
    drive(demonstration, "shared-cursor/fixed").must_be_clean()


def test_so_it_is_on_postgresql(postgres: str, drive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres)
    with running_server(200) as base:
        broken = drive(base, "shared-cursor/broken")
        broken.must_be_whole()
        assert broken.checks["foreign"] >= 10
        drive(base, "shared-cursor/fixed").must_be_clean()


def test_a_session_of_the_thread_is_everybodys(demonstration: str, drive: Any) -> None:
    seen = drive(demonstration, "scoped-by-thread/broken")
    seen.must_be_whole()
    assert seen.checks["foreign"] + seen.checks["torn"] >= 10
    assert seen.checks["missing"], "the first request to end closes it for all"


def test_a_session_of_the_greenlet_is_its_own(demonstration: str, drive: Any) -> None:
    drive(demonstration, "scoped-by-thread/fixed").must_be_clean()


@pytest.mark.parametrize("cell", ["shared-cursor/broken", "shared-cursor/fixed", "scoped-by-thread/fixed"])
def test_alone_each_reads_its_own_and_leaves_nothing(
    cell: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    client = Client(create_demo(secret_key="for this test"))
    for nonce in ("a", "b"):
        report = client.get(f"/hazards/{cell}?nonce={nonce}&pause=0").get_json()
        assert report["found"] == {"first": None, "second": None}
        assert [each["read"] for each in report["checkpoints"]] == [{"first": nonce, "second": nonce}] * 3
    hazard, _, variant = cell.partition("/")
    left = f'greenlane_demo_left{{hazard="{hazard}",strategy="{variant}"}} 0.0'
    assert left in client.get("/metrics").get_data(as_text=True)
    del client
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_an_idle_session_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a request runs, its session is there: the count is not zero always."""
    client = Client(create_demo(secret_key="for this test"))
    request = gevent.spawn(client.get, "/hazards/scoped-by-thread/fixed?nonce=a&pause=50&hops=1")
    gevent.sleep(0)
    metrics = client.get("/metrics").get_data(as_text=True)
    assert 'greenlane_demo_left{hazard="scoped-by-thread",strategy="fixed"} 1.0' in metrics
    request.get(timeout=20)


@pytest.mark.parametrize("variant", ["broken", "fixed"])
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "DATABASE_URL cannot be used: it is no database URL"),
        ("postgres://user:secret@127.0.0.1:1/notes", "the database cannot be used: connection failed"),
    ],
)
def test_a_database_that_cannot_be_used_is_said(
    variant: str, url: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(create_demo(secret_key="for this test"))
    monkeypatch.setenv("DATABASE_URL", url)
    reply = client.get(f"/hazards/shared-cursor/{variant}?nonce=a")
    assert reply.status_code == 503
    assert said in json.loads(reply.data)["error"]
    assert "secret" not in reply.get_data(as_text=True)
