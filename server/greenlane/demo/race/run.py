"""One race, from its arena to its last line.

When it is over, or nobody looks on any more, the load goes, and its arena.

The lines, as ``POST /race`` answers with them, each an object with a ``kind``::

    {"kind": "begin", "requests": how many of each cell,
     "cells": [{"key": "shared-object/local", "summary": why it holds or fails}]}
    {"kind": "control", "control": the key of the cell that is raced besides, or null}
    {"kind": "tick", "in_flight", FIGURES}
    {"kind": "request", "cell", "number", "nonce", "judged", "why", ... as crosstalk prints it,
     "lane": LANE, "story": STORY; both null where nothing was recorded, and of the control}
    {"kind": "lane", "lane": LANE: that no request brought, and a story needs}
    {"kind": "end", "seconds", "verdicts", as crosstalk prints it, FIGURES}
    {"kind": "error", "message": why there is no end}

    FIGURES: "elapsed": seconds, "finished": replies judged, "peak": most in flight, "native_threads"
    LANE: {"id", "cell", "nonce", "greenlet": its name, "keeps": the name of the place of its data, or null,
     "events": [EVENT, ...] in their order}
    EVENT: [milliseconds since the race began, what happened, ...]:
     [0.1, "began", what it found: {"first": null, "second": null}], [0.2, "wrote", "first"], [0.3, "away"],
     [0.4, "back"], [0.5, "read", number of the checkpoint from 1, {"first", "second", ...}, error or null],
     [0.6, "released"], [0.7, "ended"]
    STORY: {"lanes": [id, ...] with the reader's first,
     "checkpoint": the number of the one that it is about, or 0 for the look before writing,
     "words": [text, or the id of a lane in place of its name, ...]}

``begin`` is the first; ``control`` comes once, before the first ``request``. The lanes of every story have
come before the ``end``. ``end`` or ``error`` is the last. What crosstalk prints is in ``docs/proof.md``.

Must not import the site or the views.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

from greenlane.demo.hazards.hazard import Hazard
from greenlane.demo.race.arena import Arena
from greenlane.demo.race.load import ENDING, Line, Load
from greenlane.demo.race.recorder import Lane, Recorder
from greenlane.demo.race.results import Results
from greenlane.demo.race.settings import Settings
from greenlane.demo.race.story import tell
from greenlane.demo.strategies import STRATEGIES
from greenlane.ops import Ops

#: Seconds between two ticks. Whoever has gone is noticed at the second one that cannot be sent.
TICK: Final = 0.2

#: Seconds after which a race ends in any case.
LONGEST: Final = 150.0


class Race:
    """One race, as the lines that whoever started it gets.

    Args:
        settings: what to race.
        ops: the demonstration's: knows whether the server stops, and counts the race's requests too.

    Attributes:
        results: what has come of it so far.

    """

    def __init__(self, settings: Settings, ops: Ops) -> None:
        self.results = Results(settings)
        self._settings = settings
        self._ops = ops
        self._recorder = Recorder(settings.hazard.name)
        self._arena = Arena(settings, self._recorder, ops)
        self._shown: set[int] = set()
        self._wanted: dict[int, Lane] = {}
        self._deadline = monotonic() + LONGEST
        self._ticked = 0.0
        self._finished = 0

    def lines(self) -> Generator[Line, None, None]:
        """Run it, and yield the lines; to close the iterator ends the race."""
        yield self._begin()
        try:
            with (
                self._recorder.recording(),
                self._arena.served() as address,
                _loaded(address, self._settings) as load,
            ):
                yield from self._followed(load)
        except OSError as error:  # no more processes, or descriptors
            yield _error(f"The load test could not be started: {error.strerror}.")

    def _followed(self, load: Load) -> Iterator[Line]:
        while (line := load.line(TICK)) is not None:
            if line:
                yield from self._passed_on(line)
                if line["kind"] in ("end", "error"):
                    return
            if reason := self._reason_to_stop():
                load.end()  # at once: it has no reason to end by itself
                yield _error(reason)
                return
            yield from self._tick_if_due()
        yield _error(f"The load test ended without a verdict. {load.last_words()}".rstrip())

    def _begin(self) -> Line:
        settings = self._settings
        return {
            "kind": "begin",
            "requests": settings.requests,
            "cells": [{"key": key, "summary": _summary(settings.hazard, key)} for key in settings.cells],
        }

    def _passed_on(self, line: Line) -> Iterator[Line]:
        match line["kind"]:
            case "begin":
                self._recorder.start()
                yield {"kind": "control", "control": line["control"]}
            case "request":
                yield self._told(line)
            case "end":
                yield from ({"kind": "lane", "lane": lane.as_document()} for lane in self._wanted.values())
                self.results.end = line
                yield line | self._figures()
            case _:
                yield line

    def _told(self, line: Line) -> Line:
        """Add to a request's line what was recorded of it; of a control's, the judgement is enough."""
        self._finished += 1
        lane = self._recorder.lane(line["nonce"]) if line["cell"] in self._settings.cells else None
        if lane is None:
            return line | {"lane": None, "story": None}
        story = tell(lane, line["judged"], self._recorder)
        self.results.add(line, story)
        self._shown.add(lane.id)
        self._wanted.pop(lane.id, None)
        self._wanted |= {other.id: other for other in story.lanes if other.id not in self._shown}
        return line | {"lane": lane.as_document(), "story": story.as_document()}

    def _tick_if_due(self) -> Iterator[Line]:
        if monotonic() - self._ticked >= TICK:
            self._ticked = monotonic()
            yield {"kind": "tick", "in_flight": self._arena.ops.in_flight, **self._figures()}

    def _figures(self) -> Line:
        return {
            "elapsed": round(self._recorder.elapsed(), 3),
            "finished": self._finished,
            "peak": self._arena.ops.peak_in_flight,
            "native_threads": len(self._recorder.threads),
        }

    def _reason_to_stop(self) -> str | None:
        if self._ops.draining:
            return "The server is stopping, and ended the race."
        if monotonic() > self._deadline:
            return f"The race was not over after {LONGEST:.0f} s, and was ended."
        return None


@contextmanager
def _loaded(host: str, settings: Settings) -> Iterator[Load]:
    load = Load(host, settings)
    try:
        yield load
    except BaseException:
        load.end()
        raise
    load.end(patience=ENDING)


def _summary(hazard: Hazard, key: str) -> str:
    """Return what is to be said of a cell before it is known how it fares."""
    summaries = {strategy.name: strategy.summary for strategy in STRATEGIES}
    summaries.update(hazard.variants())
    return summaries[key.partition("/")[2]]


def _error(message: str) -> Line:
    return {"kind": "error", "message": message}
