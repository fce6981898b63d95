"""What a race says of each of its cells: whether it held, and whether the race could have shown otherwise.

Pure: counts in, words out. The outcomes are the checker's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crosstalk.checker import Cell, CellFinding, Left, Outcome, Tally, Verdict
from crosstalk.checker.verdict import Case, judge_cell
from crosstalk.race.plan import Entry, Race


@dataclass(frozen=True, slots=True)
class Raced:
    """What came of one cell.

    Attributes:
        entry: the cell, and how it was raced.
        tally: what its requests came to.
        outcome: what the checker makes of it alone.
        verdict: what the race makes of it.
        reasons: what that rests on, in sentences.

    """

    entry: Entry
    tally: Tally
    outcome: Outcome
    verdict: Verdict
    reasons: tuple[str, ...]

    @property
    def key(self) -> str:
        """The cell's name."""
        return self.entry.cell.key

    @property
    def caught(self) -> bool:
        """Whether something that is known to be broken showed what it has to show."""
        return self.entry.is_control and self.outcome in self.entry.cell.expected


def judge(
    race: Race, tallies: Mapping[str, Tally], left: Left, counted: frozenset[str] = frozenset()
) -> dict[str, Raced]:
    """Return what came of each cell, by name: of those that were asked for, and of the control.

    Args:
        race: what was raced.
        tallies: what the requests came to, by cell.
        left: what was left at idle, that was not there before.
        counted: the cells whose leftovers belong to their finding.

    """
    findings = {
        entry.cell.key: _finding(entry, tallies[entry.cell.key], left, entry.cell.key in counted)
        for entry in race.all
    }
    doubts = _doubts([(entry, findings[entry.cell.key]) for entry in race.all if entry.is_control])
    contexts = tuple(
        f"{count:,} {kind} contexts pushed and not popped at idle"
        for kind, count in left.contexts.items()
        if count
    )
    raced = {}
    for entry in race.all:
        finding = findings[entry.cell.key]
        verdict, reasons = finding.verdict, finding.reasons
        if contexts and verdict not in (Verdict.CROSS_TALK, Verdict.LEAK):
            verdict, reasons = Verdict.LEAK, contexts
        elif verdict is Verdict.ISOLATED and doubts:
            verdict, reasons = doubts[0][0], tuple(reason for _verdict, reason in doubts)
        raced[entry.cell.key] = Raced(entry, tallies[entry.cell.key], finding.outcome, verdict, reasons)
    return raced


def gravest(race: Race, raced: Mapping[str, Raced]) -> Verdict:
    """Return the gravest verdict on the cells that were asked for."""
    order = list(Verdict)
    return min((raced[entry.cell.key].verdict for entry in race.entries), key=order.index)


def _finding(entry: Entry, tally: Tally, left: Left, counted: bool) -> CellFinding:
    # Each request was issued for this race: unless it was doomed, it has to be there.
    cell = Cell("variant", floor=entry.requests - tally.doomed, counts_left=counted)
    return judge_cell(Case(entry.cell.key, cell, tally, left))


def _doubts(controls: Sequence[tuple[Entry, CellFinding]]) -> list[tuple[Verdict, str]]:
    """Return why a cell that held may not be called isolated, the gravest reason first."""
    doubts = []
    for entry, finding in controls:
        if finding.outcome not in entry.cell.expected:
            inconclusive = finding.verdict is Verdict.INCONCLUSIVE
            doubts.append(
                (
                    Verdict.INCONCLUSIVE if inconclusive else Verdict.BLIND,
                    f"{entry.cell.key}, known to be broken, went uncaught: {'; '.join(finding.reasons)}",
                )
            )
    return sorted(doubts, key=lambda doubt: list(Verdict).index(doubt[0]))
