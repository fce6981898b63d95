"""What has to be measured before it can be told: how late the event loop is, how often greenlets switch.

Rule: measuring costs something, so it goes on only while somebody asks. It
needs no greenlet, keeps no process alive, and ends by itself. Imports only
`greenlane.ops.tracing` of ours.
"""

from collections import deque
from contextlib import ExitStack
from time import monotonic
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from gevent.hub import Hub, get_hub

from greenlane.ops.tracing import watch_switches

TICK: Final = 0.02
"""Seconds between two looks at the clock: a loop that is blocked for longer is noticed for certain."""

REMEMBERED: Final = 1.0
"""Seconds that the worst delay is taken from. The loop's own slowness makes it longer."""

SLICE: Final = 0.05
"""Seconds of each second in which switches are counted: that costs every switch some half a microsecond."""

UNASKED: Final = 90.0
"""Seconds after the last question when measuring ends. Prometheus asks once a minute by default."""


class Measured(NamedTuple):
    """What a meter has measured.

    Attributes:
        loop_delay: how late a timer of the event loop fired, in seconds: the worst of the last second.
            None when none has fired yet.
        switches_per_second: how often this thread's greenlets switched. None when no slice is over yet.

    """

    loop_delay: float | None
    switches_per_second: float | None


class Meter:
    """Measures one thread's event loop, from the first question until some time after the last.

    It runs in the hub, on a timer that does not count: the loop ends as if it were not there.
    """

    def __init__(self) -> None:
        self._timer: Any = None
        self._due = 0.0
        self._ends = 0.0
        self._delays: deque[float] = deque(maxlen=round(REMEMBERED / TICK))
        self._switches = 0
        self._rate: float | None = None
        self._slice = ExitStack()
        self._slicing = False
        self._turned = 0.0

    @property
    def running(self) -> bool:
        """Whether it measures now."""
        return self._timer is not None

    def ask(self) -> Measured:
        """Tell what is measured, and go on measuring for a while. To be called in the meter's own thread."""
        self._ends = monotonic() + UNASKED
        if self._timer is None:
            self._start()
        return Measured(max(self._delays, default=None), self._rate)

    def stop(self) -> None:
        """End measuring, and forget what was measured: it would be told as if it were new."""
        if self._timer is not None:
            self._timer.close()
            self._timer = None
        self._slice.close()
        self._slicing = False
        self._delays.clear()
        self._rate = None

    def _start(self) -> None:
        self._timer = get_hub().loop.timer(TICK, TICK, ref=False)
        self._due = monotonic() + TICK
        # The loop's own idea of the time is as old as its last turn.
        self._timer.start(self._tick, update=True)
        self._begin_slice()

    def _tick(self) -> None:
        now = monotonic()
        if now > self._ends:
            self.stop()
            return
        self._delays.append(max(0.0, now - self._due))
        self._due = now + TICK
        # From now on and not from when it was due: a block of 1 s is one late timer, not fifty.
        self._timer.again(self._tick, update=True)
        if self._slicing:
            if now - self._turned >= SLICE:
                self._end_slice(now)
        elif now - self._turned >= 1 - SLICE:
            self._begin_slice()

    def _begin_slice(self) -> None:
        self._switches = 0
        self._slicing = True
        self._slice.enter_context(watch_switches(self._switched))
        self._turned = monotonic()

    def _end_slice(self, now: float) -> None:
        self._slicing = False
        self._slice.close()
        self._rate = self._switches / (now - self._turned)
        self._turned = now

    def _switched(self, _origin: object, _target: object) -> None:
        self._switches += 1


_meters: "WeakKeyDictionary[Hub, Meter]" = WeakKeyDictionary()


def meter() -> Meter:
    """Return the meter of the current thread's event loop: one, however many ask."""
    hub = get_hub()
    found = _meters.get(hub)
    if found is None:
        found = _meters[hub] = Meter()
    return found
