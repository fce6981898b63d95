"""A matrix's verdict: what has to hold held, and what is broken was caught; or the gravest that did not."""

from collections.abc import Callable

import pytest

from crosstalk.checker import Verdict
from crosstalk.matrix.results import CellResult, Results
from crosstalk.matrix.verdict import judge

Result = Callable[..., CellResult]
MakeResults = Callable[..., Results]


def test_a_matrix_that_is_as_it_should_be_is_isolated(results: MakeResults) -> None:
    assert judge(results()).verdict is Verdict.ISOLATED


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        ("cross-talk", Verdict.CROSS_TALK),
        ("leak", Verdict.LEAK),
        ("missing", Verdict.INCONCLUSIVE),
        ("inconclusive", Verdict.INCONCLUSIVE),
        ("no-overlap", Verdict.INCONCLUSIVE),
    ],
)
def test_a_cell_that_has_to_hold_and_does_not(
    results: MakeResults, cell: Result, caught: Result, outcome: str, verdict: Verdict
) -> None:
    found = judge(results(cell(outcome=outcome, reasons=("as was seen",)), caught()))
    assert found.verdict is verdict
    assert found.reasons == (f"keep-alive/local is {outcome} and not isolated: as was seen",)


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        ("isolated", Verdict.BLIND),
        ("leak", Verdict.BLIND),
        ("missing", Verdict.INCONCLUSIVE),
        ("inconclusive", Verdict.INCONCLUSIVE),
    ],
)
def test_a_cell_that_has_to_be_caught_and_is_not(
    results: MakeResults, caught: Result, outcome: str, verdict: Verdict
) -> None:
    assert judge(results(caught(outcome=outcome))).verdict is verdict


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        ("no-overlap", Verdict.ISOLATED),
        ("isolated", Verdict.BLIND),
        # Failed requests do not show that the loop was blocked.
        ("inconclusive", Verdict.INCONCLUSIVE),
    ],
)
def test_what_is_said_not_to_overlap_must_be_seen_not_to(
    results: MakeResults, caught: Result, outcome: str, verdict: Verdict
) -> None:
    assert judge(results(caught(expected=("no-overlap",), outcome=outcome))).verdict is verdict


def test_where_nothing_was_measured_nothing_is_shown(results: MakeResults) -> None:
    found = judge(results(cells={}))
    assert (found.verdict, found.reasons) == (Verdict.BLIND, ("nothing was measured",))


def test_what_could_not_be_counted_leaves_the_matrix_open(results: MakeResults) -> None:
    found = judge(results(unknown=("no server answers",)))
    assert (found.verdict, found.reasons) == (
        Verdict.INCONCLUSIVE,
        ("what was left when all was over is not known: no server answers",),
    )


def test_the_gravest_surprise_is_the_verdict_and_all_are_told(
    results: MakeResults, cell: Result, caught: Result
) -> None:
    found = judge(
        results(
            cell(outcome="inconclusive"),
            caught(outcome="isolated"),
            cell(strategy="fixed", outcome="cross-talk"),
            cell(strategy="context", outcome="leak"),
        )
    )
    assert found.verdict is Verdict.CROSS_TALK
    assert [reason.partition(" ")[0] for reason in found.reasons] == [
        "keep-alive/fixed",
        "keep-alive/context",
        "keep-alive/broken",
        "keep-alive/local",
    ]


def test_what_holds_where_nothing_broken_was_measured_proves_nothing(
    results: MakeResults, cell: Result
) -> None:
    found = judge(results(cell(), cell(strategy="fixed")))
    assert (found.verdict, found.reasons) == (
        Verdict.BLIND,
        ("nothing broken was measured in keep-alive: what held there proves nothing",),
    )


def test_contexts_that_are_left_are_a_leak(results: MakeResults) -> None:
    found = judge(results(contexts={"request": 3}))
    assert (found.verdict, found.reasons) == (
        Verdict.LEAK,
        ("+3 request contexts pushed and not popped when all was over",),
    )


def test_entries_that_are_left_are_a_leak(results: MakeResults) -> None:
    found = judge(results(entries={"app_stack": 2}))
    assert (found.verdict, found.reasons) == (
        Verdict.LEAK,
        ("2 entries left in 'app_stack' when all was over",),
    )
