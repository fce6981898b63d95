"""Between runs and afterwards: nothing of a program stays, and the thread's own hub goes on."""

import contextvars
import gc
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Sequence
from typing import Any

import gevent
import greenlet
import pytest
from gevent._hub_local import get_hub_if_exists
from gevent.event import Event
from gevent.hub import Hub, get_hub

from greenlane.context import Local, LocalStack
from greenlane.testing.interleave import explore
from greenlane.testing.interleave import random as random_orders


def test_what_still_waits_is_ended_before_the_next_run() -> None:
    alive: Counter[str] = Counter()

    def program() -> Any:
        assert not +alive, "somebody of the run before is still there"

        def waiting(name: str) -> None:
            alive[name] += 1
            try:
                Event().wait()
            finally:
                gevent.sleep(1)
                alive[name] -= 1

        def sleeping() -> None:
            alive["sleeping"] += 1
            try:
                gevent.sleep(60)
            finally:
                alive["sleeping"] -= 1

        def broken() -> None:
            gevent.sleep(0)
            raise KeyError("ends the run")

        gevent.spawn(waiting, "child")
        gevent.spawn_raw(waiting, "raw")
        gevent.spawn(sleeping)
        yield [broken]

    exploration = explore(program)
    assert exploration.failure is not None
    assert set(alive) == {"child", "raw", "sleeping"}
    assert not +alive


def test_one_who_will_not_be_ended_does_not_hold_up_the_search() -> None:
    def program() -> Any:
        def stubborn() -> None:
            while True:
                try:
                    gevent.sleep(0)
                except gevent.GreenletExit:
                    continue

        def broken() -> None:
            raise KeyError

        yield [stubborn, broken]

    exploration = explore(program, max_steps=20, max_shrinks=3)
    assert exploration.failure is not None
    assert explore([lambda: None]).covered


def test_timers_that_are_left_do_not_run_into_the_next_run() -> None:
    fired: list[int] = []
    runs = 0

    def program() -> Any:
        nonlocal runs
        runs += 1
        number = runs
        timer = gevent.get_hub().loop.timer(60)
        keep.append(timer)

        def broken() -> None:
            timer.start(fired.append, number)
            raise KeyError

        yield [broken]

    keep: list[object] = []
    assert explore(program).failure is not None
    assert runs >= 2
    assert fired == []


def test_a_timer_that_repeats_goes_on_until_it_is_stopped() -> None:
    ticks: list[float] = []

    def program() -> Any:
        ticks.clear()

        def function() -> None:
            timer: Any = gevent.get_hub().loop.timer(1, 2)
            timer.start(lambda: ticks.append(gevent.get_hub().loop.now()))
            gevent.sleep(6)
            assert timer.active
            timer.close()
            assert not timer.active

        yield [function]

    explore(program).check()
    assert [tick - ticks[0] for tick in ticks] == [0, 2, 4]


def test_the_hub_of_the_thread_stands_still_and_then_goes_on() -> None:
    hub = get_hub()
    log: list[str] = []
    waiting = gevent.spawn(log.append, "outside")

    def program() -> Any:
        assert get_hub() is not hub
        yield [lambda: gevent.sleep(0)]
        assert log == []

    explore(program).check()
    assert get_hub() is hub
    waiting.join()
    gevent.sleep(0.001)
    assert log == ["outside"]


def test_it_explores_from_within_a_greenlet() -> None:
    def inner() -> int:
        found = explore([lambda: gevent.sleep(0), lambda: None])
        gevent.sleep(0)
        return found.schedules

    assert gevent.spawn(inner).get() == 3


def test_it_explores_in_a_native_thread_that_has_no_hub() -> None:
    found: list[object] = []

    def elsewhere() -> None:
        found.append(explore([lambda: gevent.sleep(3600), lambda: None]).schedules)
        found.append(get_hub_if_exists())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(30)
    assert found == [2, None]


def test_no_hub_greenlet_or_object_is_left() -> None:
    def program() -> Any:
        event = Event()
        never = Event()

        def function() -> None:
            with gevent.Timeout(5):
                event.wait(1)
                gevent.spawn(never.wait)
                gevent.sleep(0)

        yield [function, function, event.set]

    def census() -> tuple[int, int, int]:
        gc.collect()
        objects = gc.get_objects()
        hubs = sum(1 for thing in objects if isinstance(thing, Hub))
        greenlets = sum(1 for thing in objects if isinstance(thing, greenlet.greenlet))
        return hubs, greenlets, len(objects)

    explore(program, random_orders(1, 50)).check()
    hubs, greenlets, objects = census()
    explore(program, random_orders(2, 1_500)).check()
    after = census()
    assert after[:2] == (hubs, greenlets)
    assert after[2] < objects + 500


def test_a_greenlet_goes_away_in_the_run_as_soon_as_the_program_lets_go_of_it() -> None:
    def program() -> Any:
        gone: list[bool] = []

        def parent() -> None:
            child = gevent.spawn(gevent.sleep, 0)
            reference = weakref.ref(child)
            child.join()
            del child
            gevent.sleep(0)
            gone.append(reference() is None)

        yield [parent, lambda: gevent.sleep(0)]
        assert gone == [True]

    assert explore(program).check().covered


def test_a_trace_function_of_greenlet_is_put_back() -> None:
    events: list[str] = []

    def trace(event: str, _switch: object) -> None:
        events.append(event)

    former = greenlet.settrace(trace)
    try:
        explore([lambda: gevent.sleep(0)])
        assert greenlet.gettrace() is trace
    finally:
        greenlet.settrace(former)


# Data of a greenlet


VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="outside")


def test_each_greenlet_has_a_context_of_its_own() -> None:
    def program() -> Any:
        def function(name: str) -> None:
            assert VARIABLE.get() == "outside"
            VARIABLE.set(name)
            gevent.sleep(0)
            assert VARIABLE.get() == name

        yield [lambda: function("a"), lambda: function("b")]

    assert explore(program).check().schedules == 6
    assert VARIABLE.get() == "outside"


def test_locals_and_stacks_are_empty_after_every_order() -> None:
    """B53: without release, and their clean-up is no choice: 6 orders of two functions of two steps."""
    local, stack = Local(), LocalStack[str]()

    def program() -> Any:
        def function(name: str) -> None:
            local.name = name
            stack.push(name)
            gevent.sleep(0)
            assert (local.name, stack.top) == (name, name)

        yield [lambda: function("a"), lambda: function("b")]
        assert not local.__storage__

    assert explore(program).check().schedules == 6


# Interrupts

INTERRUPTED = """
import os, signal, sys, threading, time
import gevent
from gevent.hub import get_hub
from greenlane.testing.interleave import explore

hub, real = get_hub(), time.monotonic
cleaned = 0
runs = 0

def program():
    global runs
    runs += 1
    def waiting():
        global cleaned
        try:
            gevent.sleep(60)
        finally:
            cleaned += 1
    def busy():
        for step in range(5):
            gevent.sleep(0)
    yield [waiting, busy, busy, busy]

def signaller():
    while runs < 100:
        real_sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)

real_sleep = time.sleep
threading.Thread(target=signaller).start()
try:
    explore(program, max_schedules=10**9)
except KeyboardInterrupt as interrupt:
    print(*interrupt.__notes__)
assert get_hub() is hub and time.monotonic is real
gevent.sleep(0.001)
print(cleaned <= runs and cleaned >= runs - 1, explore([lambda: None]).covered)
"""


def test_an_interrupt_ends_the_search_and_leaves_all_as_it_was() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first.startswith("interleave: interrupted after ")
    assert first.endswith(" orders, none of which failed")
    assert second == "True True"


class Interrupted:
    """A mode that is interrupted when it chooses, which is in the hub, between two greenlets."""

    def choosers(self) -> Any:
        """Yield itself, for one run."""
        yield self

    def choose(self, tasks: Sequence[object], fifo: int) -> int:
        """Be interrupted, once both are waiting."""
        if waiting:
            raise KeyboardInterrupt
        return fifo


waiting: list[str] = []


def test_an_interrupt_of_the_hub_does_not_keep_greenlets_from_cleaning_up() -> None:
    def program() -> Any:
        def function() -> None:
            waiting.append("waits")
            try:
                gevent.sleep(0)
            finally:
                waiting.pop()

        yield [function, function]

    with pytest.raises(KeyboardInterrupt):
        explore(program, Interrupted())
    assert waiting == []


def test_an_interrupt_of_the_shrinking_tells_what_was_found() -> None:
    runs = 0

    def program() -> Any:
        nonlocal runs
        runs += 1
        log: list[int] = []

        def function(number: int) -> None:
            gevent.sleep(0)
            log.append(number)

        yield [lambda: function(0), lambda: function(1)]
        if runs > 6:
            raise KeyboardInterrupt
        assert log == [0, 1]

    with pytest.raises(KeyboardInterrupt) as caught:
        explore(program)
    assert caught.value.__notes__ == ["interleave: interrupted after 2 orders, one fails: replay('1:1')"]


@pytest.mark.parametrize("where", ["function", "set-up", "check", "clean-up", "callback"])
def test_an_interrupt_is_heard_wherever_it_comes(where: str) -> None:
    def interrupt(here: str) -> None:
        if here == where:
            os.kill(os.getpid(), signal.SIGINT)
            for _wait in range(1_000):
                pass

    def program() -> Any:
        interrupt("set-up")
        event = Event()
        event.rawlink(lambda _event: interrupt("callback"))

        def waiting() -> None:
            try:
                Event().wait()
            finally:
                interrupt("clean-up")

        def function() -> None:
            event.set()
            gevent.spawn(waiting)
            gevent.sleep(0)
            interrupt("function")

        yield [function]
        interrupt("check")

    with pytest.raises(KeyboardInterrupt):
        explore(program)
    assert explore([lambda: gevent.sleep(0)]).covered
