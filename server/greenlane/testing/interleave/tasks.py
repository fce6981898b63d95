"""The greenlets of one run, numbered and named in the order in which they start.

Keeps no greenlet alive: what a program does when one is collected is part of the
program. The number is kept on the greenlet.
"""

import weakref
from collections.abc import Iterator
from functools import partial
from types import FrameType, TracebackType
from typing import Any, NamedTuple

from greenlet import greenlet

from greenlane.testing.interleave.items import NUMBER, number_of

#: Frames of these show how a greenlet waits, and not where.
_WAITING = frozenset({"contextlib", "gevent", "greenlet", "queue", "selectors", "threading"})
_OURS = __name__.rpartition(".")[0]


class Place(NamedTuple):
    """A line of the program."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


class Tasks:
    """The greenlets of one run."""

    def __init__(self) -> None:
        self._started: list[weakref.ref[greenlet]] = []
        self._names: list[str] = []

    def add(self, task: greenlet) -> None:
        """Give ``task`` the next number, and a name by its function, unless it has them."""
        number = number_of(task)
        if 0 <= number < len(self._started) and self._started[number]() is task:
            return
        task.__dict__[NUMBER] = len(self._started)
        self._started.append(weakref.ref(task))
        function = task.__dict__.get("_run") or getattr(task, "run", None)
        self._names.append(name_of(function))

    def name(self, number: int) -> str:
        """Return the name of the greenlet of that number; with a number where several have the same."""
        if number < 0:
            return "the hub"
        name = self._names[number]
        same = [place for place, other in enumerate(self._names) if other == name]
        return name if len(same) == 1 else f"{name}-{same.index(number) + 1}"

    def alive(self) -> Iterator[greenlet]:
        """Yield those that have not ended."""
        for reference in self._started:
            task = reference()
            if task is not None and not task.dead:
                yield task


def name_of(function: object) -> str:
    """Return a short name for ``function``."""
    while isinstance(function, partial):
        function = function.func
    name: str = getattr(function, "__name__", type(function).__name__)
    return "function" if name == "<lambda>" else name


def is_program(frame: FrameType) -> bool:
    """Whether ``frame`` is the program's, and neither gevent's nor the explorer's."""
    module: str = frame.f_globals.get("__name__", "")
    return module.partition(".")[0] not in _WAITING and not module.startswith(_OURS)


def place_of(frame: FrameType | None) -> Place | None:
    """Return the innermost line of the program at or above ``frame``."""
    while frame is not None:
        if is_program(frame):
            return Place(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        frame = frame.f_back
    return None


def raised_at(error: BaseException) -> Place | None:
    """Return the innermost line of the program that ``error`` went through."""
    found = None
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if is_program(frame):
            found = Place(frame.f_code.co_filename, traceback.tb_lineno, frame.f_code.co_name)
        traceback = traceback.tb_next
    return found


class Step(NamedTuple):
    """What one greenlet did between two switches.

    Attributes:
        task: its name.
        until: where it switched away; None when it ended.
        thrown: it did not go on where it waited, but with an exception: a kill or a timeout.

    """

    task: str
    until: Place | None
    thrown: bool


class Tracer:
    """Records the steps of a run: a trace function for :func:`greenlet.settrace`.

    Args:
        tasks: the greenlets of the run.

    """

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._thrown: set[int] = set()
        self._steps: list[tuple[int, Place | None, bool]] = []

    @property
    def steps(self) -> tuple[Step, ...]:
        """What happened, with the names that its greenlets have in the end."""
        return tuple(Step(self._tasks.name(number), place, thrown) for number, place, thrown in self._steps)

    def __call__(self, event: str, switch: Any) -> None:
        """Record a switch, which has happened when greenlet calls this."""
        origin, target = switch
        number = number_of(origin)
        if number >= 0:
            place = None if origin.dead else place_of(origin.gr_frame)
            self._steps.append((number, place, number in self._thrown))
            self._thrown.discard(number)
        if event == "throw" and number_of(target) >= 0:
            self._thrown.add(number_of(target))
