"""The history of a run: every nonce that was issued, and what came of it.

Collects, counts, and answers who wrote a nonce. The verdict is drawn elsewhere.
Nothing here imports Locust, so that a history can be tested without one.
"""

import random
from collections import Counter
from dataclasses import dataclass, field

from crosstalk.oracle import Check, Judgement, foreign_values, judge
from crosstalk.reply import Fields, Reply

KEPT_ANOMALIES = 200
"""Anomalies kept for each strategy: enough to find one whose writer is known."""


@dataclass(slots=True)
class Probe:
    """One request: who sent it, and which greenlet served it once that is known."""

    nonce: str
    strategy: str
    user: int
    greenlet: int | None = None
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One reading that was not the reader's own.

    Attributes:
        kind: ``stale``, ``foreign`` or ``torn``.
        reader: the probe that read.
        checkpoint: its number, from 1; 0 is the look before writing.
        after: the way in which the reader had switched away.
        read: the fields as read.
        values: the nonces in them that are not the reader's.

    """

    kind: str
    reader: Probe
    checkpoint: int
    after: str
    read: Fields
    values: tuple[str, ...]


@dataclass(slots=True)
class Tally:
    """What one strategy's requests came to.

    Attributes:
        requests: complete, valid 200 replies.
        failed: requests without one.
        failures: why, and how often.
        checks: how many of each judgement.
        stale: requests that found something before they wrote.
        cross_talk: requests with a check foreign or torn, or stale.
        overlapped: requests between whose own steps another probe acted.
        switches: how often that was, over all requests.
        peak_in_flight: the most requests that the server had in flight.
        threads: the native threads that served them, as (process, thread).
        anomalies: the first few, for the witness.

    """

    requests: int = 0
    failed: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    checks: Counter[Check] = field(default_factory=Counter)
    stale: int = 0
    cross_talk: int = 0
    overlapped: int = 0
    switches: int = 0
    peak_in_flight: int = 0
    threads: set[tuple[int, int]] = field(default_factory=set)
    anomalies: list[Anomaly] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Witness:
    """One worked example: a reader, what it read, and the probe that had written it.

    ``writer`` is None when the value is a nonce that this run never issued.
    """

    anomaly: Anomaly
    value: str
    writer: Probe | None


class History:
    """Issues nonces and records replies.

    Args:
        seed: makes the nonces, and whatever else the users draw from
            :attr:`random`, repeatable. They are unguessable only as far as it is.

    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self.tallies: dict[str, Tally] = {}
        self._probes: dict[str, Probe] = {}

    def issue(self, strategy: str, user: int) -> Probe:
        """Return a probe with a fresh nonce: one for each request, never one for each user."""
        nonce = f"u{user}-{len(self._probes)}-{self.random.getrandbits(64):016x}"
        probe = self._probes[nonce] = Probe(nonce, strategy, user)
        return probe

    def tally(self, strategy: str) -> Tally:
        """Return the tally of ``strategy``, which may be empty."""
        return self.tallies.setdefault(strategy, Tally())

    def record(self, probe: Probe, reply: Reply) -> Judgement:
        """Judge the reply to ``probe``, count it, and return the judgement."""
        probe.greenlet = reply.greenlet
        probe.ended = True
        judgement = judge(probe.nonce, reply)
        tally = self.tally(probe.strategy)
        tally.requests += 1
        tally.checks.update(judgement.checks)
        tally.stale += judgement.stale
        tally.cross_talk += judgement.cross_talk
        tally.overlapped += reply.switches > 0
        tally.switches += reply.switches
        tally.peak_in_flight = max(tally.peak_in_flight, reply.in_flight)
        tally.threads.add((reply.pid, reply.thread))
        if judgement.cross_talk and len(tally.anomalies) < KEPT_ANOMALIES:
            tally.anomalies.append(_first_anomaly(probe, reply, judgement))
        return judgement

    def record_failure(self, probe: Probe, reason: str) -> None:
        """Count ``probe`` as failed: no complete, valid 200 reply."""
        probe.ended = True
        tally = self.tally(probe.strategy)
        tally.failed += 1
        tally.failures[reason] += 1

    def fail_unanswered(self, reason: str) -> None:
        """Count every probe that was sent and has come to no end as failed."""
        for probe in self._probes.values():
            if not probe.ended:
                self.record_failure(probe, reason)

    def writer(self, nonce: str) -> Probe | None:
        """Return the probe that ``nonce`` was issued to, if this run issued it."""
        return self._probes.get(nonce)

    def witness(self, strategy: str) -> Witness | None:
        """Return the most telling example of cross-talk under ``strategy``, if there is any.

        One whose writer is known, greenlet included, comes before one that is
        not; then another user's before the reader's own earlier one; then a foreign
        reading before a stale one before a torn one.
        """
        order = ("foreign", "stale", "torn")
        witnesses = [
            Witness(anomaly, value, self.writer(value))
            for anomaly in self.tally(strategy).anomalies
            for value in anomaly.values
        ]
        return min(
            witnesses,
            key=lambda each: (
                each.writer is None or each.writer.greenlet is None,
                each.writer is None or each.writer.user == each.anomaly.reader.user,
                order.index(each.anomaly.kind),
            ),
            default=None,
        )


def _first_anomaly(probe: Probe, reply: Reply, judgement: Judgement) -> Anomaly:
    for number, (checkpoint, check) in enumerate(zip(reply.checkpoints, judgement.checks, strict=True), 1):
        if check in (Check.FOREIGN, Check.TORN):
            values = foreign_values(probe.nonce, checkpoint.read)
            return Anomaly(check.value, probe, number, checkpoint.after, checkpoint.read, tuple(values))
    return Anomaly("stale", probe, 0, "", reply.found, tuple(foreign_values(probe.nonce, reply.found)))
