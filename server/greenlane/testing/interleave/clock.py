"""Virtual time: a clock that only the explorer moves, and the ``time`` module reading it.

A sleep costs nothing, and the same order reads the same times in every run. The
functions of the ``time`` module are replaced wherever a module holds them, also
under a name of its own (``from time import monotonic``): the loops of ``queue``
and ``threading`` that wait for the rest of a timeout would otherwise never end.

Not covered: ``datetime.now()`` and its kin (methods of a type that cannot be
changed), the CPU clocks (``process_time``, ``thread_time``), and functions of the
``time`` module that were put into a default argument or an attribute of a class.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gevent.monkey import get_original

_NANO = 1_000_000_000

# Any moment will do, as long as it is the same each time: noon of 1 January 2030, UTC.
START = 1_893_499_200 * _NANO

# What counts from some moment in the past counts from a day before: a real one is not 0 either.
BOOT = START - 86_400 * _NANO

_native_ident: Callable[[], int] = get_original("threading", "get_ident")


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
        """Return the moment ``seconds`` from now; not in the past."""
        return self.now + max(0, round(seconds * _NANO))

    def _sleep(self, seconds: float) -> None:
        """Stand in for the native ``time.sleep``: it holds the whole thread, so nobody else gets a turn."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        self.now = self.after(seconds)

    def _functions(self) -> dict[str, Callable[..., Any]]:
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
        return functions

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let the ``time`` module read this clock in the current native thread; others keep the real one."""
        owner = _native_ident()
        pairs: list[tuple[Callable[..., Any], Callable[..., Any]]] = []
        for name, virtual in self._functions().items():
            real = getattr(time, name)
            pairs.append((real, _for_thread(owner, virtual, real)))
        try:
            _replace(dict(pairs))
            yield
        finally:
            # Everywhere again, because a module imported meanwhile took the virtual ones.
            _replace({virtual: real for real, virtual in pairs})


def _replace(functions: dict[Callable[..., Any], Callable[..., Any]]) -> None:
    """Replace functions, the keys, wherever a module holds them."""
    # There are many values, and not all have a hash; few are of these types. (Nor does
    # id() do: each call of it is an audit event.)
    types = {type(function) for function in functions}
    for module in list(sys.modules.values()):
        names = getattr(module, "__dict__", None)
        if not isinstance(names, dict) or names.get("__name__") == __name__:
            continue
        for name, value in list(names.items()):
            if type(value) in types and value in functions:
                names[name] = functions[value]


_gmtime, _localtime, _ctime, _asctime, _strftime = (
    time.gmtime,
    time.localtime,
    time.ctime,
    time.asctime,
    time.strftime,
)


def _for_thread(owner: int, virtual: Callable[..., Any], real: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``virtual`` for the native thread ``owner``, and ``real`` for all others."""

    def function(*args: Any) -> Any:
        return virtual(*args) if _native_ident() == owner else real(*args)

    return function
