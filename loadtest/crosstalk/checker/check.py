"""Checking a whole history: all records in, tallies, outcomes and the verdict out."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from crosstalk.checker.checker import Checker
from crosstalk.checker.records import CutOff, End, Header, Left, NoRecord, Probe, Record
from crosstalk.checker.tally import Tally
from crosstalk.checker.verdict import Case, CellFinding, Finding, Run, judge_cell, judge_run, uncounted

NOT_SAID = Left({}, {}, unknown="the history does not say")


@dataclass(frozen=True, slots=True)
class Checked:
    """What a history shows.

    Attributes:
        header: its first line.
        tallies: what each cell's requests came to.
        findings: what came of each cell.
        finding: the verdict on the run.
        left: what was left at idle, ``unknown`` where that is not known of the subjects.
        end: its last line; None when it is cut off.
        cut: why it is not whole, if so.

    """

    header: Header
    tallies: Mapping[str, Tally]
    findings: Mapping[str, CellFinding]
    finding: Finding
    left: Left
    end: End | None
    cut: str | None


def check(records: Callable[[], Iterable[Record]]) -> Checked:
    """Judge a history.

    Args:
        records: returns its records, from the first to the last, each time it is called:
            a second time only when writers are to be found that the first did not remember.

    Raises:
        NoRecord: it does not begin with a header.

    """
    checker = Checker()
    header, left, end, cut, probes = None, None, None, None, 0
    for record in records():
        if isinstance(record, CutOff):
            cut = record.reason
        elif isinstance(record, Header):
            header = record
        elif end is not None:
            cut = cut or "there is more behind its end"
        elif isinstance(record, Probe):
            probes += 1
            checker.add(record)
            if left is not None:
                cut = cut or "there are requests behind what was left when they had ended"
        elif isinstance(record, Left):
            cut = cut or ("it says twice what was left" if left is not None else None)
            left = record
        else:
            end = record
    if header is None:
        raise NoRecord("there is no header")
    checker.find_writers(_probes(records()))
    if cut is None and end is None:
        cut = "it has no end"
    elif cut is None and end is not None and end.probes != probes:
        cut = f"it has {probes:,} requests, and {end.probes:,} by its end"
    return conclude(header, checker, left or NOT_SAID, end, cut)


def conclude(
    header: Header, checker: Checker, left: Left, end: End | None = None, cut: str | None = None
) -> Checked:
    """Draw outcomes and the verdict from what ``checker`` has counted.

    Args:
        header: what was demanded of which cell.
        checker: has been given all the requests, or the tallies of all workers.
        left: what was left at idle.
        end: facts for the report.
        cut: why not all of the run has been counted, if so.

    """
    tallies = {name: checker.tally(name) for name in header.cells}
    findings = {
        name: judge_cell(Case(name, cell, tallies[name], left, cut)) for name, cell in header.cells.items()
    }
    run = Run(header.cells, findings, tallies, left, cut)
    known = Left(left.contexts, left.entries, left.left, uncounted(run), left.processes)
    return Checked(header, tallies, findings, judge_run(run), known, end, cut)


def _probes(records: Iterable[Record]) -> Iterator[Probe]:
    return (record for record in records if isinstance(record, Probe))
