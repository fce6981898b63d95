"""Outcomes and verdicts: the first that applies, and ISOLATED only when no claim fails."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from crosstalk.checker import Cell, Check, Kind, Left, Outcome, Role, Tally, Verdict
from crosstalk.checker.verdict import (
    CELL_CLAIMS,
    RUN_CLAIMS,
    Case,
    CellFinding,
    Run,
    judge_cell,
    judge_run,
    uncounted,
)

CLEAN = Left(contexts={"request": 0, "application": 0}, entries={"local": 0}, left={"hazard/fixed": 0})


def tally(**changes: object) -> Tally:
    clean = Tally(requests=1000, overlapped=990, switches=5000, peak_in_flight=100, threads={("p", 1)})
    clean.checks[Check.OWN] = 3000
    return replace(clean, **changes)  # type: ignore[arg-type]


def case(left: Left = CLEAN, cut: str | None = None, role: Role = "variant", **changes: object) -> Case:
    return Case("hazard/fixed", Cell(role, 1000, True, ("local",)), tally(**changes), left, cut)


# For each claim what speaks against it alone, the outcome, and words of the reason.
CELL_CASES: dict[str, tuple[Case, Outcome, str]] = {
    "own_data": (case(cross_talk=1), Outcome.CROSS_TALK, "1 of 1,000 requests met data"),
    "nothing_left": (
        case(replace(CLEAN, entries={"local": 3})),
        Outcome.LEAK,
        "3 entries left in 'local' at idle",
    ),
    "none_missing": (
        case(checks=tally().checks + type(tally().checks)({Check.MISSING: 1})),
        Outcome.MISSING,
        "1 checks found nothing",
    ),
    "floor_met": (case(requests=999), Outcome.INCONCLUSIVE, "fewer than the floor of 1,000"),
    "one_nonce_each": (case(repeated=2), Outcome.INCONCLUSIVE, "2 requests had the nonce of another"),
    "none_failed": (case(failed=1), Outcome.INCONCLUSIVE, "1 requests failed"),
    "in_flight_together": (
        case(peak_in_flight=1),
        Outcome.NO_OVERLAP,
        "never more than one request in flight",
    ),
    "interleaved": (case(overlapped=499), Outcome.NO_OVERLAP, "only 499 of 1,000"),
    "one_thread": (
        case(threads={("p", 1), ("p", 2)}),
        Outcome.INCONCLUSIVE,
        "2 native threads in 1 processes",
    ),
    "counted_at_idle": (
        case(replace(CLEAN, left={}, unknown="gone")),
        Outcome.INCONCLUSIVE,
        "what is left at idle is not known: gone",
    ),
    "whole": (case(cut="the disk was full"), Outcome.INCONCLUSIVE, "cut off: the disk was full"),
}


def test_nothing_lacking_is_isolated() -> None:
    finding = judge_cell(case())
    assert finding == CellFinding(Outcome.ISOLATED, ("0 of 1,000 requests met data that was not their own",))


@pytest.mark.parametrize("name", [claim.__name__ for _outcome, claim in CELL_CLAIMS])
def test_without_a_claim_what_it_asks_is_not_asked(name: str) -> None:
    """The mutation score: each claim alone keeps a case from being called isolated."""
    judged, outcome, reason = CELL_CASES[name]
    finding = judge_cell(judged)
    assert finding.outcome is outcome
    assert reason in " ".join(finding.reasons)
    others = [each for each in CELL_CLAIMS if each[1].__name__ != name]
    assert judge_cell(judged, others).outcome is Outcome.ISOLATED


@pytest.mark.parametrize("first", CELL_CASES)
@pytest.mark.parametrize("second", CELL_CASES)
def test_the_first_outcome_that_applies_is_taken(first: str, second: str) -> None:
    """Every two things that are wrong, at once."""
    clean, order = case(), list(Outcome)
    changed = {
        name: getattr(CELL_CASES[which][0], name)
        for which in (first, second)
        for name in ("left", "cut")
        if getattr(CELL_CASES[which][0], name) != getattr(clean, name)
    }
    counted = {
        name: getattr(CELL_CASES[which][0].tally, name)
        for which in (first, second)
        for name in Tally.__slots__
        if getattr(CELL_CASES[which][0].tally, name) != getattr(clean.tally, name)
    }
    both = replace(clean, **changed, tally=replace(clean.tally, **counted))
    if {first, second} == {"nothing_left", "counted_at_idle"}:
        return  # one Left cannot say both
    expected = min((CELL_CASES[first][1], CELL_CASES[second][1]), key=order.index)
    assert judge_cell(both).outcome is expected


def test_what_a_missing_cell_lacks_besides_is_told_too() -> None:
    lacking = case(requests=5, overlapped=5, checks=type(tally().checks)({Check.MISSING: 1}))
    assert len(judge_cell(lacking).reasons) == 2


def test_what_is_left_open_is_a_leak_where_it_is_counted() -> None:
    left = replace(CLEAN, left={"hazard/fixed": 4})
    assert judge_cell(case(left)).reasons == ("4 left open at idle",)
    uncounted_cell = replace(case(left), cell=Cell("variant", 1000))
    assert judge_cell(uncounted_cell).outcome is Outcome.ISOLATED


@pytest.mark.parametrize("role", ["control", "observed"])
def test_a_control_may_leave_entries(role: Role) -> None:
    assert judge_cell(case(replace(CLEAN, entries={"local": 3}), role=role)).outcome is Outcome.ISOLATED


def test_entries_are_looked_for_in_the_cells_own_locals() -> None:
    left = replace(CLEAN, entries={"local": 0, "other": 5})
    assert judge_cell(case(left)).outcome is Outcome.ISOLATED


def test_one_thread_in_each_of_several_processes_is_overlap() -> None:
    served = case(threads={("p", 1), ("q", 1)})
    both = replace(served, left=replace(CLEAN, processes=("p", "q")))
    assert judge_cell(both).outcome is Outcome.ISOLATED


def test_what_a_process_has_left_that_nobody_counted_is_not_known() -> None:
    served = case(threads={("p", 1), ("q", 1)})
    one = replace(served, left=replace(CLEAN, processes=("p",)))
    finding = judge_cell(one)
    assert finding.outcome is Outcome.INCONCLUSIVE
    assert "1 of 2 processes that served the requests were not counted" in finding.reasons[0]


def test_failed_requests_are_told_before_that_nothing_overlapped() -> None:
    finding = judge_cell(case(failed=1, peak_in_flight=1))
    assert finding.outcome is Outcome.INCONCLUSIVE
    assert [reason.split(" ")[1] for reason in finding.reasons] == ["requests", "overlap:"]


def test_a_floor_of_nothing_still_asks_for_a_request() -> None:
    empty = Case("local", Cell("subject", 0), Tally(), CLEAN)
    assert judge_cell(empty).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_is_a_verdict_but_two_are_inconclusive(outcome: Outcome) -> None:
    verdict = CellFinding(outcome, ()).verdict
    if outcome in (Outcome.MISSING, Outcome.NO_OVERLAP):
        assert verdict is Verdict.INCONCLUSIVE
    else:
        assert verdict.value.lower() == outcome.value


def control(*kinds: Kind) -> Tally:
    caught = tally(cross_talk=500)
    if Kind.FOREIGN in kinds:
        caught.checks[Check.FOREIGN] = 7
    if Kind.TORN in kinds:
        caught.checks[Check.TORN] = 7
    if Kind.STALE in kinds:
        caught.met[Kind.STALE] = 7
    return caught


BOTH = control(Kind.FOREIGN, Kind.STALE)


def run(
    left: Left = CLEAN, controls: dict[str, Tally] | None = None, subjects: dict[str, Tally] | None = None
) -> Run:
    """Return a run that nothing is lacking in, but for what is given."""
    controls = {"shared": BOTH} if controls is None else controls
    subjects = {"local": tally()} if subjects is None else subjects
    cells = {name: Cell("control", 300) for name in controls}
    cells |= {name: Cell("subject", 1000, locals=("local",)) for name in subjects}
    tallies = controls | subjects
    findings = {name: judge_cell(Case(name, cells[name], tallies[name], left)) for name in cells}
    return Run(cells, findings, tallies, left)


# For each claim a run in which its absence changes the verdict.
RUN_CASES: dict[str, tuple[Run, Verdict, str]] = {
    "there_are_subjects": (run(subjects={}), Verdict.INCONCLUSIVE, "there was no strategy to prove"),
    "kept_apart": (run(subjects={"local": tally(cross_talk=1)}), Verdict.CROSS_TALK, "local: 1 of 1,000"),
    "left_nothing": (
        run(Left({"request": 2, "application": 0}, {"local": 0})),
        Verdict.LEAK,
        "+2 request contexts pushed and not popped at idle",
    ),
    "all_of_it": (
        replace(run(controls={}), cut="the disk was full"),
        Verdict.INCONCLUSIVE,
        "the history is cut off: the disk was full",
    ),
    "there_are_controls": (
        run(controls={}, subjects={"local": tally(failed=1)}),
        Verdict.BLIND,
        "there was no control to catch",
    ),
    "controls_caught": (
        run(controls={"shared": BOTH, "other": tally(failed=2)}),
        Verdict.BLIND,
        "other, known to be broken, went uncaught: 2 requests failed",
    ),
    "proven": (run(subjects={"local": tally(failed=1)}), Verdict.INCONCLUSIVE, "local: 1 requests failed"),
    "counted": (run(replace(CLEAN, unknown="gone")), Verdict.INCONCLUSIVE, "is not known: gone"),
    "caught_at_a_checkpoint": (
        run(controls={"shared": control(Kind.STALE)}),
        Verdict.BLIND,
        "no control was caught at a checkpoint",
    ),
    "caught_before_writing": (
        run(controls={"shared": control(Kind.TORN)}),
        Verdict.BLIND,
        "no control was caught before it wrote",
    ),
}


def test_a_run_that_lacks_nothing_is_isolated() -> None:
    finding = judge_run(run())
    assert finding.verdict is Verdict.ISOLATED
    assert finding.reasons == ("local: 0 of 1,000 requests met data that was not their own",)


@pytest.mark.parametrize("name", [claim.__name__ for _verdict, claim in RUN_CLAIMS])
def test_without_a_claim_of_the_run_another_verdict_is_drawn(name: str) -> None:
    """The mutation score, likewise."""
    judged, verdict, reason = RUN_CASES[name]
    finding = judge_run(judged)
    assert finding.verdict is verdict
    assert reason in " ".join(finding.reasons)
    others = [each for each in RUN_CLAIMS if each[1].__name__ != name]
    assert judge_run(judged, others).verdict is not verdict


def test_every_claim_has_a_case() -> None:
    assert set(CELL_CASES) == {claim.__name__ for _outcome, claim in CELL_CLAIMS}
    assert set(RUN_CASES) == {claim.__name__ for _verdict, claim in RUN_CLAIMS}


SUBJECTS = {
    Verdict.CROSS_TALK: tally(cross_talk=1, failed=1),
    Verdict.INCONCLUSIVE: tally(failed=1),
    Verdict.ISOLATED: tally(),
}


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("caught", [BOTH, control(Kind.STALE), tally(), None])
@pytest.mark.parametrize("contexts", [-1, 0, 1])
@pytest.mark.parametrize("entries", [0, 2])
@pytest.mark.parametrize("unknown", [None, "gone"])
def test_the_first_verdict_that_applies_is_taken(
    subject: Verdict, caught: Tally | None, contexts: int, entries: int, unknown: str | None
) -> None:
    """Every combination, against the design's order in other words."""
    left = Left({"request": contexts}, {"local": entries}, {}, unknown)
    controls = {} if caught is None else {"shared": caught}
    verdict = judge_run(run(left, controls, {"local": SUBJECTS[subject]})).verdict
    if subject is Verdict.CROSS_TALK:
        expected = Verdict.CROSS_TALK
    elif contexts or entries:
        expected = Verdict.LEAK
    elif caught is None or not caught.cross_talk:
        expected = Verdict.BLIND
    elif subject is Verdict.INCONCLUSIVE or unknown:
        expected = Verdict.INCONCLUSIVE
    else:
        expected = Verdict.ISOLATED if caught is BOTH else Verdict.BLIND
    assert verdict is expected


def test_an_observed_cell_demands_nothing() -> None:
    observed = run()
    cells = {**observed.cells, "kept": Cell("observed", 300)}
    tallies = {**observed.tallies, "kept": tally(cross_talk=9)}
    findings = {**observed.findings, "kept": CellFinding(Outcome.CROSS_TALK, ())}
    assert judge_run(Run(cells, findings, tallies, CLEAN)).verdict is Verdict.ISOLATED


Served = Callable[[set[tuple[str, int]], Left], str | None]


@pytest.mark.parametrize(
    ("processes", "left", "reason"),
    [
        (["p"], CLEAN, None),
        (["p", "q"], CLEAN, "2 processes served the requests, and the counts are one process's"),
        (["p", "q"], replace(CLEAN, processes=("p", "q", "r")), None),
        (
            ["p", "q"],
            replace(CLEAN, processes=("q",)),
            "1 of 2 processes that served the requests were not counted",
        ),
        (["p"], replace(CLEAN, entries={}), "the entries of local are not counted"),
        (["p"], replace(CLEAN, unknown="gone"), "gone"),
    ],
)
def test_which_counts_may_be_leant_on(processes: list[str], left: Left, reason: str | None) -> None:
    threads = {(process, 1) for process in processes}
    assert uncounted(run(left, subjects={"local": tally(threads=threads)})) == reason


def test_exit_codes() -> None:
    assert [verdict.exit_code for verdict in Verdict] == [10, 11, 12, 13, 0]
