"""The modes that sample: seeded, random ones even over the options, and PCT as good as its guarantee."""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from math import sqrt
from typing import Any

import gevent
import pytest
from gevent.queue import Queue

from greenlane.testing.interleave import exhaustive, explore, gevent_order, pct, replay
from greenlane.testing.interleave import random as random_orders
from greenlane.testing.interleave.modes import Mode

Log = tuple[str, ...]


def stepping(names: str, steps: int, log: list[str]) -> list[Callable[[], None]]:
    def function(name: str) -> None:
        for step in range(steps):
            if step:
                gevent.sleep(0)
            log.append(name)

    return [lambda name=name: function(name) for name in names]  # type: ignore[misc]


def orders_of(mode: Mode, names: str = "abc", steps: int = 3) -> list[Log]:
    seen: list[Log] = []

    def program() -> Any:
        log: list[str] = []
        yield stepping(names, steps, log)
        seen.append(tuple(log))

    explore(program, mode).check()
    return seen


@pytest.mark.parametrize("make", [lambda seed: random_orders(seed, 40), lambda seed: pct(seed, 3, 40)])
def test_the_same_seed_gives_the_same_orders(make: Callable[[int], Mode]) -> None:
    assert orders_of(make(7)) == orders_of(make(7))
    assert orders_of(make(7)) != orders_of(make(8))
    assert len(set(orders_of(make(7)))) > 10


def test_a_sample_is_no_proof() -> None:
    for mode in (random_orders(1, 5), pct(1, 2, 5), gevent_order(), replay("0")):
        exploration = explore([lambda: gevent.sleep(0)], mode)
        assert not exploration.covered
        assert exploration.estimate is None
        assert exploration.mode is mode
        runs = getattr(mode, "runs", 1)
        assert exploration.schedules == runs
        assert str(exploration) == ("5 orders hold." if runs == 5 else "1 order holds.")


@pytest.mark.parametrize("mode", [random_orders(1, 50), pct(1, 2, 50)])
def test_a_sample_stops_at_the_limit_without_an_estimate(mode: Mode) -> None:
    exploration = explore([lambda: gevent.sleep(0)], mode, max_schedules=20)
    assert (exploration.schedules, exploration.covered, exploration.estimate) == (20, False, None)


def test_random_choices_are_even() -> None:
    """Three functions of one step: six orders, each with 1/6, within five standard deviations."""
    runs = 3_000
    seen = Counter(orders_of(random_orders(11, runs), steps=1))
    assert len(seen) == 6
    expected = sum(seen.values()) / 6
    assert all(abs(count - expected) < 5 * sqrt(expected) for count in seen.values())


def test_random_takes_each_option_as_often_as_the_others() -> None:
    """Not each order: "abab.." has more choices than "aabb", where one is left alone early."""
    runs = 3_000
    seen = Counter(orders_of(random_orders(12, runs), names="ab", steps=2))
    total = sum(seen.values())
    # a a leaves b alone after two choices; the others make three.
    for order, share in {"aabb": 1 / 4, "abab": 1 / 8, "abba": 1 / 8}.items():
        count = seen[tuple(order)]
        assert abs(count - total * share) < 5 * sqrt(total * share)


Bug = Callable[[Log], bool]

#: A bug of each depth: the steps of its functions, when it shows, and its depth.
BUGS: list[tuple[dict[str, int], Bug, int]] = [
    # The last function goes before all others.
    ({"a": 3, "b": 3, "c": 3, "d": 3}, lambda log: log[0] == "d", 1),
    # The only step of b falls between two certain ones of a.
    ({"a": 8, "b": 1}, lambda log: log.index("b") == 5, 2),
    # The first step of b falls between two certain ones of a, the second after all of them.
    ({"a": 6, "b": 2}, lambda log: "".join(log) == "aabaaaab", 3),
]


@pytest.mark.parametrize(("steps", "bug", "depth"), BUGS)
def test_pct_finds_a_bug_as_often_as_it_guarantees(steps: dict[str, int], bug: Bug, depth: int) -> None:
    """At least 1 / (n * k ** (d - 1)) of the runs; less three standard deviations of so many runs."""
    runs = 2_000
    shown: list[bool] = []

    def program() -> Any:
        log: list[str] = []
        yield [function for name, count in steps.items() for function in stepping(name, count, log)]
        shown.append(bug(tuple(log)))

    explore(program, pct(5, depth, runs)).check()
    guaranteed = 1 / (len(steps) * sum(steps.values()) ** (depth - 1))
    deviation = sqrt(guaranteed * (1 - guaranteed) / runs)
    assert sum(shown) / len(shown) >= guaranteed - 3 * deviation


def switches(order: Log) -> int:
    return sum(1 for one, other in pairwise(order) if one != other)


def test_pct_without_a_change_of_priority_never_leaves_a_greenlet_that_can_go_on() -> None:
    for order in orders_of(pct(3, 1, 100)):
        assert switches(order) == 2
    assert any(switches(order) > 2 for order in orders_of(pct(3, 2, 100)))


def test_pct_knows_whom_a_queue_or_a_kill_goes_on_with() -> None:
    """With priorities that never change, the highest of those that can go on goes on: also when woken."""

    def program() -> Any:
        log: list[str] = []
        queue: Queue[int] = Queue()

        def get() -> None:
            gevent.sleep(1)
            queue.get()
            log.append("get")

        def put() -> None:
            gevent.sleep(2)
            log.append("before")
            queue.put(1)
            gevent.sleep(0)
            log.append("put")

        yield [get, put]
        seen.add(tuple(log))

    def killing() -> Any:
        log: list[str] = []

        def victim() -> None:
            try:
                gevent.sleep(60)
            finally:
                log.append("victim")

        def killer(child: "gevent.Greenlet[..., Any]") -> None:
            gevent.sleep(1)
            child.kill(block=False)
            gevent.sleep(0)
            log.append("killer")

        child = gevent.Greenlet(victim)
        yield [child, lambda: killer(child)]
        seen.add(tuple(log))

    seen: set[Log] = set()
    for seed in range(20):
        explore(program, pct(seed, 1, 1)).check()
        explore(killing, pct(seed, 1, 1)).check()
    assert seen == {
        ("before", "get", "put"),
        ("before", "put", "get"),
        ("killer", "victim"),
        ("victim", "killer"),
    }


@pytest.mark.parametrize("mode", ["random", 1, object()])
def test_what_is_no_mode_is_refused(mode: Any) -> None:
    with pytest.raises(TypeError, match=r"is no mode, such as random\(seed=1, runs=100\)$"):
        explore([lambda: None], mode)


def test_sleepers_that_nobody_knows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^sleeps must be 'deadline' or 'any', not 'late'$"):
        explore([lambda: None], sleeps="late")  # type: ignore[arg-type]


def test_modes_without_runs_or_depth_are_refused() -> None:
    for call in (
        lambda: random_orders(1, 0),
        lambda: pct(1, 1, 0),
        lambda: pct(1, 0, 1),
        lambda: pct(1, -1, 1),
    ):
        with pytest.raises(ValueError, match="must be 1 or more, not"):
            call()


def test_modes_are_values() -> None:
    assert exhaustive() == exhaustive()
    assert random_orders(1, 2) != random_orders(1, 3)
    assert repr(pct(1, 2, 3)) == "Pct(seed=1, depth=2, runs=3)"
