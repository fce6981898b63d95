"""All orders: how many there are by formula, and that each comes once."""

from collections.abc import Callable, Iterator
from math import factorial, prod
from typing import Any

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenlane.testing.interleave import explore

Log = tuple[tuple[int, int], ...]


def steps(log: list[tuple[int, int]], number: int, count: int) -> Callable[[], None]:
    """Return a function of ``count`` steps, with a switch between each two."""

    def function() -> None:
        for step in range(count):
            if step:
                gevent.sleep(0)
            log.append((number, step))

    return function


def logs(counts: list[int], **options: Any) -> list[Log]:
    """Return what each order of functions with so many steps logs."""
    seen: list[Log] = []

    def program() -> Any:
        log: list[tuple[int, int]] = []
        yield [steps(log, number, count) for number, count in enumerate(counts)]
        seen.append(tuple(log))

    exploration = explore(program, **options).check()
    assert exploration.covered
    # The first order and then ever fewer are run twice, to see that they go the same way.
    twice = exploration.schedules.bit_length()
    assert len(seen) == exploration.schedules + twice
    assert len(set(seen)) == exploration.schedules
    return seen


def merges(counts: list[int], taken: Log = ()) -> Iterator[Log]:
    """Yield every way to merge the functions' steps, by trying all."""
    if len(taken) == sum(counts):
        yield taken
    for number, count in enumerate(counts):
        step = sum(1 for other, _step in taken if other == number)
        if step < count:
            yield from merges(counts, (*taken, (number, step)))


@pytest.mark.parametrize(
    ("counts", "number"), [([2, 2], 6), ([3, 3], 20), ([2, 2, 2], 90), ([3, 3, 3], 1_680), ([1], 1), ([], 1)]
)
def test_there_are_as_many_orders_as_the_multinomial_coefficient(counts: list[int], number: int) -> None:
    assert factorial(sum(counts)) // prod(map(factorial, counts)) == number

    def program() -> Any:
        yield [steps([], place, count) for place, count in enumerate(counts)]

    exploration = explore(program)
    assert (exploration.schedules, exploration.covered) == (number, True)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=3).filter(lambda counts: sum(counts) <= 7))
def test_each_order_comes_and_comes_once(counts: list[int]) -> None:
    every = sorted(merges(counts))
    seen = logs(counts)
    assert sorted(set(seen)) == every
    assert len(set(seen)) == factorial(sum(counts)) // prod(map(factorial, counts))


def test_the_order_with_the_fewest_switches_comes_first() -> None:
    assert logs([2, 3])[0] == ((0, 0), (0, 1), (1, 0), (1, 1), (1, 2))


def test_an_order_that_is_reached_at_the_very_limit_counts_as_all() -> None:
    def program() -> Any:
        yield [steps([], number, 2) for number in range(2)]

    assert explore(program, max_schedules=6).covered
    stopped = explore(program, max_schedules=5)
    assert (stopped.covered, stopped.schedules) == (False, 5)
    assert stopped.estimate is not None
    assert stopped.estimate > 5
    assert str(stopped) == f"5 orders hold, of about {stopped.estimate} (estimated); the rest was not run."


@pytest.mark.parametrize(("counts", "number"), [([3, 3, 3], 1_680), ([4, 4, 4], 34_650), ([2] * 5, 113_400)])
def test_the_estimate_comes_near(counts: list[int], number: int) -> None:
    """Knuth's estimate is right on average; of 100 random orders it is within a factor of 2 here."""

    def program() -> Any:
        yield [steps([], place, count) for place, count in enumerate(counts)]

    estimate = explore(program, max_schedules=1).estimate
    assert estimate is not None
    assert number / 2 < estimate < number * 2


def test_a_program_may_have_several_parts_each_in_every_order() -> None:
    seen: set[tuple[str, ...]] = set()

    def program() -> Any:
        log: list[str] = []
        values = yield [lambda: log.append("a") or 1, lambda: log.append("b") or 2]  # type: ignore[func-returns-value]
        assert values == [1, 2]
        assert len(log) == 2
        yield [lambda: log.append("c"), lambda: log.append("d")]
        seen.add(tuple(log))

    exploration = explore(program)
    assert exploration.schedules == 4
    assert seen == {tuple(first + second) for first in ("ab", "ba") for second in ("cd", "dc")}
    assert str(exploration) == "All 4 orders hold."


def test_a_program_may_be_a_list_of_functions() -> None:
    exploration = explore([lambda: gevent.sleep(0), lambda: None])
    assert (exploration.schedules, exploration.covered) == (3, True)
    assert str(explore([lambda: None])) == "The only order there is holds."


@pytest.mark.parametrize("limit", ["max_schedules", "max_steps"])
def test_a_limit_below_one_is_refused(limit: str) -> None:
    options: dict[str, Any] = {limit: 0}
    with pytest.raises(ValueError, match=f"{limit} must be 1 or more, not 0"):
        explore([lambda: None], **options)
