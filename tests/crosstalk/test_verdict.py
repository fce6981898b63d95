"""The verdict: the first that applies, and ISOLATED only when nothing is lacking."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, product

import pytest

from crosstalk.history import Tally
from crosstalk.oracle import Check
from crosstalk.verdict import (
    Finding,
    Idle,
    Verdict,
    blind_spots,
    entries_left,
    judge_run,
    judge_strategy,
    upper_bound,
)

CLEAN = Idle(contexts={"request": 0, "application": 0}, entries={"local": 0})


def tally(**changes: object) -> Tally:
    clean = Tally(
        requests=1000,
        overlapped=990,
        switches=5000,
        peak_in_flight=100,
        threads={(1, 1)},
    )
    clean.checks[Check.OWN] = 3000
    return replace(clean, **changes)  # type: ignore[arg-type]


def finding(verdict: Verdict) -> Finding:
    return Finding(verdict, (f"because of {verdict.value}",))


def test_a_clean_tally_is_isolated() -> None:
    assert judge_strategy(tally(), floor=1000).verdict is Verdict.ISOLATED


# Every rule by itself turns ISOLATED into something else, and says why.
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"requests": 999}, "fewer than the floor of 1,000"),
        ({"requests": 0, "overlapped": 0}, "fewer than the floor"),
        ({"failed": 1}, "1 requests failed"),
        ({"peak_in_flight": 1}, "never more than one request in flight"),
        ({"overlapped": 499}, "only 499 of 1,000"),
        ({"threads": {(1, 1), (1, 2)}}, "2 native threads in 1 processes"),
    ],
)
def test_what_a_proof_lacks_makes_it_inconclusive(change: dict[str, object], reason: str) -> None:
    found = judge_strategy(tally(**change), floor=1000)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert reason in " ".join(found.reasons)


def test_missing_data_makes_it_inconclusive() -> None:
    lacking = tally()
    lacking.checks[Check.MISSING] = 1
    found = judge_strategy(lacking, floor=1000)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "1 checks found nothing" in found.reasons[0]


def test_one_thread_in_each_of_several_processes_is_overlap() -> None:
    assert judge_strategy(tally(threads={(1, 1), (2, 2)}), floor=1000).verdict is Verdict.ISOLATED


def test_a_floor_of_nothing_still_asks_for_a_request() -> None:
    empty = tally(requests=0, overlapped=0, peak_in_flight=0, threads=set())
    assert judge_strategy(empty, floor=0).verdict is Verdict.INCONCLUSIVE


def test_cross_talk_comes_before_everything() -> None:
    found = judge_strategy(tally(cross_talk=1, failed=5, requests=10), floor=1000, left=["left"])
    assert found.verdict is Verdict.CROSS_TALK


def test_a_leak_comes_before_inconclusive() -> None:
    found = judge_strategy(tally(failed=5), floor=1000, left=["3 entries left"])
    assert found == Finding(Verdict.LEAK, ("3 entries left",))


def test_entries_are_looked_for_in_the_strategys_own_locals() -> None:
    idle = Idle(contexts={}, entries={"local": 2, "other": 5, "empty": 0})
    assert entries_left(idle, ("local", "empty", "unknown")) == ["2 entries left in 'local' at idle"]


def every_set(least: int) -> list[set[Verdict]]:
    return [set(one) for size in range(least, 6) for one in combinations(Verdict, size)]


@pytest.mark.parametrize("unknown", [None, "gone"])
@pytest.mark.parametrize("contexts", [-1, 0, 1])
def test_the_first_verdict_that_applies_is_taken(contexts: int, unknown: str | None) -> None:
    """Every combination of findings on subjects and controls."""
    idle = Idle({"request": contexts}, {}, unknown)
    for subjects, controls in product(every_set(1), every_set(0)):
        verdict = judge_run(
            {each.value: finding(each) for each in subjects},
            {each.value: finding(each) for each in controls},
            idle,
        ).verdict
        if Verdict.CROSS_TALK in subjects:
            expected = Verdict.CROSS_TALK
        elif Verdict.LEAK in subjects or contexts:
            expected = Verdict.LEAK
        elif controls != {Verdict.CROSS_TALK}:
            expected = Verdict.BLIND
        elif subjects != {Verdict.ISOLATED} or unknown:
            expected = Verdict.INCONCLUSIVE
        else:
            expected = Verdict.ISOLATED
        assert verdict is expected, (subjects, controls)


def test_a_blind_run_names_the_control_and_why() -> None:
    found = judge_run(
        {"local": finding(Verdict.ISOLATED)},
        {"shared": finding(Verdict.INCONCLUSIVE), "other": finding(Verdict.CROSS_TALK)},
        CLEAN,
    )
    assert found.verdict is Verdict.BLIND
    assert found.reasons == ("shared, known to be broken, went uncaught: because of INCONCLUSIVE",)


@pytest.mark.parametrize("check", [Check.FOREIGN, Check.TORN])
def test_controls_together_show_both_ways_of_being_caught(check: Check) -> None:
    at_a_checkpoint, before_writing = tally(), tally(stale=1)
    at_a_checkpoint.checks[check] = 1
    assert blind_spots([at_a_checkpoint, before_writing]) == []
    assert [spot[:33] for spot in blind_spots([before_writing])] == ["no control was caught at a checkp"]
    assert [spot[:33] for spot in blind_spots([at_a_checkpoint])] == ["no control was caught before it w"]


def test_a_blind_spot_counts_where_nothing_else_applies() -> None:
    caught = {"shared": finding(Verdict.CROSS_TALK)}
    for subject, expected in (
        (Verdict.CROSS_TALK, Verdict.CROSS_TALK),
        (Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE),
        (Verdict.ISOLATED, Verdict.BLIND),
    ):
        found = judge_run({"local": finding(subject)}, caught, CLEAN, ["a spot"])
        assert found.verdict is expected
    assert found.reasons == ("a spot",)


def test_a_run_without_subjects_or_controls_proves_nothing() -> None:
    caught = {"shared": finding(Verdict.CROSS_TALK)}
    assert judge_run({}, caught, CLEAN).verdict is Verdict.INCONCLUSIVE
    assert judge_run({"local": finding(Verdict.ISOLATED)}, {}, CLEAN).verdict is Verdict.BLIND
    assert judge_run({"local": finding(Verdict.ISOLATED)}, caught, CLEAN).verdict is Verdict.ISOLATED


def test_contexts_left_are_a_leak_of_the_run() -> None:
    idle = Idle({"request": 2, "application": 0}, {})
    found = judge_run({"local": finding(Verdict.ISOLATED)}, {"shared": finding(Verdict.CROSS_TALK)}, idle)
    assert found == Finding(Verdict.LEAK, ("+2 request contexts pushed and not popped at idle",))


def test_exit_codes() -> None:
    assert [verdict.exit_code for verdict in Verdict] == [10, 11, 12, 13, 0]


@pytest.mark.parametrize(("requests", "bound"), [(0, 1.0), (1, 1.0), (3, 1.0), (300, 0.01), (30_000, 0.0001)])
def test_the_bound_is_the_rule_of_three(requests: int, bound: float) -> None:
    assert upper_bound(requests) == pytest.approx(bound)


def test_the_bound_holds_for_independent_requests() -> None:
    """A rate at the bound would have gone unseen in at most one run of twenty."""
    unseen: Callable[[int], float] = lambda n: (1 - upper_bound(n)) ** n  # noqa: E731
    assert all(unseen(n) <= 0.05 for n in (10, 100, 15_000, 1_000_000))
