"""The search: runs a program in the orders of a mode, and says what came out.

:func:`explore` is the way in.
"""

import random
from dataclasses import dataclass
from itertools import zip_longest
from math import prod
from typing import get_args

from greenlane.testing.interleave.errors import InterleavingError
from greenlane.testing.interleave.loop import Chooser
from greenlane.testing.interleave.modes import Diverged, Exhaustive, Fixed, Mode, Replay, Uniform
from greenlane.testing.interleave.outcome import Outcome, Parting, Problem
from greenlane.testing.interleave.report import describe
from greenlane.testing.interleave.run import Program, Runner, Sleeps
from greenlane.testing.interleave.schedule import decode, encode
from greenlane.testing.interleave.shrink import shrink
from greenlane.testing.interleave.tasks import Step

#: pytest leaves this module's frames out: they say nothing of the program.
__tracebackhide__ = True

#: How often an order is run again to see where runs of it part.
PARTING_RUNS = 20

#: How many random orders the estimate of the number of all orders rests on.
ESTIMATE_RUNS = 100

_NONDETERMINISTIC = (
    "the program is not deterministic: the same choices led elsewhere. Something other than the order "
    "decides in it: state kept from one run to the next, chance, hash order, the real time or the system"
)


@dataclass(frozen=True)
class Failure:
    """An order that fails.

    Attributes:
        problem: what goes wrong.
        schedule: the order, after shrinking; :func:`replay` takes it.
        found_as: the order in which it was found.
        switches: how often another greenlet goes on than the one before.
        fewest: no order with fewer switches fails; otherwise shrinking ran out of its budget.
        trace: the steps.

    """

    problem: Problem
    schedule: str
    found_as: str
    switches: int
    fewest: bool
    trace: tuple[Step, ...]


@dataclass(frozen=True)
class Exploration:
    """What :func:`explore` found.

    Attributes:
        mode: how the orders were chosen.
        schedules: how many orders were run, up to and with the failure; without those that
            check, shrink and estimate.
        covered: every order there is was run.
        estimate: how many orders there may be in all, when they were too many to run.
        failure: the first failure, or None.

    """

    mode: Mode
    schedules: int
    covered: bool
    estimate: int | None
    failure: Failure | None

    def check(self) -> "Exploration":
        """Raise what was found, if anything was.

        Returns:
            This exploration, when no order failed.

        Raises:
            InterleavingError: an order fails. Its cause is the program's own exception, if there is one.

        """
        if self.failure is not None:
            raise InterleavingError(str(self)) from self.failure.problem.error
        return self

    def __str__(self) -> str:
        return describe(self)


def explore(
    program: Program,
    mode: Mode | None = None,
    *,
    sleeps: Sleeps = "deadline",
    max_schedules: int = 100_000,
    max_steps: int = 10_000,
    max_shrinks: int = 1_000,
    expected: tuple[type[BaseException], ...] = (),
) -> Exploration:
    """Run a program in many orders, until one fails.

    ::

        def withdraw_twice():
            account = Account(100)                     # set-up, fresh for each order
            yield [lambda: account.withdraw(30)] * 2   # these run at once
            assert account.balance == 40               # a check, when all have ended

        explore(withdraw_twice).check()

    Args:
        program: a generator function that yields the functions to run at once (or
            greenlets that are not started), and may go on with checks; ``yield``
            gives what they returned, or the ``expected`` exception that ended them.
            It may yield again: what it yields then runs after. Or simply a list of functions.
        mode: which orders; by default all of them (:func:`exhaustive`).
        sleeps: sleepers wake in the order of their deadlines, or in ``any``, timeouts included:
            at each moment as if the machine had been slow, and time goes on to the deadline.
        max_schedules: stop after so many orders; an exhaustive search then estimates how many there are.
        max_steps: after so many steps an order counts as endless.
        max_shrinks: how many runs shrinking a failure may take.
        expected: exceptions that may end a greenlet without being a failure.

    Raises:
        UnsupportedError: the program does what cannot be explored, or is none.
        TypeError: ``mode`` is no mode.
        ValueError: ``max_schedules`` or ``max_steps`` is less than 1, there are no such
            ``sleeps``, or a schedule does not fit the program.

    """
    for name, value in (("max_schedules", max_schedules), ("max_steps", max_steps)):
        if value < 1:
            raise ValueError(f"{name} must be 1 or more, not {value}")
    if sleeps not in get_args(Sleeps):
        raise ValueError(f"sleeps must be 'deadline' or 'any', not {sleeps!r}")
    chosen = Exhaustive() if mode is None else mode
    if not callable(getattr(chosen, "choosers", None)):
        raise TypeError(f"{mode!r} is no mode, such as random(seed=1, runs=100)")
    runner = Runner(program, sleeps, max_steps, expected)
    with runner.installed():
        return _Search(runner, chosen, max_schedules, max_shrinks).go()


class _Search:
    """One call of :func:`explore`."""

    def __init__(self, runner: Runner, mode: Mode, max_schedules: int, max_shrinks: int) -> None:
        self._runner = runner
        self._mode = mode
        self._max_schedules = max_schedules
        self._max_shrinks = max_shrinks
        self._schedules = 0
        self._first: Outcome | None = None
        self._taken: list[int] = []  # of the last run

    def go(self) -> Exploration:
        """Search, and say what came out."""
        try:
            return self._go()
        except Diverged:
            if isinstance(self._mode, Replay) and self._schedules == 0:
                raise ValueError(
                    f"The schedule {self._mode.schedule} does not fit the program: it takes a choice that is "
                    "not there. Schedules are good for the very program that they were found with."
                ) from None
            problem = _nondeterministic(self._first, self._parting())
            return self._failed(Failure(problem, "0", "0", switches=0, fewest=False, trace=()))
        except KeyboardInterrupt as interrupt:
            found = "none of which failed"
            if self._first is not None:
                found = f"one fails: replay({encode(self._first.taken)!r})"
            interrupt.add_note(f"interleave: interrupted after {self._schedules:,} orders, {found}")
            raise

    def _go(self) -> Exploration:
        choosers = self._mode.choosers()
        outcome: Outcome | None = None
        while True:
            try:
                chooser = next(choosers) if outcome is None else choosers.send(outcome)
            except StopIteration:
                every = isinstance(self._mode, Exhaustive)
                return Exploration(self._mode, self._schedules, covered=every, estimate=None, failure=None)
            if self._schedules == self._max_schedules:
                return self._give_up()
            outcome = self._run(chooser)
            if outcome.problem is None and self._has_choices_left(outcome):
                raise Diverged
            self._schedules += 1
            if outcome.problem is not None:
                return self._found(outcome)
            # The first, and ever more rarely: a program that is not deterministic
            # would otherwise pass in orders that nobody can run again.
            if self._schedules & (self._schedules - 1) == 0:
                self._again(outcome)

    def _has_choices_left(self, outcome: Outcome) -> bool:
        """Whether a run ended before the schedule that it replays."""
        return isinstance(self._mode, Replay) and len(decode(self._mode.schedule)) > len(outcome.taken)

    def _run(self, chooser: Chooser, *, trace: bool = False) -> Outcome:
        outcome = self._runner.run(chooser, trace=trace)
        self._taken = outcome.taken
        if outcome.misfit:
            raise Diverged
        if self._first is None and outcome.problem is not None:
            self._first = outcome
        return outcome

    def _again(self, outcome: Outcome) -> Outcome:
        """Run an order again, which must go the same way."""
        again = self._run(Fixed(outcome.taken), trace=outcome.problem is not None)
        if not again.same_as(outcome):
            raise Diverged
        return again

    def _found(self, first: Outcome) -> Exploration:
        self._again(first)
        # Who replays an order wants to see that one.
        budget = 0 if isinstance(self._mode, Replay) else self._max_shrinks
        shrunk = shrink(first, lambda taken: self._run(Fixed(taken, strict=False)), budget)
        last = self._again(shrunk.outcome)
        problem = last.problem or shrunk.outcome.problem
        if problem is None:
            raise Diverged
        found_as = encode(first.taken)
        return self._failed(
            Failure(problem, encode(last.taken), found_as, last.switches, shrunk.fewest, last.trace)
        )

    def _parting(self) -> Parting | None:
        """Run the last order until two runs of it differ, and return where."""

        def steps() -> tuple[Step, ...]:
            return self._runner.run(Fixed(self._taken, strict=False), trace=True).trace

        try:
            first = steps()
            for _run in range(PARTING_RUNS):
                for number, (once, then) in enumerate(zip_longest(first, steps()), 1):
                    if once != then:
                        return Parting(number, once, then)
        except Exception:  # noqa: S110 - whatever it is, that the program is not deterministic comes first
            pass
        return None

    def _failed(self, failure: Failure) -> Exploration:
        return Exploration(self._mode, self._schedules, covered=False, estimate=None, failure=failure)

    def _give_up(self) -> Exploration:
        """Stop at the limit; of an exhaustive search, estimate how many orders there are (Knuth 1975).

        The product of the numbers of options along a random order is, on average, the
        number of orders (Estimating the Efficiency of Backtrack Programs, Mathematics of
        Computation 29).
        """
        if not isinstance(self._mode, Exhaustive):
            return Exploration(self._mode, self._schedules, covered=False, estimate=None, failure=None)
        rng = random.Random(0)  # noqa: S311 - not for secrets
        total = 0
        for _run in range(ESTIMATE_RUNS):
            outcome = self._run(Uniform(rng))
            if outcome.problem is not None:
                return self._found(outcome)
            total += prod(outcome.options)
        estimate = max(self._schedules + 1, round(total / ESTIMATE_RUNS))
        return Exploration(self._mode, self._schedules, covered=False, estimate=estimate, failure=None)


def _nondeterministic(first: Outcome | None, parting: Parting | None) -> Problem:
    """Return the report on a program that is not deterministic, with its first failure if it had one."""
    if first is None or first.problem is None:
        return Problem("nondeterministic", _NONDETERMINISTIC, parting=parting)
    failed = first.problem
    return Problem(
        "nondeterministic",
        f"{_NONDETERMINISTIC}; one run of it failed: {failed.message}",
        failed.error,
        failed.place,
        parting=parting,
    )
