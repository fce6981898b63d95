"""Probing: what is mounted on an App, that its figures are of it, and that two of them share nothing."""

from typing import TYPE_CHECKING

import pytest
from werkzeug.test import Client

from greenlane.app import App
from greenlane.demo.hazards import HAZARDS
from greenlane.demo.keeper import Reading
from greenlane.demo.probe import Probe, Watch
from greenlane.demo.probing import Probing, with_probes
from greenlane.demo.strategies import STRATEGIES

if TYPE_CHECKING:
    from tests.demo.conftest import ClosingClient

SHARED = next(hazard for hazard in HAZARDS if hazard.name == "shared-object")


class Told(Watch):
    """Remembers whose probes have looked at what is there."""

    def __init__(self) -> None:
        self.nonces: list[str] = []

    def began(self, probe: Probe, found: Reading) -> None:
        self.nonces.append(probe.nonce)


def probing(watch: Watch | None = None) -> Probing:
    app = App("tests")
    return with_probes(app, [SHARED], watch, app.counts)


@pytest.fixture
def asking(closing_client: "type[ClosingClient]") -> Client:
    return closing_client(probing().ops)


def test_all_strategies_are_mounted_and_the_hazards_that_are_named(asking: Client) -> None:
    listed = asking.get("/probe/").get_json()["strategies"]
    assert [each["name"] for each in listed] == [strategy.name for strategy in STRATEGIES]
    assert [each["name"] for each in asking.get("/hazards/").get_json()["hazards"]] == [SHARED.name]
    assert asking.get("/hazards/shared-object/fixed?nonce=a").status_code == 200
    assert asking.get("/hazards/keep-alive/fixed?nonce=a").status_code == 404


def test_whoever_watches_is_told_of_probes_and_of_cells(closing_client: "type[ClosingClient]") -> None:
    told = Told()
    client = closing_client(probing(told).ops)
    client.get("/probe/local?nonce=a")
    client.get("/hazards/shared-object/local?nonce=b")
    assert told.nonces == ["a", "b"]


def test_two_keep_their_data_and_their_figures_apart(closing_client: "type[ClosingClient]") -> None:
    one, other = (closing_client(probing().ops) for _ in range(2))
    one.get("/probe/shared-object?nonce=a")
    found = [client.get("/probe/shared-object?nonce=b").get_json()["found"] for client in (one, other)]
    assert found == [{"first": "a", "second": "a"}, {"first": None, "second": None}]


def test_the_local_is_released_with_the_response(asking: Client) -> None:
    """As its program would have it; the one that nobody releases keeps what it has."""
    for name, found in (("local", None), ("local-unreleased", "a")):
        asking.get(f"/probe/{name}?nonce=a")
        last = asking.get(f"/probe/{name}?nonce=b&release=1")
        assert last.get_json()["found"]["first"] == found


def test_the_contexts_of_another_are_not_told_of(closing_client: "type[ClosingClient]") -> None:
    one, other = (closing_client(probing().ops) for _ in range(2))
    one.get("/probe/context?nonce=a")
    sample = 'greenlane_contexts_pushed_total{kind="request"}'
    told = [client.get("/metrics").get_data(as_text=True) for client in (one, other)]
    assert [f"{sample} 1.0\n" in each for each in told] == [True, False]
    assert f"{sample} 0.0\n" in told[1]
