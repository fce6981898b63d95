"""Shrinking: from an order that fails to one that fails with as few switches as possible.

First by leaving choices out, many at a time and then one by one (Zeller and
Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002). Then, as far
as the budget goes, by trying every order with fewer switches: when that ends, none
of them fails.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from greenlane.testing.interleave.outcome import Outcome

Run = Callable[[Sequence[int]], Outcome]


class Shrunk(NamedTuple):
    """The smallest order found.

    Attributes:
        outcome: its run.
        fewest: every order with fewer switches was run, and none fails.

    """

    outcome: Outcome
    fewest: bool


def shrink(first: Outcome, run: Run, budget: int) -> Shrunk:
    """Look for an order with fewer switches that fails as ``first`` does.

    Args:
        first: the failure.
        run: runs the program with the given choices; one that is not on offer is 0.
        budget: how many runs it may take.

    """
    search = _Search(first, run, budget)
    search.leave_out()
    fewest = search.try_all_smaller()
    return Shrunk(search.best, fewest)


def _cost(outcome: Outcome) -> tuple[int, int, int]:
    return outcome.switches, sum(1 for choice in outcome.taken if choice), outcome.steps


class _Search:
    def __init__(self, first: Outcome, run: Run, budget: int) -> None:
        self.best = first
        self._run = run
        self._left = budget

    def _try(self, taken: Sequence[int]) -> Outcome:
        """Run an order, and keep it if it is better."""
        self._left -= 1
        outcome = self._run(taken)
        problem = self.best.problem
        if problem is not None and problem.like(outcome.problem) and _cost(outcome) < _cost(self.best):
            self.best = outcome
        return outcome

    def leave_out(self) -> None:
        """Set choices to 0: all, then each half, each quarter, and so on down to single ones."""
        size = len(self._places())
        while size >= 1:
            places = self._places()
            start = 0
            while start < len(places) and self._left > 0:
                before = self.best
                out = set(places[start : start + size])
                self._try([0 if place in out else choice for place, choice in enumerate(before.taken)])
                if self.best is before:
                    start += size
                else:
                    places = self._places()
            size //= 2

    def _places(self) -> list[int]:
        return [place for place, choice in enumerate(self.best.taken) if choice]

    def try_all_smaller(self) -> bool:
        """Run every order with fewer switches than the best, those with fewest choices first.

        Returns:
            Whether the budget was enough.

        """
        level: list[list[int]] = [[]]
        while level:
            following = []
            for prefix in level:
                if self._left <= 0:
                    return False
                outcome = self._try(prefix)
                for place in range(len(prefix), len(outcome.options)):
                    # Switches only grow: what has as many already is no improvement.
                    if outcome.switches_at[place] >= self.best.switches:
                        break
                    start = outcome.taken[:place]
                    following += [[*start, choice] for choice in range(1, outcome.options[place])]
            level = following
        return True
