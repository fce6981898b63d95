"""Checking a whole history, from records alone."""

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import crosstalk.checker
from crosstalk.checker import (
    Cell,
    Checker,
    CutOff,
    End,
    Header,
    Left,
    NoRecord,
    Outcome,
    Probe,
    Record,
    Tally,
    Verdict,
    check,
    conclude,
)
from crosstalk.checker.checker import RECENT

MakeProbe = Callable[..., Probe]
CELLS = {"shared": Cell("control", 1), "local": Cell("subject", 2, locals=("local",))}
HEADER = Header(7, "2026-01-01T00:00:00+00:00", (), {}, CELLS)
LEFT = Left({"request": 0}, {"local": 0})


@pytest.fixture
def records(probe: MakeProbe) -> list[Record]:
    """A history that nothing is lacking in."""
    return [
        HEADER,
        probe("s", "t", found="t", cell="shared", user=1),
        probe("t", "t", cell="shared", user=2),
        probe("a", "a", user=3),
        probe("b", "b", user=4),
        LEFT,
        End(4),
    ]


def test_a_whole_history_is_isolated(records: list[Record]) -> None:
    checked = check(lambda: records)
    assert (checked.finding.verdict, checked.cut, checked.left) == (Verdict.ISOLATED, None, LEFT)
    assert checked.findings["shared"].outcome is Outcome.CROSS_TALK
    assert checked.tallies["local"].requests == 2
    witness = checked.tallies["shared"].witness()
    assert witness is not None
    assert witness.writer is not None
    assert witness.writer.user == 2


@pytest.mark.parametrize(
    ("change", "verdict", "reason"),
    [
        (lambda records: records[:-1], Verdict.INCONCLUSIVE, "cut off: it has no end"),
        (lambda records: [*records[:-1], CutOff("line 6")], Verdict.INCONCLUSIVE, "cut off: line 6"),
        (lambda records: [*records[:-1], End(5)], Verdict.INCONCLUSIVE, "4 requests, and 5 by its end"),
        (
            lambda records: [*records[:5], records[6]],
            Verdict.INCONCLUSIVE,
            "not known: the history does not say",
        ),
        (lambda records: [*records[:-2], replace(LEFT, contexts={"request": 1}), End(4)], Verdict.LEAK, "+1"),
        (lambda records: [HEADER, *records[3:5], LEFT, End(2)], Verdict.BLIND, "shared"),
        (lambda records: [HEADER, *records[3:5]], Verdict.INCONCLUSIVE, "cut off: it has no end"),
        (
            lambda records: [*records, records[1]],
            Verdict.INCONCLUSIVE,
            "cut off: there is more behind its end",
        ),
        (
            lambda records: [*records[:3], LEFT, *records[3:5], End(4)],
            Verdict.INCONCLUSIVE,
            "cut off: there are requests behind what was left",
        ),
        (
            lambda records: [*records[:5], replace(LEFT, contexts={"request": 5}), LEFT, End(4)],
            Verdict.INCONCLUSIVE,
            "cut off: it says twice what was left",
        ),
        (
            lambda records: [*records[:5], *records[3:5], LEFT, End(6)],
            Verdict.INCONCLUSIVE,
            "2 requests had the nonce of another one",
        ),
    ],
)
def test_what_is_lacking_is_told(
    records: list[Record],
    change: Callable[[list[Record]], list[Record]],
    verdict: Verdict,
    reason: str,
) -> None:
    checked = check(lambda: change(records))
    assert checked.finding.verdict is verdict
    assert reason in " ".join(checked.finding.reasons)


def test_a_writer_of_long_ago_is_looked_for_in_the_whole_history(probe: MakeProbe) -> None:
    own = [probe(f"n{number}", f"n{number}") for number in range(RECENT)]
    checked = check(lambda: [HEADER, probe("old", "old", user=9), *own, probe("late", "old", user=3)])
    witness = checked.tallies["local"].witness()
    assert witness is not None
    assert witness.writer is not None
    assert witness.writer.user == 9


def test_cross_talk_in_what_is_left_of_a_history_is_told(records: list[Record], probe: MakeProbe) -> None:
    checked = check(lambda: [*records[:5], probe("c", "a"), CutOff("line 7")])
    assert checked.finding.verdict is Verdict.CROSS_TALK
    assert checked.cut == "line 7"


def test_a_history_without_a_header_is_none() -> None:
    with pytest.raises(NoRecord, match="no header"):
        check(list)


def test_tallies_of_workers_are_judged_together(records: list[Record]) -> None:
    total = Checker()
    for part in (records[1:3], records[3:5]):
        worker = Checker()
        for each in part:
            assert isinstance(each, Probe)
            worker.add(each)
        total.merge(
            {cell: Tally.from_document(tally.as_document()) for cell, tally in worker.tallies.items()}
        )
    assert conclude(HEADER, total, LEFT).finding.verdict is Verdict.ISOLATED
    lacking = conclude(HEADER, total, LEFT, cut="worker 2 has gone")
    assert lacking.finding.verdict is Verdict.INCONCLUSIVE


def test_the_checker_is_given_records_and_nothing_else() -> None:
    """It opens nothing, and knows neither Locust nor gevent: what it judges could come from anywhere."""
    known = {"crosstalk.checker", "crosstalk.reply"}
    for path in Path(crosstalk.checker.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}"] if node.module != "crosstalk" else ["crosstalk.reply"]
            for name in names:
                of = name.partition(".")[0]
                assert of not in ("locust", "gevent", "greenlane", "socket", "pathlib", "io", "os"), path
                if of == "crosstalk":
                    assert any(name.startswith(each) for each in known), (path, name)
            assert not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "open"), path
