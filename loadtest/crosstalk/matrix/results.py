"""What came of a matrix: cell by cell, as it goes into the JSON report and comes back from it.

Made from a judged history alone, so that a saved one gives the same results as its run. Two
results add up: the cells of a later run replace those of an earlier one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from crosstalk.checker import Checked, Outcome, Party, Tally, Witness
from crosstalk.checker.statistics import clopper_pearson, rule_of_three
from crosstalk.matrix.listing import name_of, parse
from crosstalk.matrix.plan import PlannedCell, make_plan
from crosstalk.proof import environment
from crosstalk.text import printable, printable_all

SCHEMA = 1
"""The version of the JSON report; raised when a field changes its meaning or goes."""


OWN_SERVER = "its own"
"""The server's name in the settings where a matrix has started one."""


STACKS = ("request_stack", "app_stack")
"""The Locals that hold the App's contexts, as named in the metrics."""


class NotAMatrix(ValueError):  # noqa: N818 - the file is what is wrong
    """A file that is no report of a matrix, or one of another schema."""


@dataclass(frozen=True, slots=True)
class CellResult:
    """What came of one cell.

    Attributes:
        hazard: the hazard's name.
        strategy: the strategy's name, or ``broken`` or ``fixed``.
        expected: what the server says that it may be judged.
        outcome: what it was judged.
        reasons: what the judgement rests on.
        requests: complete, valid replies.
        failed: requests without one.
        doomed: requests that ended as they had announced.
        cross_talk: requests that met data that was not their own.
        rate: their share, and
        interval: the 95 % confidence interval of it (Clopper and Pearson's).
        at_most: where there were none: the rate that is ruled out at 95 % confidence, 3/N.
        anomalies: requests with one, by kind.
        peak_in_flight: the most requests that the server had in flight.
        overlapped: requests between whose own steps another acted.
        left: entries and contexts left at idle; None where they are not counted.
        witness: one worked example of what most met, as small as possible; None where there is none.
        measured: when its run was started, in ISO 8601.

    """

    hazard: str
    strategy: str
    expected: tuple[str, ...]
    outcome: str
    reasons: tuple[str, ...]
    requests: int
    failed: int
    doomed: int
    cross_talk: int
    rate: float
    interval: tuple[float, float]
    at_most: float | None
    anomalies: Mapping[str, int]
    peak_in_flight: int
    overlapped: int
    left: int | None
    witness: Mapping[str, Any] | None
    measured: str

    @property
    def key(self) -> str:
        """The cell's name in a history."""
        return f"{self.hazard}/{self.strategy}"

    @property
    def must_be_caught(self) -> bool:
        """Whether it is known to be broken."""
        return Outcome.ISOLATED.value not in self.expected

    @property
    def surprising(self) -> bool:
        """Whether it was judged otherwise than the server says."""
        return self.outcome not in self.expected


@dataclass(frozen=True, slots=True)
class Results:
    """What came of a matrix.

    Attributes:
        host: the server's address.
        seed: of the nonces and the draws.
        settings: what tells one measurement from another: the server, floor, users, hops and pause.
        environment: what it ran on, and the command.
        hazards: as the server listed them, by name.
        strategies: their names, in the server's order.
        cells: what was measured, by key.
        not_applicable: reasons, by key, for what was not.
        contexts: contexts that were pushed and not popped when all was over, by kind.
        entries: likewise, entries of Locals that no hazard has for itself, by the Local's name.
        unknown: why that could not be counted, where it could not.
        histories: the files that `crosstalk check` draws this from again, if they were kept.
        seconds: how long each part was loaded, by name.

    """

    host: str
    seed: int
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    hazards: Mapping[str, Mapping[str, Any]]
    strategies: tuple[str, ...]
    cells: Mapping[str, CellResult]
    not_applicable: Mapping[str, str]
    contexts: Mapping[str, int]
    entries: Mapping[str, int]
    unknown: tuple[str, ...]
    seconds: Mapping[str, float]
    histories: tuple[str, ...] = ()

    def on_top_of(self, earlier: "Results") -> "Results":
        """Return these results with the cells of an earlier run that were not measured again.

        Contexts and entries belong to no one cell: those that the earlier run left stay, and so does
        what it could not count.

        Raises:
            NotAMatrix: the earlier run was made otherwise, so that the two are no one matrix.

        """
        if reason := self.differs(earlier):
            raise NotAMatrix(reason)
        kept = {key: cell for key, cell in earlier.cells.items() if key not in self.not_applicable}
        merged = kept | dict(self.cells)
        order = [
            f"{name}/{strategy}"
            for name, hazard in self.hazards.items()
            for strategy in (*self.strategies, *hazard["variants"])
        ]
        return replace(
            self,
            cells={key: merged[key] for key in order if key in merged},
            contexts=_sum(earlier.contexts, self.contexts),
            entries=_sum(earlier.entries, self.entries),
            unknown=(*earlier.unknown, *self.unknown),
            seconds={**earlier.seconds, **self.seconds},
            histories=(*earlier.histories, *self.histories),
        )

    def differs(self, earlier: "Results") -> str | None:
        """Say in what an earlier run was made otherwise, if it was."""
        if earlier.settings != self.settings:
            return (
                f"it was measured with {listed(earlier.settings)}, and this run has {listed(self.settings)}"
            )
        if earlier.hazards != self.hazards or earlier.strategies != self.strategies:
            return "its server listed other hazards or strategies"
        return None

    def as_document(self) -> dict[str, Any]:
        """Return what :meth:`from_document` takes: JSON's types alone."""
        document = asdict(self)
        document["cells"] = [asdict(cell) for cell in self.cells.values()]
        return {"schema": SCHEMA, **document}

    @classmethod
    def from_document(cls, document: Any) -> "Results":
        """Read what :meth:`as_document` has returned, or JSON made of that.

        Raises:
            NotAMatrix: it is nothing of the kind, or has another schema.

        """
        try:
            document = printable_all(document)
            if document["schema"] != SCHEMA:
                raise NotAMatrix(f"its schema is {document['schema']!r}, and not {SCHEMA}")
            values = {name: document[name] for name in cls.__dataclass_fields__}
            cells = [
                CellResult(**{name: each[name] for name in CellResult.__dataclass_fields__})
                for each in values["cells"]
            ]
            values["cells"] = {cell.key: cell for cell in cells}
            for name in ("strategies", "unknown", "histories"):
                values[name] = tuple(values[name])
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise NotAMatrix(f"it lacks {error}") from None


def header_settings(
    settings: Mapping[str, Any], host: str, listing: Mapping[str, Any], strategies: Iterable[str]
) -> dict[str, Any]:
    """Return what a history's header has to hold for :func:`make`."""
    return {
        "host": host,
        "environment": environment(),
        "matrix": dict(settings),
        "hazards": listing["hazards"],
        "strategies": list(strategies),
    }


def is_of_matrix(checked: Checked) -> bool:
    """Whether a history says that it is a matrix's."""
    return "hazards" in checked.header.settings


def make(checked: Checked) -> Results:
    """Make the results of a judged history.

    Raises:
        NotAMatrix: the history is not that of a matrix.

    """
    header = printable_all(checked.header.settings)
    try:
        listing, host = header["hazards"], header["host"]
        strategies = tuple(map(name_of, header["strategies"]))
        settings, made_on = dict(header["matrix"]), dict(header["environment"])
        given = None if settings["server"] == OWN_SERVER else str(settings["server"])
        plan = make_plan(parse({"hazards": listing}), host=given)
    except (KeyError, TypeError, ValueError) as error:
        raise NotAMatrix(f"the history is of something else: {error}") from None
    end = checked.end.facts if checked.end is not None else {}
    return Results(
        host=host,
        seed=checked.header.seed,
        settings=settings,
        environment={
            **made_on,
            "started": checked.header.started,
            "command": list(checked.header.command),
        },
        hazards={each["name"]: each for each in listing},
        strategies=strategies,
        cells={cell.key: _cell(checked, cell) for cell in plan.cells if cell.key in checked.header.cells},
        not_applicable={f"{hazard}/{name}": reason for (hazard, name), reason in plan.not_applicable.items()},
        contexts={kind: number for kind, number in checked.left.contexts.items() if number},
        entries={
            name: number
            for name, number in checked.left.entries.items()
            # Of a server that others use too, the stacks alone, which no idle connection keeps.
            if number and (settings["server"] == OWN_SERVER or name in STACKS)
        },
        unknown=() if checked.left.unknown is None else (printable(checked.left.unknown),),
        seconds=dict(end.get("seconds", {})),
    )


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in dict.fromkeys((*one, *other))}


def listed(settings: Mapping[str, Any]) -> str:
    """Return settings in a line."""
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _cell(checked: Checked, cell: PlannedCell) -> CellResult:
    tally, finding = checked.tallies[cell.key], checked.findings[cell.key]
    witness = _typical(tally)
    clean = not tally.cross_talk
    return CellResult(
        hazard=cell.hazard.name,
        strategy=cell.strategy,
        expected=tuple(outcome.value for outcome in Outcome if outcome in cell.expected),
        outcome=finding.outcome.value,
        reasons=printable_all(finding.reasons),
        requests=tally.requests,
        failed=tally.failed,
        doomed=tally.doomed,
        cross_talk=tally.cross_talk,
        rate=tally.cross_talk / tally.requests if tally.requests else 0.0,
        interval=clopper_pearson(tally.cross_talk, tally.requests) if tally.requests else (0.0, 1.0),
        at_most=rule_of_three(tally.requests) if clean else None,
        anomalies={kind.value: number for kind, number in tally.anomalies().items() if number},
        peak_in_flight=tally.peak_in_flight,
        overlapped=tally.overlapped,
        left=checked.left.left.get(cell.key),
        witness=None if witness is None else printable_all(_witness(witness)),
        measured=checked.header.started,
    )


def _typical(tally: Tally) -> Witness | None:
    """Return an example of what most requests met: of that, the one that takes the fewest steps to tell."""
    kinds = sorted(tally.examples, key=lambda kind: -tally.met[kind])
    witnesses = [witness for kind in kinds if (witness := tally.witness(kind)) is not None]
    # One in which a value crossed tells more than one in which half of the own was gone.
    return next((each for each in witnesses if each.anomaly.value is not None), next(iter(witnesses), None))


def _witness(witness: Witness) -> dict[str, Any]:
    anomaly = witness.anomaly
    known = [step.at for step in witness.timeline if step.at is not None]
    return {
        "kind": anomaly.kind.value,
        "checkpoint": anomaly.checkpoint,
        "after": anomaly.after,
        "read": dict(anomaly.read),
        "error": anomaly.error,
        "value": anomaly.value,
        "reader": _party(anomaly.reader),
        "writer": None if witness.writer is None else _party(witness.writer),
        "timeline": [
            {
                "ms": None if step.at is None else round((step.at - min(known)) * 1000, 3),
                "by": step.by,
                "does": step.does,
            }
            for step in witness.timeline
        ],
    }


def _party(party: Party) -> dict[str, Any]:
    return {"nonce": party.nonce, "user": party.user, "greenlet": party.greenlet, "pid": party.pid}
