"""The demonstration as a whole: its subjects keep requests apart, and its controls are caught."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from werkzeug.test import EnvironBuilder, run_wsgi_app

from greenlane.demo import create_demo
from greenlane.demo.hazards.sharing import SharedObject
from greenlane.demo.hazards.storage import KeepAlive
from greenlane.demo.keeper import FIELDS
from greenlane.demo.strategies import STRATEGIES, keeping
from greenlane.ops import Ops

if TYPE_CHECKING:
    from tests.demo.conftest import ClosingClient, Connection, Entries, ReadBack

EMPTY = dict.fromkeys(FIELDS)
NAMES = [strategy.name for strategy in STRATEGIES]

AtOnce = Callable[..., dict[str, Any]]


@pytest.fixture
def at_once(connection: "Connection") -> AtOnce:
    """Probe by so many connections at once; return the reports by nonce: `at_once(demo, name, count)`."""

    def probe(demo: Ops, name: str, count: int, hops: int = 3) -> dict[str, Any]:
        probes = {
            f"n{number}": gevent.spawn(connection, demo, f"/probe/{name}?nonce=n{number}&pause=1&hops={hops}")
            for number in range(count)
        }
        gevent.joinall(list(probes.values()), timeout=20, raise_error=True)
        return {nonce: greenlet.get()[0] for nonce, greenlet in probes.items()}

    return probe


@pytest.mark.parametrize("name", ["local", "context"])
def test_a_subject_holds_among_overlapping_requests(
    demo: Ops, name: str, at_once: AtOnce, read_back: "ReadBack"
) -> None:
    """B41, B43, B55: fifty requests in flight, each reads its own at every checkpoint."""
    reports = at_once(demo, name, 50)
    assert max(report["in_flight"] for report in reports.values()) == 50
    assert len({report["thread"] for report in reports.values()}) == 1
    for nonce, report in reports.items():
        assert report["switches"] > 0
        assert report["found"] == EMPTY
        assert read_back(report) == [dict.fromkeys(FIELDS, nonce)] * 3


@pytest.mark.parametrize("name", sorted(SharedObject.breaks))
def test_a_control_is_caught_among_overlapping_requests(
    demo: Ops, name: str, at_once: AtOnce, read_back: "ReadBack"
) -> None:
    """B1, B55: nearly everybody reads somebody else's nonce."""
    reports = at_once(demo, name, 50)
    wrong = [
        nonce for nonce, report in reports.items() if dict.fromkeys(FIELDS, nonce) not in read_back(report)
    ]
    assert len(wrong) > 25


@pytest.mark.parametrize("name", sorted(KeepAlive.breaks))
def test_unreleased_data_is_found_by_the_next_request(demo: Ops, name: str, connection: "Connection") -> None:
    """The keep-alive hazard, broken: the same greenlet serves the connection's next request."""
    addresses = [f"/probe/{name}?nonce={nonce}&pause=0" for nonce in ("alice", "bob")]
    first, second = gevent.spawn(connection, demo, *addresses).get()
    assert first["greenlet"] == second["greenlet"]
    assert (first["found"], second["found"]) == (EMPTY, dict.fromkeys(FIELDS, "alice"))


@pytest.mark.parametrize("name", sorted(KeepAlive.breaks))
def test_released_on_demand_nothing_is_found(demo: Ops, name: str, connection: "Connection") -> None:
    """The keep-alive hazard, fixed: release=1 makes the probe release what it wrote."""
    addresses = [f"/probe/{name}?nonce={nonce}&pause=0&release=1" for nonce in ("alice", "bob")]
    _, second = gevent.spawn(connection, demo, *addresses).get()
    assert second["found"] == EMPTY


@pytest.mark.parametrize("name", [name for name in NAMES if name not in KeepAlive.breaks])
def test_a_subject_is_released_between_the_requests_of_a_connection(
    demo: Ops, name: str, connection: "Connection"
) -> None:
    """B28, B41: the same greenlet, and nothing left in it."""
    addresses = [f"/probe/{name}?nonce={nonce}&pause=0" for nonce in ("alice", "bob")]
    first, second = gevent.spawn(connection, demo, *addresses).get()
    assert first["greenlet"] == second["greenlet"]
    assert second["found"] == EMPTY


def test_local_is_released_when_the_response_is_closed(
    demo: Ops, client: "ClosingClient", entries: "Entries"
) -> None:
    """B28, B30: LocalManager wraps the App; the entry is there until the close."""

    def visit() -> tuple[str, str]:
        environ = EnvironBuilder("/probe/local?nonce=a&pause=0").get_environ()
        body, status, _ = run_wsgi_app(demo, environ)
        assert status == "200 OK"
        held = entries(client, "local")
        body.close()  # type: ignore[attr-defined]
        return held, entries(client, "local")

    assert gevent.spawn(visit).get() == ("1.0", "0.0")


def test_local_is_released_also_when_the_probe_fails(
    demo: Ops, client: "ClosingClient", monkeypatch: pytest.MonkeyPatch, entries: "Entries"
) -> None:
    """B28: the app answers 500 after a write; nothing stays."""

    def fail(*_: object) -> None:
        raise RuntimeError("no gap today")

    monkeypatch.setattr("greenlane.demo.switching.Switcher.gap", fail)
    assert client.get("/probe/local?nonce=a").status_code == 500
    assert entries(client, "local") == "0.0"


def test_an_unreleased_local_goes_away_with_its_connection(
    demo: Ops, client: "ClosingClient", entries: "Entries"
) -> None:
    """B53: an entry while the greenlet lives, none after."""

    def visit() -> str:
        client.get("/probe/local-unreleased?nonce=a&pause=0")
        return entries(client, "local-unreleased")

    assert gevent.spawn(visit).get() == "1.0"
    assert entries(client, "local-unreleased") == "0.0"


class PlainLocal:
    """Looks like a Local and is one object for everybody."""

    def __release_local__(self) -> None:
        vars(self).clear()


def test_a_local_that_is_a_plain_object_is_seen(
    monkeypatch: pytest.MonkeyPatch, at_once: AtOnce, read_back: "ReadBack"
) -> None:
    """The proof of the proof: with Local broken, `local` replies with foreign nonces."""
    monkeypatch.setattr(keeping, "Local", PlainLocal)
    reports = at_once(create_demo(secret_key="for this test"), "local", 20)
    foreign = [
        value
        for nonce, report in reports.items()
        for read in read_back(report)
        for value in read.values()
        if value not in {nonce, None}
    ]
    assert foreign


def test_two_demonstrations_share_nothing(connection: "Connection") -> None:
    one, other = (create_demo(secret_key="for this test") for _ in range(2))

    def visit() -> list[Any]:
        address = "/probe/shared-object?nonce=a&pause=0"
        return [connection(demo, address)[0]["found"] for demo in (one, other)]

    assert gevent.spawn(visit).get() == [EMPTY, EMPTY]
