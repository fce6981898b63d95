"""A program that goes another way with the same choices is reported, and one that does not never is."""

import itertools
import os
import random
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import gevent
import pytest
from gevent.event import Event
from hypothesis import given, settings
from hypothesis import strategies as st

from greenlane.testing.interleave import InterleavingError, exhaustive, explore, gevent_order, pct, replay
from greenlane.testing.interleave import random as random_orders

counter = itertools.count()


def _bits() -> int:
    return random.getrandbits(4)


SOURCES: dict[str, Callable[[], int]] = {
    "a counter kept from run to run": lambda: next(counter),
    "chance": _bits,
    "the system": lambda: os.urandom(1)[0],
    "the real time": lambda: datetime.now(tz=UTC).microsecond,
    "the order of a set": lambda: hash(object()) // 16 + next(counter),
}


def wavering(source: Callable[[], int]) -> Callable[[], Any]:
    """Return a program whose number of switches depends on ``source``."""

    def program() -> Any:
        def function() -> None:
            for _step in range(1 + source() % 3):
                gevent.sleep(0)

        yield [function, function]

    return program


@pytest.mark.parametrize("mode", [exhaustive(), random_orders(1, 500), pct(1, 2, 500)])
@pytest.mark.parametrize("source", SOURCES)
def test_what_decides_beside_the_order_is_noticed(source: str, mode: Any) -> None:
    exploration = explore(wavering(SOURCES[source]), mode)
    assert exploration.failure is not None
    assert exploration.failure.problem.kind == "nondeterministic"
    assert not exploration.covered
    text = str(exploration).splitlines()
    assert text[0].startswith("the program is not deterministic: the same choices led elsewhere.")
    assert text[1].startswith("  noticed after ")


def test_the_report_says_where_the_runs_part() -> None:
    turns = itertools.count()

    def program() -> Any:
        def steady() -> None:
            gevent.sleep(0)

        def wavers() -> None:
            if next(turns) % 2:
                gevent.sleep(1)
            gevent.sleep(2)

        yield [steady, wavers]

    failure = explore(program).failure
    assert failure is not None
    parting = failure.problem.parting
    assert parting is not None
    assert parting.number > 1, "the first steps are the same"
    assert parting.once is not None
    assert parting.then is not None
    assert parting.once.task == parting.then.task == "wavers"
    report = str(explore(program))
    assert f"  runs part at step {parting.number}:" in report
    for seconds in (1, 2):
        assert re.search(
            rf"^    (once|then)  wavers  to .* in wavers: gevent.sleep\({seconds}\)$", report, re.M
        )


def test_one_of_the_runs_may_have_no_more_steps() -> None:
    turns = itertools.count()

    def always() -> None:
        pass

    def sometimes() -> None:
        pass

    def program() -> Any:
        yield [always, sometimes][: 1 + next(turns) % 2]

    exploration = explore(program)
    assert exploration.failure is not None
    parting = exploration.failure.problem.parting
    assert parting is not None
    assert (parting.once is None) is not (parting.then is None)
    assert "no more steps" in str(exploration)


def test_where_they_part_is_left_out_when_it_does_not_show_again() -> None:
    runs = itertools.count()

    def program() -> Any:
        def function() -> None:
            for _step in range(1 + (next(runs) == 0)):
                gevent.sleep(0)

        yield [function]

    failure = explore(program).failure
    assert failure is not None
    assert failure.problem.parting is None
    assert "part at step" not in str(failure)


def test_a_failure_that_does_not_come_again_is_noticed() -> None:
    """The same switches, and another end."""
    runs = itertools.count()

    def program() -> Any:
        def function() -> None:
            gevent.sleep(0)

        yield [function, function]
        run = next(runs)
        if run == 3:
            raise AssertionError(run)

    exploration = explore(program)
    assert exploration.failure is not None
    problem = exploration.failure.problem
    assert problem.kind == "nondeterministic"
    # What failed is told nevertheless: a race must not get lost behind the other fault.
    assert isinstance(problem.error, AssertionError)
    assert problem.message.endswith("; one run of it failed: a check failed: AssertionError: 3")
    assert str(exploration).splitlines()[1].startswith("  at test_determinism.py:")
    with pytest.raises(InterleavingError) as caught:
        exploration.check()
    assert caught.value.__cause__ is problem.error


def test_a_failure_in_the_first_run_only_is_noticed_even_in_a_single_order() -> None:
    runs = itertools.count()

    def program() -> Any:
        yield [lambda: None]
        assert next(runs) != 0

    failure = explore(program, gevent_order()).failure
    assert failure is not None
    assert failure.problem.kind == "nondeterministic"


def test_a_single_run_that_went_another_way_is_noticed_by_the_next() -> None:
    """Few orders are run twice; in all orders, each must begin as the one before it."""
    runs = itertools.count()

    def program() -> Any:
        odd = next(runs) == 9

        def function() -> None:
            for _step in range(3 if odd else 2):
                gevent.sleep(0)

        yield [function, function]

    exploration = explore(program)
    assert exploration.failure is not None
    assert exploration.failure.problem.kind == "nondeterministic"
    assert exploration.schedules < 20


def test_a_replay_of_what_is_not_deterministic_is_told_from_one_that_does_not_fit() -> None:
    runs = itertools.count()

    def program() -> Any:
        yield [lambda: None]
        assert next(runs) != 0

    failure = explore(program, replay("0")).failure
    assert failure is not None
    assert failure.problem.kind == "nondeterministic"


def test_another_kind_of_exception_is_another_end() -> None:
    runs = itertools.count()

    def program() -> Any:
        yield [lambda: None]
        raise (KeyError if next(runs) % 2 else IndexError)

    failure = explore(program).failure
    assert failure is not None
    assert failure.problem.kind == "nondeterministic"


calls = st.lists(
    st.sampled_from(["yield", "sleep", "wait", "set", "spawn", "timeout"]), min_size=1, max_size=3
)


@settings(max_examples=40, deadline=None)
@given(st.lists(calls, min_size=1, max_size=3), st.sampled_from(["deadline", "any"]), st.integers(0, 9))
def test_a_deterministic_program_is_never_called_otherwise(
    functions: list[list[str]], sleeps: Any, seed: int
) -> None:
    def program() -> Any:
        event = Event()

        def run(names: list[str]) -> None:
            for name in names:
                if name == "yield":
                    gevent.sleep(0)
                elif name == "sleep":
                    gevent.sleep(1)
                elif name == "wait":
                    event.wait(2)
                elif name == "set":
                    event.set()
                elif name == "spawn":
                    gevent.spawn(event.wait)
                else:
                    with pytest.raises(gevent.Timeout), gevent.Timeout(1):
                        gevent.sleep(3)

        yield [lambda names=names: run(names) for names in functions]

    for mode in (exhaustive(), random_orders(seed, 30), pct(seed, 3, 30)):
        exploration = explore(program, mode, sleeps=sleeps, max_schedules=200)
        # It may fail (with any sleeper, a sleep of 3 may end before a timeout of 1), the same each time.
        assert exploration.failure is None or exploration.failure.problem.kind in ("exception", "deadlock")
