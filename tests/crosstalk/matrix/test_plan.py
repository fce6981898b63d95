"""The listing and the plan: what a server says of its hazards, and what is measured of that."""

from collections.abc import Callable
from typing import Any

import pytest

from crosstalk.checker import Outcome
from crosstalk.matrix.listing import parse
from crosstalk.matrix.plan import NothingChosen, make_plan

Describe = Callable[..., dict[str, Any]]


def test_every_applicable_cell_is_planned_with_what_it_may_be_judged(describe: Describe) -> None:
    hazard = describe(caught_as=["leak", "cross-talk"])
    plan = make_plan(parse({"hazards": [hazard]}))
    assert {cell.key: cell.expected for cell in plan.cells} == {
        "keep-alive/local": {Outcome.ISOLATED},
        "keep-alive/gevent-local": {Outcome.CROSS_TALK},
        "keep-alive/broken": {Outcome.LEAK, Outcome.CROSS_TALK},
        "keep-alive/fixed": {Outcome.ISOLATED},
    }
    assert plan.not_applicable == {("keep-alive", "context"): "it is no situation for it"}
    assert [part.name for part in plan.parts] == ["keep-alive"]


def test_a_hazard_that_stops_the_server_is_loaded_a_cell_at_a_time(describe: Describe) -> None:
    hazards = parse({"hazards": [describe("blocked", alone=True, strategies={}), describe("other")]})
    assert [part.name for part in make_plan(hazards).parts] == ["blocked/broken", "blocked/fixed", "other"]


def test_what_else_must_be_caught_is_planned_too(describe: Describe) -> None:
    """A self-test has more than two ends: a known-bad echo must be caught by the fixed generator."""
    variants = {"broken": "a", "fixed": "b", "known-bad": "c"}
    hazard = describe(variants=variants, caught_as=["self-test"], strategies={})
    plan = make_plan(parse({"hazards": [hazard]}))
    expected = {cell.strategy: cell.expected for cell in plan.cells}
    assert expected["known-bad"] == expected["broken"] == {Outcome.CROSS_TALK}
    assert expected["fixed"] == {Outcome.ISOLATED}


def test_no_server_is_started_beside_one_that_is_given(describe: Describe) -> None:
    hazards = parse({"hazards": [describe("desync", own_server="desync", strategies={}), describe()]})
    plan = make_plan(hazards, host="http://127.0.0.1:1")
    assert [part.name for part in plan.parts] == ["keep-alive"]
    assert "--host" in plan.not_applicable["desync", "broken"]
    assert "--host" in plan.not_applicable["desync", "fixed"]


def test_nobody_goes_away_from_a_server_that_speaks_tls(describe: Describe) -> None:
    exercise = {"name": "abandoned", "fate": "abandon", "share": 0.3}
    hazards = parse({"hazards": [describe("gone", exercise=exercise), describe()]})
    plan = make_plan(hazards, host="https://127.0.0.1:1")
    assert [part.name for part in plan.parts] == ["keep-alive"]
    reasons = {key: reason for key, reason in plan.not_applicable.items() if key[0] == "gone"}
    assert {key[1] for key in reasons} == {"local", "gevent-local", "context", "broken", "fixed"}
    assert "TLS" in reasons["gone", "local"]


@pytest.mark.parametrize(
    ("only", "keys"),
    [
        (["one"], ["one/local", "one/gevent-local", "one/broken", "one/fixed"]),
        (["*/local"], ["one/local", "one/broken", "two/local", "two/broken"]),
        (["two/fixed", "one/b*"], ["one/broken", "two/broken", "two/fixed"]),
    ],
)
def test_a_choice_by_hazard_and_by_cell_has_the_broken_variant_beside_it(
    describe: Describe, only: list[str], keys: list[str]
) -> None:
    hazards = parse({"hazards": [describe("one"), describe("two")]})
    assert [cell.key for cell in make_plan(hazards, only=only).cells] == keys


@pytest.mark.parametrize("pattern", ["three", "one/nothing", "ONE", ""])
def test_a_choice_of_nothing_is_refused(describe: Describe, pattern: str) -> None:
    with pytest.raises(NothingChosen, match="matches no cell"):
        make_plan(parse({"hazards": [describe("one")]}), only=["one/local", pattern])


@pytest.mark.parametrize(
    "listing",
    [
        {},
        {"hazards": []},
        {"hazards": [{}]},
        {"hazards": 3},
        [],
        {"hazards": [{"name": "x"}]},
    ],
)
def test_what_is_no_listing_is_refused(listing: object) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        parse(listing)


@pytest.mark.parametrize(
    "change",
    [
        {"exercise": {"name": "dancing", "fate": None, "share": 0}},
        {"exercise": {"name": "fresh", "fate": None, "share": "much"}},
        {"caught_as": ["blue"]},
        {"caught_as": []},
        {"caught_as": ["cross-talk", "isolated"]},
        {"strategies": {"local": "fine"}},
        {"variants": {"broken": "alone"}},
        {"summary": None},
        {"name": "../probe"},
        {"name": "a/b"},
        {"name": "a?nonce=b"},
        {"strategies": {"<b>": "isolated"}},
    ],
)
def test_what_is_no_hazard_is_refused(describe: Describe, change: dict[str, object]) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        parse({"hazards": [describe(**change)]})


def test_a_choice_of_what_is_not_applicable_is_told_why(describe: Describe) -> None:
    hazards = parse({"hazards": [describe("desync", own_server="desync", strategies={})]})
    with pytest.raises(NothingChosen, match="'desync' matches no cell: needs a server of its own"):
        make_plan(hazards, only=["desync"], host="http://127.0.0.1:1")
