"""A witness: one worked example of an anomaly, in as few steps as tell it.

Two requests, the value that crossed from one to the other, and in the server's time
what each of them did to the fields in which it crossed. Everything else is left out.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from crosstalk.checker.kinds import Check, Kind
from crosstalk.checker.records import Probe
from crosstalk.checker.rules import Judgement, foreign_values
from crosstalk.reply import Fields, Reply

ORDER = tuple(Kind)
"""Of two examples with equally many steps, the one of the earlier kind is told."""


@dataclass(slots=True)  # not frozen, since that takes four times as long to make
class Party:
    """A request that takes part in an anomaly, as its reader or as the writer of what was read.

    Attributes:
        nonce: what it wrote.
        user: who sent it.
        cell: what it is counted under.
        fate: how it said that it would end, if it was doomed.
        greenlet: what served it; None when it never replied.
        pid: the process that served it.
        wrote: when it wrote each field, by the field's name; empty when it never replied.

    """

    nonce: str
    user: int
    cell: str
    fate: str | None
    greenlet: int | None
    pid: int | None
    wrote: dict[str, float]


def party(probe: Probe) -> Party:
    """Return what a witness needs to know of ``probe``."""
    reply = probe.reply
    if reply is None:
        return Party(probe.nonce, probe.user, probe.cell, probe.fate, None, None, {})
    wrote = dict(zip(reply.found, reply.wrote, strict=False))
    return Party(probe.nonce, probe.user, probe.cell, probe.fate, reply.greenlet, reply.pid, wrote)


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One reading that was not the reader's own.

    Attributes:
        kind: what is wrong.
        reader: the request that read.
        checkpoint: its number, from 1; 0 is the look before writing.
        after: the way in which the reader had switched away; empty before writing.
        read: the fields as read.
        error: what reading raised, if it raised.
        value: the nonce that was read and is not the reader's; None when there was none.
        switched: when the reader switched away, in the server's seconds.
        at: when it read.

    """

    kind: Kind
    reader: Party
    checkpoint: int
    after: str
    read: Fields
    error: str | None
    value: str | None
    switched: float
    at: float

    @property
    def fields(self) -> tuple[str, ...]:
        """The written fields that are not as the reader wrote them; all of them where reading raised."""
        return tuple(
            name for name in self.reader.wrote if self.error is not None or self.read.get(name) == self.value
        )

    @property
    def cost(self) -> int:
        """How many steps it takes to tell it, once the writer is known."""
        return len(list(_steps(self, None)))

    @property
    def rank(self) -> tuple[bool, int, str, int, str]:
        """The order in which examples of one kind are kept: no two of a run have the same.

        One in which a value crossed comes before one in which something was only gone.
        """
        return self.value is None, self.cost, self.reader.nonce, self.checkpoint, self.value or ""

    def as_document(self) -> dict[str, Any]:
        """Return it as JSON can have it."""
        return asdict(self) | {"kind": self.kind.value, "read": dict(self.read)}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Anomaly":
        """Read what :meth:`as_document` returned."""
        return cls(**document | {"kind": Kind(document["kind"]), "reader": Party(**document["reader"])})


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a witness's timeline.

    Attributes:
        at: when, in the server's monotonic seconds; None where nobody knows.
        by: ``reader`` or ``writer``.
        does: what, for example ``wrote first``.

    """

    at: float | None
    by: str
    does: str


@dataclass(frozen=True, slots=True)
class Witness:
    """One worked example.

    Attributes:
        anomaly: what was read, and by whom.
        writer: the request that had written the value; None when no request that is
            known here did.

    """

    anomaly: Anomaly
    writer: Party | None

    @property
    def timeline(self) -> tuple[Step, ...]:
        """The steps in their order; those whose time nobody knows come first."""
        steps = _steps(self.anomaly, self.writer)
        return tuple(sorted(steps, key=lambda step: float("-inf") if step.at is None else step.at))

    @property
    def rank(self) -> tuple[bool, bool, bool, int, int, tuple[bool, int, str, int, str]]:
        """The order in which witnesses tell: the least tells the most.

        One whose writer is known comes first, then one in which at least a value crossed,
        then one with two users, then the one with the fewest steps.
        """
        anomaly, writer = self.anomaly, self.writer
        return (
            writer is None,
            anomaly.value is None,
            writer is not None and writer.user == anomaly.reader.user,
            anomaly.cost,
            ORDER.index(anomaly.kind),
            anomaly.rank,
        )


def _steps(anomaly: Anomaly, writer: Party | None) -> Iterator[Step]:
    """Yield the steps that matter: what happened to the fields that crossed, and the reading itself."""
    reader, fields = anomaly.reader, anomaly.fields
    if anomaly.checkpoint:
        yield from (Step(reader.wrote[name], "reader", f"wrote {name}") for name in fields)
        yield Step(anomaly.switched, "reader", f"switched by {anomaly.after}")
    if anomaly.value is not None:
        times = writer.wrote if writer is not None else {}
        yield from (Step(times.get(name), "writer", f"wrote {name}") for name in fields)
        if not fields:
            yield Step(None, "writer", "was sent")
    yield Step(anomaly.at, "reader", "read" if anomaly.checkpoint else "looked before writing")


def anomalies(probe: Probe, judgement: Judgement) -> Iterator[Anomaly]:
    """Yield the anomalies of one request that a witness can be made of: of each kind the cheapest."""
    reply = probe.reply
    if reply is None:
        return
    reader = party(probe)
    if judgement.stale:
        for value in foreign_values("", reply.found):
            yield Anomaly(Kind.STALE, reader, 0, "", reply.found, None, value, reply.began, reply.began)
    for kind, check in (
        (Kind.FOREIGN, Check.FOREIGN),
        (Kind.TORN, Check.TORN),
        (Kind.MISSING, Check.MISSING),
    ):
        found = [
            each
            for number, judged in enumerate(judgement.checks, 1)
            if judged is check
            for each in _at_checkpoint(kind, reader, reply, number)
        ]
        if found:
            yield min(found, key=lambda each: (each.value is None, each.cost, each.checkpoint))


def _at_checkpoint(kind: Kind, reader: Party, reply: Reply, number: int) -> Iterator[Anomaly]:
    checkpoint = reply.checkpoints[number - 1]
    switched = reply.checkpoints[number - 2].at if number > 1 else reply.wrote[-1]
    values: list[str | None] = list(foreign_values(reader.nonce, checkpoint.read))
    for value in values or [None]:
        yield Anomaly(
            kind,
            reader,
            number,
            checkpoint.after,
            checkpoint.read,
            checkpoint.error,
            value,
            switched,
            checkpoint.at,
        )
