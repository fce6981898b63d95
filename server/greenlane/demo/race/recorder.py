"""The recorder: what each request of a race did, and when its greenlet ran and when it was away.

It is told the steps by the probes themselves, and the switches by greenlet's own tracing.
It judges nothing, and knows nothing of what a request ought to read.

Must not import the site or the views.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import get_native_id
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from greenlet import getcurrent, greenlet
from werkzeug.wsgi import ClosingIterator

from greenlane.demo.keeper import Reading, greenlet_name
from greenlane.demo.probe import Probe, Watch
from greenlane.ops.tracing import watch_switches

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Switches that are recorded of one lane. A request makes a few at each step; a bound
#: all the same, because a lane may be a stream that its client reads slowly.
MOST_SWITCHES: Final = 400

Event = tuple[Any, ...]
"""Milliseconds since the race began, what happened, and what more there is to say of it."""


@dataclass(slots=True)
class Lane:
    """One request's way through the server.

    Attributes:
        id: its place in the order in which requests reached the server, from 1.
        cell: the cell that it was sent to, ``hazard/strategy``.
        nonce: what it wrote.
        greenlet: the name of what served it.
        keeps: the name of the place where its data was kept, once it has written; None where it has none.
        events: in their order.
        reads: how many checkpoints it has passed.
        switches: how many switches are among the events.

    """

    id: int
    cell: str
    nonce: str
    greenlet: str
    keeps: str | None = None
    events: list[Event] = field(default_factory=list)
    reads: int = 0
    switches: int = 0

    def as_document(self) -> dict[str, Any]:
        """Return it as the page gets it."""
        return {
            "id": self.id,
            "cell": self.cell,
            "nonce": self.nonce,
            "greenlet": self.greenlet,
            "keeps": self.keeps,
            "events": self.events,
        }

    def at(self, kind: str) -> list[float]:
        """Return when all the events of one kind happened."""
        return [event[0] for event in self.events if event[1] == kind]


class Recorder(Watch):
    """Records one race.

    Args:
        hazard: whose cells are raced: a probe knows its strategy alone.

    Attributes:
        lanes: by nonce.
        threads: the native threads that acted.

    """

    def __init__(self, hazard: str) -> None:
        self.lanes: dict[str, Lane] = {}
        self.threads: set[int] = set()
        self._hazard = hazard
        self._began = 0.0
        self._running: dict[greenlet, Lane] = {}
        self._writes: dict[str, list[tuple[float, Lane]]] = {}

    @contextmanager
    def recording(self) -> Iterator["Recorder"]:
        """Record the switches as long as the block lasts, in the current native thread."""
        with watch_switches(self._switched):
            yield self

    def start(self) -> None:
        """Begin to count the time: the first request is about to come."""
        self._began = monotonic()

    def elapsed(self) -> float:
        """Return the seconds since the race began; 0 before."""
        return monotonic() - self._began if self._began else 0.0

    def following(self, app: "WSGIApplication") -> "WSGIApplication":
        """Wrap ``app`` so that a lane ends when its response is closed, or with the error instead."""

        def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
            try:
                response = app(environ, start_response)
            except BaseException:
                self._ended()
                raise
            return ClosingIterator(response, self._ended)

        return application

    def began(self, probe: Probe, found: Reading) -> None:
        """Open a lane, and record what it found."""
        current = getcurrent()
        lane = Lane(len(self.lanes) + 1, f"{self._hazard}/{probe.name}", probe.nonce, greenlet_name(current))
        self.lanes[probe.nonce] = lane
        # A request within a request has a lane of its own; the switches are the outer one's.
        self._running.setdefault(current, lane)
        self.threads.add(get_native_id())
        lane.events.append((self._now(), "began", found))

    def wrote(self, probe: Probe, field: str) -> None:
        """Record that a field was written, and where."""
        lane, now = self.lanes[probe.nonce], self._now()
        lane.keeps = probe.keeper.lane()
        lane.events.append((now, "wrote", field))
        self._writes.setdefault(lane.cell, []).append((now, lane))

    def read(self, probe: Probe, read: Reading, error: str | None) -> None:
        """Record what was read at a checkpoint."""
        lane = self.lanes[probe.nonce]
        lane.reads += 1
        lane.events.append((self._now(), "read", lane.reads, read, error))

    def writers(self, cell: str, after: float, before: float) -> Iterator[Lane]:
        """Yield who wrote in ``cell`` between two times, in milliseconds, the latest first."""
        writes = self._writes.get(cell, [])
        first = bisect_right(writes, after, key=_when)
        last = bisect_left(writes, before, key=_when)
        yield from (lane for _at, lane in reversed(writes[first:last]))

    def _switched(self, origin: greenlet, target: greenlet) -> None:
        for lane, what in ((self._running.get(origin), "away"), (self._running.get(target), "back")):
            if lane is not None and lane.switches < MOST_SWITCHES:
                lane.switches += 1
                lane.events.append((self._now(), what))

    def _ended(self) -> None:
        lane = self._running.pop(getcurrent(), None)
        if lane is not None:
            lane.events.append((self._now(), "ended"))

    def _now(self) -> float:
        return math.floor(self.elapsed() * 1e6) / 1e3


def _when(write: tuple[float, Lane]) -> float:
    return write[0]
