"""From tallies to outcomes and a verdict: numbers in, words and reasons out.

A proof is only ``ISOLATED`` when overlap is shown, the floor of requests is met, none
failed, nothing is left at idle, and every control was caught in the same run. Without
that a server that serves one request at a time would pass perfectly, because nothing
ever overlaps. Each of these is a claim, a small function that yields what speaks
against it; :data:`CELL_CLAIMS` and :data:`RUN_CLAIMS` have them in their order.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

from crosstalk.checker.kinds import Check, Kind, Outcome, Role, Verdict
from crosstalk.checker.records import Cell, Left
from crosstalk.checker.tally import Tally

OVERLAP_SHARE = 0.5
"""At least this share of a cell's requests must have been interleaved with others.

Under load nearly all are. A few at the start and the end of a run are alone.
"""

_VERDICTS = {
    Outcome.CROSS_TALK: Verdict.CROSS_TALK,
    Outcome.LEAK: Verdict.LEAK,
    Outcome.MISSING: Verdict.INCONCLUSIVE,
    Outcome.INCONCLUSIVE: Verdict.INCONCLUSIVE,
    Outcome.NO_OVERLAP: Verdict.INCONCLUSIVE,
    Outcome.ISOLATED: Verdict.ISOLATED,
}


@dataclass(frozen=True, slots=True)
class CellFinding:
    """What came of one cell and, in sentences, what that rests on."""

    outcome: Outcome
    reasons: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """The outcome in the words of a run's verdict."""
        return _VERDICTS[self.outcome]


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict and, in sentences, what it rests on."""

    verdict: Verdict
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """All that an outcome is drawn from.

    Attributes:
        name: the cell's key.
        cell: what is demanded of it.
        tally: what its requests came to.
        left: what the server had left at idle.
        cut: why the history is not whole, if so.

    """

    name: str
    cell: Cell
    tally: Tally
    left: Left
    cut: str | None = None


def own_data(case: Case) -> Iterator[str]:
    """No request met data that was not its own."""
    if case.tally.cross_talk:
        yield (
            f"{case.tally.cross_talk:,} of {case.tally.requests:,} requests met data that was not their own"
        )


def nothing_left(case: Case) -> Iterator[str]:
    """Nothing of the cell's is left at idle. Only a control may leave what it likes."""
    if case.cell.role in ("subject", "variant"):
        for name in case.cell.locals:
            if count := case.left.entries.get(name):
                yield f"{count:,} entries left in {name!r} at idle"
    if case.cell.counts_left and (count := case.left.left.get(case.name)):
        yield f"{count:,} left open at idle"


def floor_met(case: Case) -> Iterator[str]:
    """There were as many complete requests as were asked for, and at least one."""
    if case.tally.requests < max(case.cell.floor, 1):
        yield f"{case.tally.requests:,} complete requests, fewer than the floor of {case.cell.floor:,}"


def none_failed(case: Case) -> Iterator[str]:
    """Every request that was not doomed had a complete, valid 200 reply."""
    if failed := case.tally.failed:
        most = ", ".join(f"{count:,} x {reason}" for reason, count in case.tally.failures.most_common(3))
        yield f"{failed:,} requests failed: {most}"


def one_nonce_each(case: Case) -> Iterator[str]:
    """Each request had a nonce of its own: what crosses between two that share one cannot be seen."""
    if repeated := case.tally.repeated:
        yield f"{repeated:,} requests had the nonce of another one"


def none_missing(case: Case) -> Iterator[str]:
    """Every check found something."""
    if missing := case.tally.checks[Check.MISSING]:
        yield f"{missing:,} checks found nothing where the own nonce should be"


def in_flight_together(case: Case) -> Iterator[str]:
    """The server had more than one request in flight."""
    if case.tally.requests and case.tally.peak_in_flight < 2:
        yield "no overlap: never more than one request in flight"


def interleaved(case: Case) -> Iterator[str]:
    """Others acted between the own steps of most requests."""
    tally = case.tally
    if tally.overlapped < OVERLAP_SHARE * tally.requests:
        yield (
            f"no overlap: only {tally.overlapped:,} of {tally.requests:,} requests"
            " had another act between their own steps"
        )


def one_thread(case: Case) -> Iterator[str]:
    """One native thread of each process served them all: what kept them apart was not the threads."""
    processes = {process for process, _thread in case.tally.threads}
    if len(case.tally.threads) > len(processes):
        yield f"{len(case.tally.threads)} native threads in {len(processes)} processes, not one in each"


def counted_at_idle(case: Case) -> Iterator[str]:
    """Where the servers count what the cell leaves, all that served it did."""
    if not case.cell.counts_left:
        return
    if case.name not in case.left.left:
        yield f"what is left at idle is not known: {case.left.unknown or 'it was not counted'}"
    elif reason := _not_counted([case.tally], case.left):
        yield f"what is left at idle is not known: {reason}"


def whole(case: Case) -> Iterator[str]:
    """The history has all of the run."""
    if case.cut is not None:
        yield f"the history is cut off: {case.cut}"


CellClaim: TypeAlias = Callable[[Case], Iterator[str]]

CELL_CLAIMS: tuple[tuple[Outcome, CellClaim], ...] = (
    (Outcome.CROSS_TALK, own_data),
    (Outcome.LEAK, nothing_left),
    (Outcome.INCONCLUSIVE, floor_met),
    (Outcome.INCONCLUSIVE, none_failed),
    (Outcome.INCONCLUSIVE, one_nonce_each),
    (Outcome.INCONCLUSIVE, one_thread),
    (Outcome.INCONCLUSIVE, counted_at_idle),
    (Outcome.INCONCLUSIVE, whole),
    (Outcome.MISSING, none_missing),
    (Outcome.NO_OVERLAP, in_flight_together),
    (Outcome.NO_OVERLAP, interleaved),
)


def judge_cell(case: Case, claims: Sequence[tuple[Outcome, CellClaim]] = CELL_CLAIMS) -> CellFinding:
    """Return what came of one cell: the first outcome that something speaks for.

    Where something is lacking, whatever else is lacking is told too.
    """
    spoken = [(outcome, reason) for outcome, claim in claims for reason in claim(case)]
    if not spoken:
        return CellFinding(
            Outcome.ISOLATED, (f"0 of {case.tally.requests:,} requests met data that was not their own",)
        )
    first = spoken[0][0]
    alike = (first,) if first in (Outcome.CROSS_TALK, Outcome.LEAK) else tuple(Outcome)
    return CellFinding(first, tuple(reason for outcome, reason in spoken if outcome in alike))


@dataclass(frozen=True, slots=True)
class Run:
    """All that a run's verdict is drawn from.

    Attributes:
        cells: what was demanded of each.
        findings: what came of each.
        tallies: what their requests came to.
        left: what the server had left at idle. Contexts belong to no one cell: any
            that is left makes the run a leak.
        cut: why the history is not whole, if so.

    """

    cells: Mapping[str, Cell]
    findings: Mapping[str, CellFinding]
    tallies: Mapping[str, Tally]
    left: Left
    cut: str | None = None

    def of_role(self, role: Role) -> list[str]:
        """Return the cells of a role."""
        return [name for name, cell in self.cells.items() if cell.role == role]

    def reasons(self, verdict: Verdict) -> Iterator[str]:
        """Yield why subjects have that verdict."""
        for name in self.of_role("subject"):
            if self.findings[name].verdict is verdict:
                yield from (f"{name}: {reason}" for reason in self.findings[name].reasons)


def there_are_subjects(run: Run) -> Iterator[str]:
    """Something is to be proven."""
    if not run.of_role("subject"):
        yield "there was no strategy to prove"


def kept_apart(run: Run) -> Iterator[str]:
    """No subject had cross-talk."""
    yield from run.reasons(Verdict.CROSS_TALK)


def left_nothing(run: Run) -> Iterator[str]:
    """No subject left anything at idle, and no context is left at all."""
    yield from run.reasons(Verdict.LEAK)
    for kind, count in sorted(run.left.contexts.items()):
        if count:
            yield f"{count:+,} {kind} contexts pushed and not popped at idle"


def all_of_it(run: Run) -> Iterator[str]:
    """The history has all of the run: what it lacks may be where the controls were caught."""
    if run.cut is not None:
        yield f"the history is cut off: {run.cut}"


def there_are_controls(run: Run) -> Iterator[str]:
    """Something was to be caught."""
    if not run.of_role("control"):
        yield "there was no control to catch"


def controls_caught(run: Run) -> Iterator[str]:
    """Every control was caught in this run."""
    for name in run.of_role("control"):
        finding = run.findings[name]
        if finding.outcome is not Outcome.CROSS_TALK:
            yield f"{name}, known to be broken, went uncaught: {'; '.join(finding.reasons)}"


def proven(run: Run) -> Iterator[str]:
    """Nothing is lacking in any subject."""
    yield from run.reasons(Verdict.INCONCLUSIVE)


def counted(run: Run) -> Iterator[str]:
    """It is known what the subjects left at idle."""
    if reason := uncounted(run):
        yield f"what is left at idle is not known: {reason}"


def caught_at_a_checkpoint(run: Run) -> Iterator[str]:
    """A control was caught by what a checkpoint read.

    A server that answers checkpoints from somewhere else than the lane catches its
    controls by what they found alone, and a clean subject then shows nothing.
    """
    if not any(
        run.tallies[name].checks[check]
        for name in run.of_role("control")
        for check in (Check.FOREIGN, Check.TORN)
    ):
        yield "no control was caught at a checkpoint: none may show what was read"


def caught_before_writing(run: Run) -> Iterator[str]:
    """A control was caught by what it found before it wrote."""
    if not any(run.tallies[name].met[Kind.STALE] for name in run.of_role("control")):
        yield "no control was caught before it wrote: what was found may not be shown"


RunClaim: TypeAlias = Callable[[Run], Iterator[str]]

RUN_CLAIMS: tuple[tuple[Verdict, RunClaim], ...] = (
    (Verdict.INCONCLUSIVE, there_are_subjects),
    (Verdict.CROSS_TALK, kept_apart),
    (Verdict.LEAK, left_nothing),
    (Verdict.INCONCLUSIVE, all_of_it),
    (Verdict.BLIND, there_are_controls),
    (Verdict.BLIND, controls_caught),
    (Verdict.INCONCLUSIVE, proven),
    (Verdict.INCONCLUSIVE, counted),
    # Last, because a run without overlap has these too, and that is the better reason.
    (Verdict.BLIND, caught_at_a_checkpoint),
    (Verdict.BLIND, caught_before_writing),
)


def judge_run(run: Run, claims: Sequence[tuple[Verdict, RunClaim]] = RUN_CLAIMS) -> Finding:
    """Return the verdict on the whole run: the first that something speaks for."""
    for verdict, group in groupby(claims, key=lambda each: each[0]):
        if reasons := tuple(reason for _verdict, claim in group for reason in claim(run)):
            return Finding(verdict, reasons)
    return Finding(Verdict.ISOLATED, tuple(run.reasons(Verdict.ISOLATED)))


def uncounted(run: Run) -> str | None:
    """Say why the counts at idle do not tell what the subjects left behind, if they do not."""
    if run.left.unknown is not None:
        return run.left.unknown
    subjects = run.of_role("subject")
    if reason := _not_counted([run.tallies[name] for name in subjects], run.left):
        return reason
    names = [name for subject in subjects for name in run.cells[subject].locals]
    if absent := [name for name in dict.fromkeys(names) if name not in run.left.entries]:
        return f"the entries of {', '.join(absent)} are not counted"
    return None


def _not_counted(tallies: Sequence[Tally], left: Left) -> str | None:
    """Say which of the processes that served these requests were not counted, if any were not."""
    processes = {process for tally in tallies for process, _thread in tally.threads}
    if left.processes:
        if strangers := processes.difference(left.processes):
            return f"{len(strangers)} of {len(processes)} processes that served the requests were not counted"
    elif len(processes) > 1:
        return f"{len(processes)} processes served the requests, and the counts are one process's"
    return None
