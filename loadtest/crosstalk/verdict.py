"""From tallies to a verdict. Pure functions: numbers in, words and reasons out.

The verdicts, and the order in which the first that applies is taken, are the
design's. A proof is only ``ISOLATED`` when overlap is shown, the floor of
requests is met, none failed, nothing is left at idle, and every control was
caught in the same run. Without that rule a server that serves one request at a
time would pass perfectly, because nothing ever overlaps.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from crosstalk.history import Tally
from crosstalk.oracle import Check

OVERLAP_SHARE = 0.5
"""At least this share of a strategy's requests must have been interleaved with others.

Under load nearly all are. A few at the start and the end of a run are alone.
"""


class Verdict(Enum):
    """The verdicts in their order, each with its exit code."""

    CROSS_TALK = "CROSS-TALK"
    LEAK = "LEAK"
    BLIND = "BLIND"
    INCONCLUSIVE = "INCONCLUSIVE"
    ISOLATED = "ISOLATED"

    @property
    def exit_code(self) -> int:
        """What ``crosstalk prove`` exits with."""
        return {"ISOLATED": 0, "CROSS-TALK": 10, "LEAK": 11, "BLIND": 12, "INCONCLUSIVE": 13}[self.value]


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict and, in sentences, what it rests on."""

    verdict: Verdict
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Idle:
    """What the server had left when no request was in flight.

    Attributes:
        contexts: contexts pushed and not popped, by kind.
        entries: entries alive, by the name of the Local.
        unknown: why nothing could be counted, if so.

    """

    contexts: Mapping[str, int]
    entries: Mapping[str, int]
    unknown: str | None = None


def upper_bound(requests: int) -> float:
    """Return the rate that 0 cross-talks in ``requests`` rules out at 95 % confidence.

    The rule of three: 3/N, for independent requests. Checks within a request are
    not independent, so they do not count. At most 1.
    """
    return min(1.0, 3 / requests) if requests else 1.0


def judge_strategy(tally: Tally, floor: int, left: Sequence[str] = ()) -> Finding:
    """Return the verdict on one strategy by itself.

    Args:
        tally: what its requests came to.
        floor: the least number of requests that may be called enough.
        left: what was left at idle, one sentence each.

    """
    if tally.cross_talk:
        return Finding(
            Verdict.CROSS_TALK,
            (f"{tally.cross_talk:,} of {tally.requests:,} requests met data that was not their own",),
        )
    if left:
        return Finding(Verdict.LEAK, tuple(left))
    gaps = _gaps(tally, floor)
    if gaps:
        return Finding(Verdict.INCONCLUSIVE, tuple(gaps))
    return Finding(
        Verdict.ISOLATED,
        (f"0 of {tally.requests:,} requests met data that was not their own",),
    )


def _gaps(tally: Tally, floor: int) -> list[str]:
    """Return what a clean tally lacks for a proof."""
    gaps = []
    if tally.requests < max(floor, 1):
        gaps.append(f"{tally.requests:,} complete requests, fewer than the floor of {floor:,}")
    if tally.failed:
        most = ", ".join(f"{count:,} x {reason}" for reason, count in tally.failures.most_common(3))
        gaps.append(f"{tally.failed:,} requests failed: {most}")
    if missing := tally.checks[Check.MISSING]:
        gaps.append(f"{missing:,} checks found nothing where the own nonce should be")
    if not tally.requests:
        return gaps
    if tally.peak_in_flight < 2:
        gaps.append("no overlap: never more than one request in flight")
    if tally.overlapped < OVERLAP_SHARE * tally.requests:
        gaps.append(
            f"no overlap: only {tally.overlapped:,} of {tally.requests:,} requests"
            " had another act between their own steps"
        )
    processes = {process for process, _thread in tally.threads}
    if len(tally.threads) > len(processes):
        gaps.append(f"{len(tally.threads)} native threads in {len(processes)} processes, not one in each")
    return gaps


def entries_left(idle: Idle, locals_: Sequence[str]) -> list[str]:
    """Return what was left at idle in the Locals ``locals_``, one sentence each."""
    return [
        f"{idle.entries[name]:,} entries left in {name!r} at idle"
        for name in locals_
        if idle.entries.get(name)
    ]


def blind_spots(controls: Iterable[Tally]) -> list[str]:
    """Return what a subject might do unseen, because no control was seen to do it, one sentence each.

    A control may be caught by what it found alone, while every checkpoint is answered
    from somewhere else than the lane: a clean subject then shows nothing.
    """
    tallies = list(controls)
    spots = []
    if not any(tally.checks[Check.FOREIGN] or tally.checks[Check.TORN] for tally in tallies):
        spots.append("no control was caught at a checkpoint: none may show what was read")
    if not any(tally.stale for tally in tallies):
        spots.append("no control was caught before it wrote: what was found may not be shown")
    return spots


def _contexts_left(idle: Idle) -> tuple[str, ...]:
    return tuple(
        f"{count:+,} {kind} contexts pushed and not popped at idle"
        for kind, count in sorted(idle.contexts.items())
        if count
    )


def judge_run(
    subjects: Mapping[str, Finding], controls: Mapping[str, Finding], idle: Idle, spots: Sequence[str] = ()
) -> Finding:
    """Return the verdict on the whole run: the first that applies.

    Args:
        subjects: the findings on the strategies that must hold.
        controls: the findings on the strategies that must be caught.
        idle: what the server had left afterwards. Contexts belong to no one
            strategy: any that is left makes the run a leak.
        spots: what the controls together did not show, see :func:`blind_spots`.

    """
    if not subjects:
        return Finding(Verdict.INCONCLUSIVE, ("there was no strategy to prove",))
    if reasons := _reasons(subjects, Verdict.CROSS_TALK):
        return Finding(Verdict.CROSS_TALK, reasons)
    if reasons := _reasons(subjects, Verdict.LEAK) + _contexts_left(idle):
        return Finding(Verdict.LEAK, reasons)
    uncaught = [name for name, finding in controls.items() if finding.verdict is not Verdict.CROSS_TALK]
    if not controls:
        return Finding(Verdict.BLIND, ("there was no control to catch",))
    if uncaught:
        return Finding(
            Verdict.BLIND,
            tuple(
                f"{name}, known to be broken, went uncaught: {'; '.join(controls[name].reasons)}"
                for name in uncaught
            ),
        )
    reasons = _reasons(subjects, Verdict.BLIND) + _reasons(subjects, Verdict.INCONCLUSIVE)
    if idle.unknown is not None:
        reasons += (f"what is left at idle is not known: {idle.unknown}",)
    if reasons:
        return Finding(Verdict.INCONCLUSIVE, reasons)
    if spots:  # last, because a run without overlap has them too, and that is the better reason
        return Finding(Verdict.BLIND, tuple(spots))
    return Finding(Verdict.ISOLATED, _reasons(subjects, Verdict.ISOLATED))


def _reasons(findings: Mapping[str, Finding], verdict: Verdict) -> tuple[str, ...]:
    return tuple(
        f"{name}: {reason}"
        for name, finding in findings.items()
        if finding.verdict is verdict
        for reason in finding.reasons
    )
