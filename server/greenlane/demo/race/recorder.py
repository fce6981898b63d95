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
from itertools import count
from threading import get_native_id
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from greenlet import getcurrent, greenlet
from werkzeug.wsgi import ClosingIterator

from greenlane.demo.keeper import Reading
from greenlane.demo.naming import greenlet_name
from greenlane.demo.probe import Probe, Watch
from greenlane.ops.tracing import watch_switches

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Switches that are recorded of one lane. A request makes a few at each step; a bound
#: all the same, because a lane may be a stream that its client reads slowly.
MOST_SWITCHES: Final = 401  # odd, so that the last one is away

Event = tuple[Any, ...]
"""Milliseconds since the race began, what happened, and what more there is to say of it."""


@dataclass(slots=True)
class Lane:
    """One request's way through the server.

    Attributes:
        id: its place in the order in which requests reached the server, from 1.
        cell: the cell that it was sent to, ``hazard/strategy``.
        nonce: what it wrote.
        greenlet: the name of what served it: its address, which may be used again.
        served_by: what served it, by a number that is not used again.
        keeps: the name of the place where its data was kept, once it has written; None where it has none.
        events: in their order.
        reads: how many checkpoints it has passed.
        switches: how many switches are among the events.

    """

    id: int
    cell: str
    nonce: str
    greenlet: str
    served_by: int
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

    def at(self, kind: str, before: float = math.inf) -> list[float]:
        """Return when all the events of one kind happened, as far as that was before a time."""
        return [event[0] for event in self.events if event[1] == kind and event[0] < before]


Act = tuple[float, Lane]
"""When somebody did something, in milliseconds, and who."""


class Recorder(Watch):
    """Records one race.

    Args:
        hazard: whose cells are raced: a probe knows its strategy alone.

    Attributes:
        threads: the native threads that acted.

    """

    def __init__(self, hazard: str) -> None:
        self.threads: set[int] = set()
        self._hazard = hazard
        self._ids = count(1)
        self._lanes: dict[str, list[Lane]] = {}
        self._of_probes: WeakKeyDictionary[Probe, Lane] = WeakKeyDictionary()
        self._greenlets: WeakKeyDictionary[greenlet, int] = WeakKeyDictionary()
        self._numbers = count(1)
        self._began = 0.0
        self._serving: set[greenlet] = set()
        self._running: dict[greenlet, Lane] = {}
        self._writes: dict[str, list[Act]] = {}
        self._releases: dict[str, list[Act]] = {}

    @contextmanager
    def recording(self) -> Iterator["Recorder"]:
        """Record the switches as long as the block lasts, in the current native thread."""
        with watch_switches(self._switched):
            yield self

    def start(self) -> None:
        """Begin to count the time, unless a request has come already."""
        self._began = self._began or monotonic()

    def elapsed(self) -> float:
        """Return the seconds since the race began; 0 before."""
        return monotonic() - self._began if self._began else 0.0

    def following(self, app: "WSGIApplication") -> "WSGIApplication":
        """Wrap ``app`` so that a lane ends when its response is closed, or with the error instead."""

        def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
            current = getcurrent()
            self._serving.add(current)
            try:
                response = app(environ, start_response)
            except BaseException:
                self._ended(current)
                raise
            return ClosingIterator(response, lambda: self._ended(current))

        return application

    def began(self, probe: Probe, found: Reading) -> None:
        """Open a lane, and record what it found."""
        self.start()  # the first one may be here before the load's word that it begins
        current = getcurrent()
        if current not in self._greenlets:
            self._greenlets[current] = next(self._numbers)
        lane = Lane(
            next(self._ids),
            f"{self._hazard}/{probe.name}",
            probe.nonce,
            greenlet_name(current),
            self._greenlets[current],
        )
        self._of_probes[probe] = lane
        self._lanes.setdefault(probe.nonce, []).append(lane)
        # A request within a request has a lane of its own; the switches are the outer one's. A
        # greenlet that serves none, such as a pool's worker, may have failed with the lane before.
        if current not in self._serving or current not in self._running:
            self._running[current] = lane
        self.threads.add(get_native_id())
        lane.events.append((self._now(), "began", found))

    def wrote(self, probe: Probe, field: str) -> None:
        """Record that a field was written, and where."""
        lane, now = self._of_probes[probe], self._now()
        lane.keeps = probe.keeper.place()
        lane.events.append((now, "wrote", field))
        self._writes.setdefault(lane.cell, []).append((now, lane))

    def read(self, probe: Probe, read: Reading, error: str | None) -> None:
        """Record what was read at a checkpoint."""
        lane = self._of_probes[probe]
        lane.reads += 1
        in_a_line = None if error is None else error.partition("\n")[0]
        lane.events.append((self._now(), "read", lane.reads, read, in_a_line))

    def reported(self, probe: Probe) -> None:
        """End a lane that is not the request's greenlet's: that one's ends with the response."""
        current = getcurrent()
        if current not in self._serving and self._running.get(current) is self._of_probes[probe]:
            self._ended(current)

    def released(self, probe: Probe) -> None:
        """Record that a place was emptied."""
        lane = self._of_probes.get(probe)
        if lane is not None:  # it may have failed before it began
            lane.events.append((self._now(), "released"))
            self._releases.setdefault(lane.cell, []).append((lane.events[-1][0], lane))

    def lane(self, nonce: str) -> Lane | None:
        """Return the lane of the request that a nonce was given to; None when it never got so far."""
        return next(iter(self._lanes.get(nonce, ())), None)

    def writer(self, nonce: str, keeps: str | None, before: float) -> Lane | None:
        """Return who wrote a nonce last before a time, in milliseconds.

        Requests within requests may share one: then whoever wrote it in the place that is named.
        """
        acts = [
            (lane.keeps == keeps, at, lane.id, lane)
            for lane in self._lanes.get(nonce, ())
            for at in lane.at("wrote")
            if at <= before
        ]
        return max(acts)[-1] if acts else None

    def writers(self, cell: str, after: float, before: float) -> list[Lane]:
        """Return who wrote in ``cell`` between two times, in milliseconds, in order."""
        return _between(self._writes.get(cell, []), after, before)

    def releasers(self, cell: str, after: float, before: float) -> list[Lane]:
        """Return who released in ``cell`` between two times, in milliseconds, in order."""
        return _between(self._releases.get(cell, []), after, before)

    def _switched(self, origin: greenlet, target: greenlet) -> None:
        for lane, what in ((self._running.get(origin), "away"), (self._running.get(target), "back")):
            if lane is not None and lane.switches < MOST_SWITCHES:
                lane.switches += 1
                lane.events.append((self._now(), what))

    def _ended(self, greenlet: greenlet) -> None:
        self._serving.discard(greenlet)
        lane = self._running.pop(greenlet, None)
        if lane is not None:
            lane.events.append((self._now(), "ended"))

    def _now(self) -> float:
        return math.floor(self.elapsed() * 1e6) / 1e3


def _between(acts: list[Act], after: float, before: float) -> list[Lane]:
    first, last = bisect_right(acts, after, key=_when), bisect_left(acts, before, key=_when)
    return [lane for _at, lane in acts[first:last]]


def _when(act: Act) -> float:
    return act[0]
