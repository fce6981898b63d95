"""The modes: which orders of a program are run, and in which sequence.

A mode is a frozen dataclass whose :meth:`Mode.choosers` yields a chooser for each
run and is sent the outcome, from which it makes the next.

Must not import the search or the runner's hub; knows outcomes only.
"""

import random as _random
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from greenlane.testing.interleave.items import Task, number_of
from greenlane.testing.interleave.loop import Chooser
from greenlane.testing.interleave.outcome import Outcome
from greenlane.testing.interleave.schedule import decode

Choosers: TypeAlias = Generator[Chooser, Outcome, None]


class Mode(Protocol):
    """Which orders to run."""

    def choosers(self) -> Choosers:
        """Yield a chooser for each run; is sent its outcome."""


class Diverged(Exception):  # noqa: N818 - not an error of its own: it becomes a Problem
    """The same choices led elsewhere: the program is not deterministic."""


class Fixed:
    """Takes the choices that it is given, and then 0.

    Args:
        taken: the choices.
        strict: a choice that is not on offer ends the run; otherwise it is 0.

    """

    def __init__(self, taken: Sequence[int], strict: bool = True) -> None:
        self._taken = taken
        self._strict = strict
        self._place = 0

    def choose(self, tasks: Sequence[Task], _fifo: int) -> int:
        """Take the next choice."""
        place, self._place = self._place, self._place + 1
        if place >= len(self._taken):
            return 0
        wanted = self._taken[place]
        return wanted if self._strict or wanted < len(tasks) else 0


class Uniform:
    """Takes any option, each as likely as the other."""

    def __init__(self, rng: _random.Random) -> None:
        self._rng = rng

    def choose(self, tasks: Sequence[Task], _fifo: int) -> int:
        """Take one."""
        return self._rng.randrange(len(tasks))


class _First:
    """Takes what gevent would take."""

    def choose(self, _tasks: Sequence[Task], fifo: int) -> int:
        """Take the first come."""
        return fifo


class _Priorities:
    """Takes the greenlet of the highest priority, which falls at a few random moments.

    Args:
        rng: decides the priorities and the moments.
        depth: how many priorities must be right for a bug to show; the priority falls depth - 1 times.
        choices: how many choices a run is expected to have.

    """

    def __init__(self, rng: _random.Random, depth: int, choices: int) -> None:
        self._rng = rng
        self._depth = depth
        self._falls = dict(
            zip(rng.sample(range(choices), min(depth - 1, choices)), range(depth), strict=False)
        )
        self._priority: dict[int, float] = {}
        self._place = 0

    def choose(self, tasks: Sequence[Task], _fifo: int) -> int:
        """Take the highest."""
        numbers = [number_of(task) for task in tasks]
        fall = self._falls.get(self._place)
        self._place += 1
        if fall is not None:
            self._priority[max(numbers, key=self._of)] = fall
        return max(range(len(numbers)), key=lambda place: self._of(numbers[place]))

    def _of(self, number: int) -> float:
        """Return the priority of a greenlet: a random one, above all that it can fall to."""
        if number not in self._priority:
            self._priority[number] = self._depth + self._rng.random()
        return self._priority[number]


@dataclass(frozen=True)
class Exhaustive:
    """Every order, depth first."""

    def choosers(self) -> Choosers:
        """Yield the orders, the one with the fewest switches first."""
        taken: list[int] = []
        before = Outcome()
        while True:
            outcome = yield Fixed(taken)
            known = len(taken) - 1
            if known >= 0 and (
                outcome.options[: known + 1] != before.options[: known + 1]
                or outcome.chosen[:known] != before.chosen[:known]
            ):
                raise Diverged
            before = outcome
            taken = list(outcome.taken)
            while taken and taken[-1] + 1 == outcome.options[len(taken) - 1]:
                taken.pop()
            if not taken:
                return
            taken[-1] += 1


@dataclass(frozen=True)
class Random:
    """Orders by chance: at each choice, each option is as likely as the other.

    Attributes:
        seed: the same seed gives the same orders.
        runs: how many.

    """

    seed: int
    runs: int

    def choosers(self) -> Choosers:
        """Yield a chooser for each run."""
        rng = _random.Random(self.seed)  # noqa: S311 - not for secrets
        for _run in range(self.runs):
            yield Uniform(rng)


@dataclass(frozen=True)
class Pct:
    """Orders by random priorities that change ``depth - 1`` times.

    Burckhardt, Kothari, Musuvathi, Nagarakatte: A Randomized Scheduler with
    Probabilistic Guarantees of Finding Bugs (ASPLOS 2010). Of n greenlets that make
    k choices, each run finds a bug of depth d with a probability of at least
    1 / (n * k ** (d - 1)).

    Attributes:
        seed: the same seed gives the same orders.
        depth: how many orderings must come together for the bug; few bugs need more than 3.
        runs: how many.

    """

    seed: int
    depth: int
    runs: int

    def choosers(self) -> Choosers:
        """Yield a chooser for each run. The number of choices is what earlier runs had at most."""
        rng = _random.Random(self.seed)  # noqa: S311 - not for secrets
        choices = 1
        for _run in range(self.runs):
            outcome = yield _Priorities(rng, self.depth, choices)
            choices = max(choices, len(outcome.options))


@dataclass(frozen=True)
class Replay:
    """One order, given by its schedule.

    Attributes:
        schedule: as a failure prints it.

    """

    schedule: str

    def choosers(self) -> Choosers:
        """Yield that order."""
        yield Fixed(decode(self.schedule))


@dataclass(frozen=True)
class GeventOrder:
    """One order: the one in which gevent itself would run it."""

    def choosers(self) -> Choosers:
        """Yield that order."""
        yield _First()


def exhaustive() -> Exhaustive:
    """Run every order, depth first."""
    return Exhaustive()


def random(seed: int, runs: int) -> Random:
    """Run ``runs`` random orders.

    Raises:
        ValueError: no runs.

    """
    return Random(seed, _at_least_one("runs", runs))


def pct(seed: int, depth: int, runs: int) -> Pct:
    """Run ``runs`` orders by random priorities, see :class:`Pct`.

    Raises:
        ValueError: no runs, or no depth.

    """
    return Pct(seed, _at_least_one("depth", depth), _at_least_one("runs", runs))


def replay(schedule: str) -> Replay:
    """Run the order of a ``schedule`` that a failure printed.

    Raises:
        ValueError: it is no schedule.

    """
    decode(schedule)
    return Replay(schedule)


def gevent_order() -> GeventOrder:
    """Run the one order that gevent's own loop gives."""
    return GeventOrder()


def _at_least_one(name: str, value: int) -> int:
    if value < 1:
        raise ValueError(f"{name} must be 1 or more, not {value}")
    return value
