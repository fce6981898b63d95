"""The report of a failure: names of greenlets, merged steps, long traces, who is still there."""

from functools import partial
from typing import Any

import gevent
import pytest
from gevent.event import Event

from greenlane.testing.interleave import explore
from greenlane.testing.interleave.report import MAX_STEPS
from greenlane.testing.interleave.tasks import name_of


class Callable:
    """An object that can be called."""

    def __call__(self) -> None:
        """Do nothing."""

    def method(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda: None, "function"),
        (Callable(), "Callable"),
        (Callable().method, "method"),
        (partial(partial(Callable().method)), "method"),
        (print, "print"),
    ],
)
def test_a_greenlet_is_named_by_its_function(function: Any, name: str) -> None:
    assert name_of(function) == name


def test_a_number_tells_those_of_one_name_apart_also_when_the_second_comes_later() -> None:
    def program() -> Any:
        def work(children: int) -> None:
            gevent.sleep(0)
            if children:
                gevent.spawn(work, children - 1).join()

        yield [partial(work, 1)]
        raise AssertionError

    failure = explore(program).failure
    assert failure is not None
    assert [step.task for step in failure.trace] == ["work-1", "work-1", "work-2", "work-2", "work-1"]


def test_a_long_trace_loses_its_middle() -> None:
    def program() -> Any:
        gates = [Event(), Event()]

        def turns(own: Event, other: Event) -> None:
            for _turn in range(MAX_STEPS):
                own.wait()
                own.clear()
                other.set()

        gates[0].set()
        yield [partial(turns, *gates), partial(turns, *reversed(gates))]
        raise AssertionError

    text = str(explore(program, max_shrinks=5)).splitlines()
    steps = [line for line in text if line.startswith("    ")]
    assert len(steps) == MAX_STEPS + 1
    middle = steps[MAX_STEPS // 2].split()
    assert (middle[0], middle[2:]) == ("...", ["more", "..."])
    assert steps[-1].endswith("ends")
    numbers = [int(line.split()[0]) for line in steps if "..." not in line]
    assert numbers == sorted(numbers)


def test_who_is_still_there_and_who_has_not_started() -> None:
    def program() -> Any:
        def spinning() -> None:
            while True:
                gevent.sleep(0)

        yield [spinning, lambda: None]

    text = str(explore(program, max_steps=20, max_shrinks=2)).splitlines()
    assert text[0].startswith("no end after 20 steps: ")
    assert text[-2].startswith("  still there: spinning at test_report.py:")
    assert text[-2].endswith(" in spinning: gevent.sleep(0)")
    assert text[-1] == "  still there: function has not started"


def test_a_place_without_source_is_only_named() -> None:
    names: dict[str, Any] = {"gevent": gevent}
    exec(compile("def hidden():\n    raise KeyError\n", "<made up>", "exec"), names)
    text = str(explore([names["hidden"]])).splitlines()
    assert text[:2] == ["hidden raised KeyError", "  at <made up>:2 in hidden"]
