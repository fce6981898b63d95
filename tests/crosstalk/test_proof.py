"""A proof's own rules: which counts at idle it may lean on."""

from collections.abc import Callable

import pytest

from crosstalk.history import History
from crosstalk.proof import Proof, Settings, judge
from crosstalk.reply import Reply
from crosstalk.site import Strategy
from crosstalk.verdict import Idle, Verdict

Answer = Callable[..., Reply]

CLEAN = Idle({"request": 0, "application": 0}, {"one": 0, "other": 0})


@pytest.fixture
def proof(history: History, answer: Answer) -> Proof:
    """A proof that nothing is lacking in: one control caught, two requests of one subject."""
    strategies = {
        "shared": Strategy("shared", "control", "One object for all.", ()),
        "kept": Strategy("kept", "subject", "Each its own.", ("one", "other")),
    }
    made = Proof(Settings(None, 2, 1.0, 2, (), 7, 1, 5), "http://server", strategies, ("kept",), history)
    for strategy, read, found in (
        ("shared", "somebody's", "one before"),
        ("kept", None, None),
        ("kept", None, None),
    ):
        probe = history.issue(strategy, 1)
        history.record(probe, answer(probe, read or probe.nonce, found=found))
    return made


def verdict(proof: Proof, idle: Idle) -> tuple[Verdict, str]:
    judge(proof, idle)
    assert proof.finding is not None
    return proof.finding.verdict, " ".join(proof.finding.reasons)


def test_everything_counted_and_nothing_left_is_isolated(proof: Proof) -> None:
    assert verdict(proof, CLEAN)[0] is Verdict.ISOLATED


@pytest.mark.parametrize(
    ("read", "found", "reason"),
    [(None, "one before", "at a checkpoint"), ("somebody's", None, "before it wrote")],
)
def test_controls_that_were_caught_in_one_way_only_leave_a_blind_spot(
    proof: Proof, history: History, answer: Answer, read: str | None, found: str | None, reason: str
) -> None:
    """A server that answers checkpoints from the request, and not from the lane, catches its controls too."""
    del history.tallies["shared"]
    probe = history.issue("shared", 1)
    history.record(probe, answer(probe, read or probe.nonce, found=found))
    judged, reasons = verdict(proof, CLEAN)
    assert judged is Verdict.BLIND
    assert f"no control was caught {reason}" in reasons


def test_entries_that_nobody_counted_are_not_taken_for_none(proof: Proof) -> None:
    found, reasons = verdict(proof, Idle(CLEAN.contexts, {"one": 0}))
    assert found is Verdict.INCONCLUSIVE
    assert "the entries of other are not counted" in reasons


def test_the_counts_of_one_process_do_not_speak_for_another(
    proof: Proof, history: History, answer: Answer
) -> None:
    probe = history.issue("kept", 1)
    history.record(probe, answer(probe, probe.nonce, pid=2, thread=2))
    found, reasons = verdict(proof, CLEAN)
    assert found is Verdict.INCONCLUSIVE
    assert "2 processes served the requests" in reasons


def test_why_nothing_could_be_counted_is_kept(proof: Proof) -> None:
    assert verdict(proof, Idle({}, {}, "the server is gone")) == (
        Verdict.INCONCLUSIVE,
        "what is left at idle is not known: the server is gone",
    )


def test_a_leak_is_told_although_something_else_was_not_counted(proof: Proof) -> None:
    assert verdict(proof, Idle(CLEAN.contexts, {"one": 3}))[0] is Verdict.LEAK
