"""The loop is true to gevent: in gevent's own order, a program does what it does under gevent's own loop.

Programs are made up by hypothesis from the ordinary calls, and run under both. Left
out is what has no order of its own there: several greenlets in gevent.idle(), and
deadlines at the very same moment.
"""

from typing import Any

import gevent
from gevent.event import AsyncResult, Event
from gevent.lock import BoundedSemaphore, Semaphore
from gevent.queue import Channel, Queue
from hypothesis import given, settings
from hypothesis import strategies as st

from greenlane.testing.interleave import explore, gevent_order

Call = tuple[Any, ...]

#: Seconds that real deadlines lie apart. A busy machine may be later than the first, so a run that went
#: otherwise is taken again with the next; a fault of the loop shows with all of them.
UNITS = (0.004, 0.008, 0.016, 0.032, 0.064, 0.128)


class Machine:
    """What a made-up program works with, and what it did."""

    def __init__(self, unit: float) -> None:
        self.unit = unit
        self.log: list[object] = []
        self.events = [Event(), Event()]
        self.results: list[AsyncResult[str]] = [AsyncResult(), AsyncResult()]
        self.locks = [Semaphore(1), Semaphore(2), BoundedSemaphore(1)]
        self.queues: list[Any] = [Queue(), Queue(maxsize=1), Channel()]
        self.greenlets: list[gevent.Greenlet[..., Any]] = []

    def spawn(self, name: str, calls: list[Call]) -> None:
        self.greenlets.append(gevent.spawn(self.run, name, calls))

    def run(self, name: str, calls: list[Call]) -> None:
        try:
            for place, (what, *args) in enumerate(calls):
                self.log.append((name, place, what))
                try:
                    got = getattr(self, what)(*args, f"{name}.{place}")
                except (ValueError, gevent.Timeout) as error:
                    got = type(error).__name__
                self.log.append((name, place, got))
        except gevent.GreenletExit:
            self.log.append((name, "killed"))
        finally:
            self.log.append((name, "ends"))

    def yield_(self, _at: str) -> None:
        gevent.sleep(0)

    def set(self, number: int, _at: str) -> None:
        self.events[number].set()

    def clear(self, number: int, _at: str) -> None:
        self.events[number].clear()

    def wait(self, number: int, _at: str) -> object:
        return self.events[number].wait()

    def tell(self, number: int, at: str) -> None:
        self.results[number].set(at)

    def hear(self, number: int, _at: str) -> object:
        return self.results[number].get()

    def put(self, number: int, at: str) -> None:
        self.queues[number].put(at)

    def get(self, number: int, _at: str) -> object:
        return self.queues[number].get()

    def acquire(self, number: int, _at: str) -> object:
        return self.locks[number].acquire()

    def release(self, number: int, _at: str) -> None:
        self.locks[number].release()

    def child(self, calls: list[Call], at: str) -> None:
        self.spawn(at, calls)

    def other(self, number: int) -> "gevent.Greenlet[..., Any]":
        chosen = self.greenlets[number % len(self.greenlets)]
        return self.greenlets[0] if chosen is gevent.getcurrent() else chosen

    def kill(self, number: int, block: bool, _at: str) -> None:
        self.other(number).kill(block=block)

    def join(self, number: int, _at: str) -> None:
        if self.other(number) is not gevent.getcurrent():
            self.other(number).join()

    def wait_for_any(self, _at: str) -> int:
        return len(gevent.wait([*self.events, *self.results], count=1))

    # With time.

    def sleep(self, units: int, _at: str) -> None:
        gevent.sleep(units * self.unit)

    def sleep_at_most(self, units: int, limit: int, _at: str) -> None:
        with gevent.Timeout(limit * self.unit):
            gevent.sleep(units * self.unit)

    def wait_at_most(self, number: int, limit: int, _at: str) -> object:
        return self.events[number].wait(limit * self.unit)


def under_gevent(program: list[list[Call]], unit: float = 0) -> list[object]:
    machine = Machine(unit)
    for number, calls in enumerate(program):
        machine.spawn(f"f{number}", calls)
    gevent.get_hub().join()
    done = len(machine.log)
    gevent.killall(machine.greenlets)
    del machine.log[done:]
    return machine.log


def under_the_loop(program: list[list[Call]]) -> list[object]:
    logs: list[list[object]] = []
    lengths: list[int] = []

    def body() -> Any:
        machine = Machine(unit=1)
        logs.append(machine.log)
        for number, calls in enumerate(program):
            machine.spawn(f"f{number}", calls)
        try:
            yield list(machine.greenlets)
        finally:
            lengths.append(len(machine.log))

    exploration = explore(body, gevent_order(), max_shrinks=0)
    assert exploration.failure is None or exploration.failure.problem.kind == "deadlock"
    return logs[0][: lengths[0]]


two = st.integers(0, 1)
three = st.integers(0, 2)
plain: st.SearchStrategy[Call] = st.one_of(
    st.sampled_from([("yield_",), ("wait_for_any",)]),
    st.tuples(st.sampled_from(["set", "clear", "wait", "tell", "hear"]), two),
    st.tuples(st.sampled_from(["put", "get", "acquire", "release"]), three),
    st.tuples(st.just("join"), st.integers(0, 4)),
    st.tuples(st.just("kill"), st.integers(0, 4), st.booleans()),
)
calls = st.recursive(
    st.lists(plain, max_size=6),
    lambda inner: st.lists(plain | st.tuples(st.just("child"), inner), max_size=6),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(calls, min_size=1, max_size=4))
def test_what_is_ready_goes_on_in_the_order_of_gevent(program: list[list[Call]]) -> None:
    assert under_the_loop(program) == under_gevent(program)


@st.composite
def timed_programs(draw: st.DrawFn) -> list[list[Call]]:
    """Programs whose deadlines are never equal: sums of different powers of two."""
    powers = iter([1, 2, 4, 8, 16])
    program = draw(st.lists(st.lists(plain, max_size=2), min_size=2, max_size=3))
    for power in powers:
        greenlet = draw(st.sampled_from(program))
        kind = draw(st.sampled_from(["sleep", "sleep_at_most", "wait_at_most"]))
        if kind == "sleep":
            greenlet.append(("sleep", power))
        elif kind == "wait_at_most":
            greenlet.append(("wait_at_most", draw(two), power))
        elif (other := next(powers, None)) is not None:
            units, limit = draw(st.permutations([power, other]))
            greenlet.append(("sleep_at_most", units, limit))
        greenlet += draw(st.lists(plain, max_size=1))
    return program


@settings(max_examples=12, deadline=None)
@given(timed_programs())
def test_sleepers_and_timeouts_come_in_the_order_of_gevent(program: list[list[Call]]) -> None:
    expected = under_the_loop(program)
    for unit in UNITS:
        log = under_gevent(program, unit)
        if log == expected:
            return
    assert log == expected
