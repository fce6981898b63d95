"""Virtual time: a clock that only the explorer moves, and the ``time`` module reading it.

A sleep costs nothing, and the same order reads the same times in every run. All
of the ``time`` module must agree with the loop: the loops of ``queue`` and
``threading`` that wait for the rest of a timeout would otherwise never end.

Not covered: ``datetime.now()`` and its kin (methods of a type that cannot be
changed), the CPU clocks (``process_time``, ``thread_time``), and functions of the
``time`` module that were put into a default argument or an attribute of a class.
"""

import time
from collections.abc import Callable
from typing import Any

from gevent.monkey import get_original

from greenlane.testing.interleave.swap import Swaps

_NANO = 1_000_000_000

# Any moment will do, as long as it is the same each time: noon of 1 January 2030, UTC.
START = 1_893_499_200 * _NANO

# What waits for ever, waits three hundred years.
_FOREVER = 1e10

# What counts from some moment in the past counts from a day before: a real one is not 0 either.
BOOT = START - 86_400 * _NANO


class Clock:
    """The time of a program, in whole nanoseconds, so that equal deadlines are equal.

    Attributes:
        now: nanoseconds since the epoch.

    """

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = START

    def reset(self) -> None:
        """Go back to the start."""
        self.now = START

    def after(self, seconds: float) -> int:
        """Return the moment ``seconds`` from now; not in the past, and after any wait at all a later one."""
        if seconds <= 0:
            return self.now
        # What is left of a timeout, as a loop computes it from two readings of the clock, may be
        # less than half a nanosecond: were that no time, the loop would never end.
        return self.now + max(1, round(min(seconds, _FOREVER) * _NANO))

    def _sleep(self, seconds: float) -> None:
        """Stand in for the native ``time.sleep``: it holds the whole thread, so nobody else gets a turn."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        self.now = self.after(seconds)

    def swaps(self) -> Swaps:
        """Return what stands in for each function of the ``time`` module."""

        def seconds() -> float:
            return self.now / _NANO

        def uptime() -> float:
            return (self.now - BOOT) / _NANO

        def now(moment: float | None) -> float:
            return seconds() if moment is None else moment

        functions: dict[str, Callable[..., Any]] = {
            "time": seconds,
            "time_ns": lambda: self.now,
            "monotonic": uptime,
            "monotonic_ns": lambda: self.now - BOOT,
            "perf_counter": uptime,
            "perf_counter_ns": lambda: self.now - BOOT,
            "gmtime": lambda moment=None: _gmtime(now(moment)),
            "localtime": lambda moment=None: _localtime(now(moment)),
            "ctime": lambda moment=None: _ctime(now(moment)),
            "asctime": lambda parts=None: _asctime(parts or _localtime(seconds())),
            "strftime": lambda form, parts=None: _strftime(form, parts or _localtime(seconds())),
        }
        if time.sleep is get_original("time", "sleep"):
            # A patched one is gevent's, and asks the loop for a timer.
            functions["sleep"] = self._sleep
        return {getattr(time, name): standin for name, standin in functions.items()}


_gmtime, _localtime, _ctime, _asctime, _strftime = (
    time.gmtime,
    time.localtime,
    time.ctime,
    time.asctime,
    time.strftime,
)
