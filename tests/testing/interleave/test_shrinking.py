"""Shrinking: a failure comes with the fewest switches, and its schedule shows it again."""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import gevent
import pytest
from gevent.event import Event
from hypothesis import given, settings
from hypothesis import strategies as st

from greenlane.testing.interleave import explore, pct, replay
from greenlane.testing.interleave import random as random_orders
from greenlane.testing.interleave.schedule import decode, encode

Step = tuple[int, int]


def switches(order: list[Step]) -> int:
    return sum(1 for one, other in pairwise(order) if one[0] != other[0])


def stepping(counts: list[int], log: list[Step]) -> list[Callable[[], None]]:
    def function(number: int) -> None:
        for step in range(counts[number]):
            if step:
                gevent.sleep(0)
            log.append((number, step))

    return [lambda number=number: function(number) for number in range(len(counts))]  # type: ignore[misc]


def every_order(counts: list[int]) -> list[list[Step]]:
    orders: list[list[Step]] = []

    def program() -> Any:
        log: list[Step] = []
        yield stepping(counts, log)
        orders.append(log)

    assert explore(program).check().covered
    return orders


@st.composite
def bugs(draw: st.DrawFn) -> tuple[list[int], list[tuple[Step, Step]]]:
    """A few functions, and pairs of steps: it fails when in each pair the first comes first."""
    counts = draw(st.lists(st.integers(1, 3), min_size=2, max_size=3).filter(lambda found: sum(found) <= 7))
    steps = [(number, step) for number, count in enumerate(counts) for step in range(count)]
    pairs = draw(
        st.lists(
            st.tuples(st.sampled_from(steps), st.sampled_from(steps)).filter(lambda p: p[0][0] != p[1][0]),
            min_size=1,
            max_size=3,
        )
    )
    return counts, pairs


def fails(order: list[Step], pairs: list[tuple[Step, Step]]) -> bool:
    return all(order.index(first) < order.index(second) for first, second in pairs)


@settings(max_examples=30, deadline=None)
@given(bugs(), st.sampled_from([None, random_orders(3, 50), pct(3, 3, 50)]))
def test_no_order_with_fewer_switches_fails(
    bug: tuple[list[int], list[tuple[Step, Step]]], mode: Any
) -> None:
    counts, pairs = bug
    failing = [order for order in every_order(counts) if fails(order, pairs)]
    last: list[Step] = []

    def program() -> Any:
        log: list[Step] = []
        yield stepping(counts, log)
        last[:] = log
        assert not fails(log, pairs)

    exploration = explore(program, mode, max_shrinks=10_000)
    failure = exploration.failure
    if failure is None:
        assert mode or not failing
        return
    assert failure.fewest
    assert failure.switches == min(map(switches, failing))
    # What ran last is the shrunk order, and it has as many switches as it says.
    assert switches(last) == failure.switches
    assert last in failing
    names = [step.task for step in failure.trace]
    assert sum(1 for one, other in pairwise(names) if one != other) == failure.switches
    for schedule in (failure.schedule, failure.found_as):
        again = explore(program, replay(schedule)).failure
        assert again is not None
        assert again.problem.like(failure.problem)
        assert again.schedule == schedule


def test_an_order_that_leaving_choices_out_does_not_lead_to_is_found() -> None:
    """It is found as a c a b, where leaving a choice out gives no failure; c a a b has a switch less."""

    def program() -> Any:
        log: list[Step] = []
        yield stepping([2, 1, 1], log)
        assert not fails(log, [((2, 0), (0, 1)), ((2, 0), (1, 0))])

    failure = explore(program).failure
    assert failure is not None
    assert (failure.found_as, failure.schedule) == ("1:2", "0:2")
    assert (failure.switches, failure.fewest) == (2, True)


def racing() -> Any:
    """Fails only when three functions take turns in one way, and many other steps are in between."""
    log: list[Step] = []
    yield stepping([4, 4, 4], log)
    assert not fails(log, [((0, 1), (1, 1)), ((1, 1), (2, 1)), ((2, 1), (0, 2)), ((1, 2), (0, 3))])


def test_without_a_budget_the_first_failure_is_told_as_it_was_found() -> None:
    exploration = explore(racing, random_orders(5, 10_000), max_shrinks=0)
    failure = exploration.failure
    assert failure is not None
    assert failure.schedule == failure.found_as
    assert not failure.fewest
    assert "(there may be an order with fewer)" in str(exploration)


def test_a_small_budget_shrinks_a_part_of_the_way() -> None:
    found = [
        explore(racing, random_orders(5, 10_000), max_shrinks=budget).failure for budget in (0, 8, 10_000)
    ]
    costs = [failure.switches for failure in found if failure is not None]
    assert len(costs) == 3
    assert costs[0] > costs[1] >= costs[2]
    assert [failure.fewest for failure in found if failure is not None] == [False, False, True]


def test_those_woken_together_count_as_switches() -> None:
    def program() -> Any:
        event = Event()
        log: list[int] = []

        def wait(number: int) -> None:
            event.wait()
            log.append(number)

        yield [lambda: wait(0), lambda: wait(1), event.set]
        assert log != [1, 0]

    failure = explore(program).failure
    assert failure is not None
    names = [step.task for step in failure.trace]
    assert sum(1 for one, other in pairwise(names) if one != other) == failure.switches


# Schedules


@given(st.lists(st.integers(0, 12), max_size=60))
def test_a_schedule_says_what_was_chosen(taken: list[int]) -> None:
    assert encode(decode(encode(taken))) == encode(taken)
    while taken and taken[-1] == 0:
        taken.pop()
    assert decode(encode(taken)) == taken


@given(st.text(alphabet="0123456789:, -x", max_size=12))
def test_whatever_is_written_is_a_schedule_or_a_clear_error(text: str) -> None:
    one = "0*[0-9]{1,7}:[1-9][0-9]{0,8}"
    if re.fullmatch(rf" *(0|{one}( *, *{one})*) *", text) is None:
        with pytest.raises(ValueError, match=f"^{re.escape(repr(text))} is no schedule: "):
            decode(text)


@pytest.mark.parametrize(
    "schedule", ["", "1", "1:0", "2:1,1:1", "1:1,1:1", "1:1,", "-1:1", "1:x", "9999999:1", "٣:1", "1:1;2:1"]
)
def test_what_is_no_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(ValueError, match="is no schedule: it is 0, or places and choices"):
        replay(schedule)


def test_a_schedule_of_another_program_is_refused() -> None:
    with pytest.raises(ValueError, match="The schedule 0:7 does not fit the program"):
        explore(racing, replay("0:7"))


@pytest.mark.parametrize("schedule", ["2:1", "0:1,90:1"])
def test_a_schedule_that_is_too_long_is_refused(schedule: str) -> None:
    with pytest.raises(ValueError, match="does not fit the program"):
        explore([lambda: gevent.sleep(0), lambda: None], replay(schedule))


def test_a_replay_that_fails_before_its_schedule_ends_says_how_it_fails() -> None:
    def fails() -> None:
        raise ValueError("early")

    exploration = explore([lambda: gevent.sleep(0), fails], replay("0:1,5:1"))
    assert exploration.failure is not None
    assert isinstance(exploration.failure.problem.error, ValueError)
    assert exploration.failure.schedule == "0:1"
