"""A race in lines of JSON, for the program that started it: one object each, written as soon as it is known.

Nothing here imports Locust.
"""

import json
import os
from collections.abc import Callable
from typing import Any

import gevent
from gevent.queue import Queue
from gevent.socket import wait_write

from crosstalk.checker import Check, Judgement, Kind, Probe
from crosstalk.checker.rules import foreign_values
from crosstalk.history import Request
from crosstalk.race.plan import Race
from crosstalk.race.spectator import Result, Settings, Spectator
from crosstalk.race.verdict import Raced
from crosstalk.text import printable

PIECE = 4096
"""Bytes that a pipe takes without waiting once it can take any: PIPE_BUF of Linux."""


class Lines(Spectator):
    """Writes each line as soon as whoever reads can take it, while the race goes on.

    Args:
        descriptor: where to.
        broken: is called once when nobody reads any more. What comes then is dropped.

    """

    def __init__(self, descriptor: int, broken: Callable[[], object]) -> None:
        self._descriptor = descriptor
        self._broken = broken
        self._lines: Queue[bytes | None] = Queue()
        self._is_read = True
        self._writer = gevent.spawn(self._write_all)

    def begin(self, settings: Settings, race: Race) -> None:
        """Write what will be raced."""
        self._add(
            kind="begin",
            cells=[entry.cell.key for entry in race.entries],
            control=None if race.control is None else race.control.cell.key,
            requests=settings.requests,
            at_once=settings.at_once,
            hops=settings.hops,
            pause_ms=settings.pause,
            seed=settings.seed,
        )

    def request(self, request: Request, probe: Probe, judgement: Judgement | None) -> None:
        """Write what came of a request."""
        reply = probe.reply if judgement is not None else None
        self._add(
            kind="request",
            cell=request.cell,
            number=request.number,
            nonce=request.nonce,
            connection=probe.connection,
            judged=judged(probe, judgement),
            why=None if judgement else printable(probe.failed or probe.fate or ""),
            checks=[check.value for check in judgement.checks] if judgement else [],
            stale=bool(judgement and judgement.stale),
            whose=whose(probe),
            in_flight=reply.in_flight if reply else 0,
            switches=reply.switches if reply else 0,
            thread=reply.thread if reply else None,
            process=reply.process if reply else None,
            ms=round((probe.end - probe.start) * 1000, 3),
        )

    def end(self, result: Result) -> None:
        """Write the verdicts."""
        verdicts = {key: _verdict(raced) for key, raced in result.raced.items()}
        self._add(kind="end", seconds=result.seconds, verdicts=verdicts)

    def error(self, message: str) -> None:
        """Write why there is no race."""
        self._add(kind="error", message=printable(message))

    def close(self) -> None:
        """Wait until all is written."""
        self._lines.put(None)
        self._writer.join()

    def _add(self, **document: Any) -> None:
        if self._is_read:
            self._lines.put(json.dumps(document).encode() + b"\n")

    def _write_all(self) -> None:
        try:
            while (line := self._lines.get()) is not None:
                while line:
                    # A write that had to wait would stop every greenlet, and the handlers of signals.
                    wait_write(self._descriptor)
                    line = line[os.write(self._descriptor, line[:PIECE]) :]
        except OSError:
            self._is_read = False
            self._broken()


def judged(probe: Probe, judgement: Judgement | None) -> str:
    """Say in a word what came of a request: the worst of what it met."""
    if judgement is None:
        return "failed" if probe.failed is not None else "doomed"
    worst = [check.value for check in (Check.FOREIGN, Check.TORN) if check in judgement.checks]
    if judgement.stale:
        worst.append(Kind.STALE.value)
    if Check.MISSING in judgement.checks:
        worst.append(Check.MISSING.value)
    return next(iter(worst), Check.OWN.value)


def whose(probe: Probe) -> list[str]:
    """Return the nonces that a request read and that are not its own, in order, each once."""
    if probe.reply is None:
        return []
    readings = [probe.reply.found, *(checkpoint.read for checkpoint in probe.reply.checkpoints)]
    return list(dict.fromkeys(value for read in readings for value in foreign_values(probe.nonce, read)))


def _verdict(raced: Raced) -> dict[str, Any]:
    tally = raced.tally
    return {
        "verdict": raced.verdict.value,
        "outcome": raced.outcome.value,
        "reasons": [printable(reason) for reason in raced.reasons],
        "requests": tally.requests,
        "cross_talk": tally.cross_talk,
        "failed": tally.failed,
        "doomed": tally.doomed,
        "checks": {check.value: tally.checks[check] for check in Check},
        "stale": tally.stale,
        "missing": tally.met[Kind.MISSING],
        "peak_in_flight": tally.peak_in_flight,
        "threads": len(tally.threads),
        "processes": len({process for process, _thread in tally.threads}),
        "overlapped": tally.overlapped,
        "control": raced.entry.is_control,
        "caught": raced.caught,
    }
