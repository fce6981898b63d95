"""The plan of a race: which cells, and which control."""

from collections.abc import Callable
from typing import Any

import pytest

from crosstalk.matrix.listing import parse
from crosstalk.race.plan import CannotRace, Race, make_race

HOST = "http://127.0.0.1:8000"

Describe = Callable[..., dict[str, Any]]
Plan = Callable[..., Race]


@pytest.fixture
def plan(describe: Describe) -> Plan:
    """Plan a race of the cells given, 400 requests of each and 300 at once, with changes."""

    def make(*keys: str, requests: int = 400, at_once: int = 300, **changes: object) -> Race:
        hazards = parse({"hazards": [describe(**changes), describe("other")]})
        return make_race(hazards, keys, requests=requests, at_once=at_once, host=HOST)

    return make


def test_the_control_is_the_broken_variant_and_has_no_more_requests_than_it_needs(plan: Plan) -> None:
    race = plan("keep-alive/fixed", "keep-alive/local")
    assert [entry.cell.key for entry in race.entries] == ["keep-alive/fixed", "keep-alive/local"]
    assert [(entry.requests, entry.users) for entry in race.entries] == [(400, 300)] * 2
    assert race.control is not None
    assert (race.control.cell.key, race.control.is_control) == ("keep-alive/broken", True)
    assert (race.control.requests, race.control.users) == (200, 200)
    assert race.all == (*race.entries, race.control)


@pytest.mark.parametrize("key", ["keep-alive/broken", "keep-alive/gevent-local"])
def test_what_is_known_to_be_broken_is_its_own_control(plan: Plan, key: str) -> None:
    race = plan("keep-alive/local", key)
    assert race.control is None
    assert [entry.is_control for entry in race.entries] == [False, True]


def test_a_cell_is_raced_once_however_often_it_is_asked_for(plan: Plan) -> None:
    assert len(plan("keep-alive/local", "keep-alive/local").entries) == 1


@pytest.mark.parametrize(
    ("at_once", "changes", "together"), [(2, {}, True), (1, {}, False), (2, {"alone": True}, False)]
)
def test_cells_are_loaded_together_unless_one_has_to_be_alone(
    plan: Plan, at_once: int, changes: dict[str, object], together: bool
) -> None:
    assert plan("keep-alive/local", at_once=at_once, **changes).together is together


def test_cells_of_two_hazards_are_no_race(plan: Plan) -> None:
    with pytest.raises(CannotRace, match="of one hazard"):
        plan("keep-alive/local", "other/local")


def test_a_client_that_goes_away_in_mid_stream_speaks_no_tls(describe: Describe) -> None:
    exercise = {"name": "abandoned", "fate": "abandon", "share": 0.5}
    hazards = parse({"hazards": [describe(exercise=exercise)]})
    with pytest.raises(CannotRace, match=r"'keep-alive/local' is not applicable: .* no TLS"):
        make_race(hazards, ["keep-alive/local"], requests=2, at_once=2, host="https://h")
