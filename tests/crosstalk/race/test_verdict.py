"""From counts to the verdicts on a race's cells."""

from collections.abc import Callable
from typing import Any

import pytest

from crosstalk.checker import Checker, Left, Probe, Tally, Verdict
from crosstalk.matrix.listing import parse
from crosstalk.race.plan import Race, make_race
from crosstalk.race.verdict import gravest, judge

LOCAL, BROKEN = "keep-alive/local", "keep-alive/broken"
NOTHING = Left({"request": 0}, {"local": 0})

MakeRace = Callable[..., Race]
Count = Callable[..., Tally]


@pytest.fixture
def race(describe: Callable[..., Any]) -> MakeRace:
    """Plan a race of two requests for each cell."""

    def make(*keys: str, **changes: object) -> Race:
        hazards = parse({"hazards": [describe(**changes)]})
        return make_race(hazards, keys, requests=2, at_once=2, host="http://h")

    return make


@pytest.fixture
def count(probe: Callable[..., Probe]) -> Count:
    """Count requests that read these values, one of each, and so many that were doomed."""

    def add(*reads: str | None, doomed: int = 0, **of_the_reply: object) -> Tally:
        checker = Checker()
        for number, read in enumerate(reads):
            own = f"u{number}"
            checker.add(probe(own, own if read == "own" else read, cell="a", **of_the_reply))
        for number in range(doomed):
            checker.add(probe(f"d{number}", cell="a", fate="kill"))
        return checker.tally("a")

    return add


def test_what_holds_is_isolated_where_the_control_was_caught(race: MakeRace, count: Count) -> None:
    planned = race(LOCAL)
    raced = judge(planned, {LOCAL: count("own", "own"), BROKEN: count("own", "x")}, NOTHING)
    assert {key: each.verdict for key, each in raced.items()} == {
        LOCAL: Verdict.ISOLATED,
        BROKEN: Verdict.CROSS_TALK,
    }
    assert gravest(planned, raced) is Verdict.ISOLATED


def test_what_holds_is_blind_where_the_control_went_uncaught(race: MakeRace, count: Count) -> None:
    raced = judge(race(LOCAL), {LOCAL: count("own", "own"), BROKEN: count("own", "own")}, NOTHING)
    assert raced[LOCAL].verdict is raced[BROKEN].verdict is Verdict.BLIND
    assert "keep-alive/broken, known to be broken, went uncaught" in raced[LOCAL].reasons[0]


@pytest.mark.parametrize(
    "control",
    [{"in_flight": 1}, {"switches": 0}, {"thread": 2}],
    ids=["no overlap", "no switches", "threads"],
)
def test_a_control_that_shows_nothing_leaves_it_open(
    race: MakeRace, count: Count, control: dict[str, int]
) -> None:
    tally = count("own", "own", **control)
    tally.threads.add(("p1", 1))
    raced = judge(race(LOCAL), {LOCAL: count("own", "own"), BROKEN: tally}, NOTHING)
    assert raced[LOCAL].verdict is Verdict.INCONCLUSIVE


def test_a_control_is_caught_as_the_listing_allows(race: MakeRace, count: Count) -> None:
    planned = race(LOCAL, caught_as=["no-overlap"])
    raced = judge(planned, {LOCAL: count("own", "own"), BROKEN: count("own", "own", in_flight=1)}, NOTHING)
    assert raced[LOCAL].verdict is Verdict.ISOLATED


def test_cross_talk_comes_before_all_that_may_be_wrong_besides(race: MakeRace, count: Count) -> None:
    planned = race(LOCAL)
    left = Left({"request": 3}, {})
    raced = judge(planned, {LOCAL: count("x"), BROKEN: count("own", "own")}, left)
    assert raced[LOCAL].verdict is gravest(planned, raced) is Verdict.CROSS_TALK


def test_contexts_that_are_left_are_a_leak_of_what_had_no_cross_talk(race: MakeRace, count: Count) -> None:
    left = Left({"request": 3, "application": 0}, {})
    raced = judge(race(LOCAL), {LOCAL: count("own", "own"), BROKEN: count("x", "x")}, left)
    assert {key: each.verdict for key, each in raced.items()} == {
        LOCAL: Verdict.LEAK,
        BROKEN: Verdict.CROSS_TALK,
    }
    assert raced[LOCAL].reasons == ("3 request contexts pushed and not popped at idle",)


def test_what_a_cell_has_left_counts_where_the_hazard_says_so(race: MakeRace, count: Count) -> None:
    tallies = {LOCAL: count("own", "own"), BROKEN: count("x", "x")}
    left = Left({}, {}, {LOCAL: 2})
    assert judge(race(LOCAL), tallies, left)[LOCAL].verdict is Verdict.ISOLATED
    assert judge(race(LOCAL), tallies, left, frozenset({LOCAL}))[LOCAL].verdict is Verdict.LEAK


def test_every_request_that_was_not_doomed_has_to_be_there(race: MakeRace, count: Count) -> None:
    control = count("x", "x")
    for tally, verdict in (
        (count("own", doomed=1), Verdict.ISOLATED),
        (count("own"), Verdict.INCONCLUSIVE),
        (count(doomed=2), Verdict.INCONCLUSIVE),
    ):
        assert judge(race(LOCAL), {LOCAL: tally, BROKEN: control}, NOTHING)[LOCAL].verdict is verdict
