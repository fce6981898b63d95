"""A tally: what one cell's requests came to, in little more than counters.

Tallies add up, in any order and grouping, and go through JSON: a worker of Locust
sends its own to the master.
"""

from bisect import insort
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from crosstalk.checker.evidence import Sample, Victim, Victims
from crosstalk.checker.kinds import Check, Kind
from crosstalk.checker.records import Probe
from crosstalk.checker.rules import RULES, Judgement, Rules, foreign_values
from crosstalk.checker.witness import Anomaly, Party, Witness, anomalies
from crosstalk.reply import Reply

EXAMPLES = 25
"""Anomalies kept for each kind, those that take the fewest steps to tell."""

REASONS = 1_000
"""Different reasons of failures that are kept apart; a server may give each request one of its own."""


@dataclass(slots=True)
class Tally:
    """What one cell's requests came to.

    Attributes:
        requests: complete, valid 200 replies.
        failed: requests without one that were not doomed, or did not end as announced.
        failures: why, and how often.
        doomed: requests that ended badly as they had announced: not judged.
        repeated: requests whose nonce another request had before.
        checks: how many of each judgement.
        met: requests that met something of each kind.
        cross_talk: requests with a check foreign or torn, or stale.
        overlapped: requests between whose own steps another probe acted.
        switches: how often that was, over all requests.
        peak_in_flight: the most requests that the server had in flight.
        threads: the native threads that served them, as (process, thread).
        examples: anomalies for a witness, the cheapest of each kind.
        writers: the requests that wrote the values in the examples, as far as known, by nonce.
        victims: those who read foreign values, in their order on each channel.
        overwritten: what requests wrote that read another's value throughout.
        read_by_others: values that were read by others than their writers.

    """

    requests: int = 0
    failed: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    doomed: int = 0
    repeated: int = 0
    checks: Counter[Check] = field(default_factory=Counter)
    met: Counter[Kind] = field(default_factory=Counter)
    cross_talk: int = 0
    overlapped: int = 0
    switches: int = 0
    peak_in_flight: int = 0
    threads: set[tuple[str, int]] = field(default_factory=set)
    examples: dict[Kind, list[Anomaly]] = field(default_factory=dict)
    writers: dict[str, Party] = field(default_factory=dict)
    victims: Victims = field(default_factory=Victims)
    overwritten: Sample = field(default_factory=Sample)
    read_by_others: Sample = field(default_factory=Sample)

    @property
    def stale(self) -> int:
        """Requests that found something before they wrote."""
        return self.met[Kind.STALE]

    @property
    def wanted(self) -> set[str]:
        """The values in the examples whose writers are not known yet."""
        values = {each.value for examples in self.examples.values() for each in examples}
        return {value for value in values if value is not None and value not in self.writers}

    def anomalies(self, rules: Rules = RULES) -> Counter[Kind]:
        """Return how many requests met something of each kind."""
        return self.met + Counter({kind: rule(self) for kind, rule in rules.cell.items()})

    def witness(self, kind: Kind | None = None) -> Witness | None:
        """Return the example that tells the most in the fewest steps, of one kind or of them all."""
        witnesses = [
            Witness(each, self.writers.get(each.value) if each.value is not None else None)
            for examples in ([self.examples.get(kind, [])] if kind else self.examples.values())
            for each in examples
        ]
        return min(witnesses, key=lambda witness: witness.rank, default=None)

    def add_failure(self, reason: str, count: int = 1) -> None:
        """Count requests without a complete, valid 200 reply."""
        self.failed += count
        known = reason in self.failures or len(self.failures) < REASONS
        self.failures[reason if known else "other reasons"] += count

    def add(self, probe: Probe, reply: Reply, judgement: Judgement) -> bool:
        """Count a reply, and return whether the examples have changed by it."""
        self.requests += 1
        own = judgement.checks.count(Check.OWN)
        self.checks[Check.OWN] += own
        if own < len(judgement.checks):  # seldom, and slower
            self.checks.update(check for check in judgement.checks if check is not Check.OWN)
        self.cross_talk += judgement.cross_talk
        self.overlapped += reply.switches > 0
        self.switches += reply.switches
        self.peak_in_flight = max(self.peak_in_flight, reply.in_flight)
        self.threads.add((reply.process, reply.thread))
        if not judgement.cross_talk and Check.MISSING not in judgement.checks:
            return False
        if judgement.stale:
            self.met[Kind.STALE] += 1
        for check in {*judgement.checks} - {Check.OWN}:
            self.met[Kind(check.value)] += 1
        if judgement.cross_talk:
            self._add_evidence(probe, reply, judgement)
        kept = [self._keep(anomaly) for anomaly in anomalies(probe, judgement)]
        return any(kept)

    def _add_evidence(self, probe: Probe, reply: Reply, judgement: Judgement) -> None:
        readings = [
            (check, foreign_values(probe.nonce, checkpoint.read))
            for check, checkpoint in zip(judgement.checks, reply.checkpoints, strict=True)
            if check in (Check.FOREIGN, Check.TORN)
        ]
        for value in (value for _check, values in readings for value in values):
            self.read_by_others.add(value)
        for value in foreign_values(probe.nonce, reply.found):
            self.read_by_others.add(value)
        own = any(probe.nonce in checkpoint.read.values() for checkpoint in reply.checkpoints)
        if readings and not own:
            self.overwritten.add(probe.nonce)
        if foreign := [values[0] for check, values in readings if check is Check.FOREIGN]:
            channel, order = _place(probe, reply)
            if channel:
                self.victims.add(channel, [Victim(order, probe.nonce, foreign[0])])

    def _keep(self, anomaly: Anomaly) -> bool:
        examples = self.examples.setdefault(anomaly.kind, [])
        if len(examples) == EXAMPLES:
            if anomaly.rank >= examples[-1].rank:
                return False
            examples.pop()
        insort(examples, anomaly, key=lambda each: each.rank)
        return True

    def name_writer(self, writer: Party) -> None:
        """Note who wrote a value that is wanted."""
        self.writers[writer.nonce] = writer

    def forget_unwanted(self) -> None:
        """Drop the writers of values that are in no example any more."""
        values = {each.value for examples in self.examples.values() for each in examples}
        self.writers = {nonce: writer for nonce, writer in self.writers.items() if nonce in values}

    def merge(self, other: "Tally") -> None:
        """Add what ``other`` has counted, and leave it as it is."""
        self.requests += other.requests
        for reason, count in other.failures.items():
            self.add_failure(reason, count)
        self.doomed += other.doomed
        self.repeated += other.repeated
        self.checks.update(other.checks)
        self.met.update(other.met)
        self.cross_talk += other.cross_talk
        self.overlapped += other.overlapped
        self.switches += other.switches
        self.peak_in_flight = max(self.peak_in_flight, other.peak_in_flight)
        self.threads |= other.threads
        for examples in other.examples.values():
            for anomaly in examples:
                self._keep(anomaly)
        self.writers |= other.writers
        self.forget_unwanted()
        self.victims.merge(other.victims)
        self.overwritten.merge(other.overwritten)
        self.read_by_others.merge(other.read_by_others)

    def as_document(self) -> dict[str, Any]:
        """Return it as JSON can have it."""
        return {
            "requests": self.requests,
            "failures": dict(self.failures),
            "doomed": self.doomed,
            "repeated": self.repeated,
            "checks": {check.value: count for check, count in self.checks.items()},
            "met": {kind.value: count for kind, count in self.met.items()},
            "cross_talk": self.cross_talk,
            "overlapped": self.overlapped,
            "switches": self.switches,
            "peak_in_flight": self.peak_in_flight,
            "threads": sorted(self.threads),
            "examples": [each.as_document() for examples in self.examples.values() for each in examples],
            "writers": [_document(writer) for writer in self.writers.values()],
            "victims": self.victims.by_channel,
            "overwritten": _sample(self.overwritten),
            "read_by_others": _sample(self.read_by_others),
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Tally":
        """Read what :meth:`as_document` returned, and JSON made of it."""
        tally = cls(
            requests=document["requests"],
            doomed=document["doomed"],
            repeated=document["repeated"],
            checks=Counter({Check(check): count for check, count in document["checks"].items()}),
            met=Counter({Kind(kind): count for kind, count in document["met"].items()}),
            cross_talk=document["cross_talk"],
            overlapped=document["overlapped"],
            switches=document["switches"],
            peak_in_flight=document["peak_in_flight"],
            threads={(process, thread) for process, thread in document["threads"]},
            writers={each["nonce"]: Party(**each) for each in document["writers"]},
            overwritten=_sample_of(document["overwritten"]),
            read_by_others=_sample_of(document["read_by_others"]),
        )
        for reason, count in document["failures"].items():
            tally.add_failure(reason, count)
        for each in document["examples"]:
            tally._keep(Anomaly.from_document(each))
        for channel, victims in document["victims"].items():
            tally.victims.add(channel, _victims(victims))
        return tally


def _place(probe: Probe, reply: Reply) -> tuple[str, tuple[float, float]]:
    """Return the channel that a request's data came through, and its place in the order of those who used it.

    The server's own channel, where it names one, or else the client's connection: each worker
    numbers its own, and the nonce begins with the worker's prefix.
    """
    if reply.channel is not None:
        return f"{reply.channel} of {reply.process}", reply.wrote
    if probe.connection is not None:
        worker = probe.nonce.rpartition("u")[0]
        return f"connection {worker}{probe.connection}", (probe.start, probe.end)
    return "", (0.0, 0.0)


def _victims(documents: Iterable[Any]) -> list[Victim]:
    return [Victim((order[0], order[1]), nonce, value) for order, nonce, value in documents]


def _document(writer: Party) -> dict[str, Any]:
    return {name: getattr(writer, name) for name in Party.__slots__}


def _sample(sample: Sample) -> dict[str, Any]:
    return {"level": sample.level, "nonces": sorted(sample.nonces)}


def _sample_of(document: dict[str, Any]) -> Sample:
    return Sample(document["level"], set(document["nonces"]))
