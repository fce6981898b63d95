"""Workers that certainly overlap: on native threads, or on greenlets of one native thread.

Each worker is called with its number and with ``meet``, which returns when all of
them have called it. Nobody reads after ``meet()`` before everybody has written: the
overlap comes from this and never from a sleep.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

import gevent
from gevent.event import Event
from gevent.monkey import get_original
from gevent.threadpool import ThreadPool

if TYPE_CHECKING:
    from _thread import LockType as _NativeLock

T = TypeVar("T")

Meet: TypeAlias = Callable[[], None]
Work: TypeAlias = Callable[[int, Meet], T]

PATIENCE = 10.0
"""Seconds that a worker waits for the others before it gives up."""

_new_lock = get_original("_thread", "allocate_lock")
_start_thread = get_original("_thread", "start_new_thread")


class _Meeting(Protocol):
    def meet(self) -> None:
        """Wait until all have come."""

    def open(self) -> None:
        """Wait for nobody any more: somebody will not come."""


class _GreenletMeeting:
    def __init__(self, expected: int) -> None:
        self._missing = expected
        self._complete = Event()

    def meet(self) -> None:
        self._missing -= 1
        if self._missing <= 0:
            self.open()
            gevent.sleep(0)  # they go on in the order in which they came
        elif not self._complete.wait(PATIENCE):
            raise TimeoutError("the other workers did not come")

    def open(self) -> None:
        self._complete.set()


class _NativeMeeting:
    """Of native locks, each of which one worker waits for: gevent's events are for greenlets."""

    def __init__(self, expected: int) -> None:
        self._missing = expected
        self._waiting: list[_NativeLock] = []
        self._guard: _NativeLock = _new_lock()

    def meet(self) -> None:
        own: _NativeLock = _new_lock()
        own.acquire()
        with self._guard:
            self._missing -= 1
            self._waiting.append(own)
            complete = self._missing <= 0
        if complete:
            self.open()
        if not own.acquire(timeout=PATIENCE):
            raise TimeoutError("the other workers did not come")

    def open(self) -> None:
        with self._guard:
            self._missing = 0
            waiting, self._waiting = self._waiting, []
        for lock in waiting:
            lock.release()


def in_greenlets(count: int, work: Work[T]) -> list[T]:
    """Run ``work(0, meet)`` to ``work(count - 1, meet)`` at once, each on a greenlet of its own.

    Returns:
        What each returned, by number. They start in that order too.

    Raises:
        TimeoutError: somebody did not come to the meeting.
        Exception: the first error of a worker.

    """
    meeting = _GreenletMeeting(count)
    greenlets = [
        gevent.spawn(_Outcome, work, number, meeting)
        for number in range(count)
    ]
    for number, greenlet in enumerate(greenlets):
        greenlet.name = f"worker {number}"
    try:
        return _values([greenlet.get() for greenlet in greenlets])
    finally:
        gevent.killall(greenlets)


def in_threads(count: int, work: Work[T]) -> list[T]:
    """Like :func:`in_greenlets`, on native threads: in which order they start is not known.

    Raises:
        TimeoutError: somebody did not come to the meeting.
        Exception: the first error of a worker.

    """
    meeting = _NativeMeeting(count)
    pool = ThreadPool(count)
    try:
        results: list[Any] = [
            pool.spawn(_Outcome, work, number, meeting)
            for number in range(count)
        ]
        outcomes: list[_Outcome[T]] = [result.get() for result in results]
        return _values(outcomes)
    finally:
        meeting.open()
        pool.kill()


def in_thread(work: Callable[[], T]) -> T:
    """Run ``work`` to its end on a new native thread, which ends with it.

    Raises:
        Exception: what ``work`` raises.

    """
    outcomes: list[_Outcome[T]] = []
    ended: _NativeLock = _new_lock()
    ended.acquire()

    def run() -> None:
        try:
            outcomes.append(
                _Outcome(lambda number, meet: work(), 0, _NativeMeeting(1))
            )
        finally:
            ended.release()

    _start_thread(run, ())
    ended.acquire()
    return _values(outcomes)[0]


class _Outcome(Generic[T]):
    """What a worker returned or raised. Kept and not raised, because gevent would print the traceback."""

    def __init__(
        self, work: Work[T], number: int, meeting: _Meeting
    ) -> None:
        self.error: Exception | None = None
        try:
            self.value = work(number, meeting.meet)
        except Exception as error:
            self.error = error
            meeting.open()


def _values(outcomes: Iterable[_Outcome[T]]) -> list[T]:
    outcomes = list(outcomes)
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    return [outcome.value for outcome in outcomes]
