"""Watching greenlets switch, by as many watchers as like, with the one tracer that a thread has.

Rule: `greenlet.settrace` keeps one tracer a thread, and it may be somebody
else's: it goes on being called, it is put back as it was, and one that was set
after ours is never touched. Needs greenlet only; imports nothing of ours.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import greenlet

Watcher = Callable[[greenlet.greenlet, greenlet.greenlet], object]
"""Called at each switch with the greenlet that was left and the one that runs now: on the latter."""

_Tracing = Callable[[Any, tuple[greenlet.greenlet, greenlet.greenlet]], object]
"""What greenlet calls: with `"switch"` or `"throw"`, and the two greenlets."""


@contextmanager
def watch_switches(watcher: Watcher) -> Iterator[None]:
    """Have `watcher` called at each switch of greenlets in this thread, until the `with` ends.

    The watcher runs in the middle of a switch: it must be quick, and must not
    switch itself. Tracing costs each switch some half a microsecond. Begin and end in
    the same thread. Several may watch at once, and end in any order.

    Args:
        watcher: what to call. See https://greenlet.readthedocs.io/en/latest/tracing.html.

    Raises:
        Exception: what the watcher raised, at the end of the `with`. It was not called after that;
            greenlet would have raised it in whichever greenlet was switched to.

    """
    tracer = greenlet.gettrace()
    if not isinstance(tracer, _Tracer):
        # Ours may be below it, if somebody set his own later. That one may call ours, or may not: so
        # a fresh one goes on top.
        tracer = _Tracer(tracer)
        greenlet.settrace(tracer)
    watch = _Watch(watcher)
    tracer.watches += (watch,)
    try:
        yield
    finally:
        tracer.watches = tuple(each for each in tracer.watches if each is not watch)
        tracer.retire_if_idle()
    if watch.error is not None:
        raise watch.error


class _Watch:
    """One watcher, and what it raised."""

    __slots__ = ("error", "watcher")

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher
        self.error: Exception | None = None


class _Tracer:
    """What greenlet calls: tells the watchers, then whoever traced before."""

    __slots__ = ("_former", "watches")

    def __init__(self, former: _Tracing | None) -> None:
        self._former = former
        self.watches: tuple[_Watch, ...] = ()

    def __call__(self, event: Any, pair: tuple[greenlet.greenlet, greenlet.greenlet]) -> None:
        for watch in self.watches:
            if watch.error is None:
                try:
                    watch.watcher(*pair)
                except Exception as error:
                    watch.error = error
        if not self.watches:
            # Somebody who set his tracer over this one has put it back, after its watchers were gone.
            self.retire_if_idle()
        if self._former is not None:
            self._former(event, pair)

    def retire_if_idle(self) -> None:
        """Put back the former tracer, unless somebody watches, or another tracer was set since."""
        former = self._former
        if not self.watches and greenlet.gettrace() is self:
            greenlet.settrace(former)
