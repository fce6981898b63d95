"""Everything of gevent that waits: what each may do in some order, and what it may not.

Each test collects what is logged in all orders, and compares it with what can be.
"""

from collections.abc import Callable
from itertools import permutations
from typing import Any

import gevent
import pytest
from gevent.event import AsyncResult, Event
from gevent.local import local
from gevent.lock import BoundedSemaphore, RLock, Semaphore
from gevent.pool import Group, Pool
from gevent.queue import Channel, Empty, Full, JoinableQueue, LifoQueue, PriorityQueue, Queue, SimpleQueue

from greenlane.testing.interleave import Exploration, explore, gevent_order

Log = list[Any]
Body = Callable[[Log], list[Any]]

BOTH = {("a", "b"), ("b", "a")}


def outcomes(body: Body, **options: Any) -> set[tuple[Any, ...]]:
    """Return everything that the functions of ``body`` log in some order."""
    return explored(body, **options)[0]


def explored(body: Body, **options: Any) -> tuple[set[tuple[Any, ...]], Exploration]:
    seen: set[tuple[Any, ...]] = set()

    def program() -> Any:
        log: Log = []
        yield body(log)
        seen.add(tuple(log))

    exploration = explore(program, **options).check()
    assert exploration.covered
    return seen, exploration


def pausing(pause: Callable[[], object], log: Log, name: str) -> Callable[[], None]:
    def function() -> None:
        pause()
        log.append(name)

    return function


def quiet(seconds: float) -> gevent.Timeout:
    """Return a timeout that ends its block and is not raised from it."""
    return gevent.Timeout(seconds, False)  # type: ignore[arg-type]  # the stubs do not know of it


# Sleeping


def test_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    def body(log: Log) -> list[Any]:
        return [
            pausing(lambda: gevent.sleep(2), log, "2"),
            pausing(lambda: gevent.sleep(1), log, "1"),
            pausing(lambda: gevent.sleep(0), log, "0"),
        ]

    assert outcomes(body) == {("0", "1", "2")}
    assert outcomes(body, sleeps="any") == set(permutations("012"))


def test_equal_deadlines_are_a_choice() -> None:
    def body(log: Log) -> list[Any]:
        return [pausing(lambda: gevent.sleep(1.5), log, name) for name in "ab"]

    assert outcomes(body) == BOTH


def test_deadlines_are_equal_by_what_they_say_and_not_by_how_floats_add_up() -> None:
    def body(log: Log) -> list[Any]:
        def in_three() -> None:
            for _part in range(3):
                gevent.sleep(1.001)

        return [pausing(in_three, log, "a"), pausing(lambda: gevent.sleep(3.003), log, "b")]

    assert 1.001 * 1e9 != 1_001_000_000
    assert outcomes(body) == BOTH


def test_an_idle_greenlet_waits_for_all_that_is_ready_but_not_for_time() -> None:
    def body(log: Log) -> list[Any]:
        def two() -> None:
            gevent.sleep(0)
            gevent.sleep(0)

        return [
            pausing(gevent.idle, log, "idle"),
            pausing(two, log, "ready"),
            pausing(lambda: gevent.sleep(0.001), log, "later"),
        ]

    assert outcomes(body) == {("ready", "idle", "later")}


def test_idle_greenlets_come_in_any_order() -> None:
    assert outcomes(lambda log: [pausing(gevent.idle, log, name) for name in "ab"]) == BOTH


# Greenlets


def test_a_child_starts_at_any_moment_and_join_waits_for_it() -> None:
    def body(log: Log) -> list[Any]:
        def parent() -> None:
            child = gevent.spawn(log.append, "child")
            gevent.sleep(0)
            log.append("parent")
            child.join()
            log.append("joined")

        return [parent]

    assert outcomes(body) == {("child", "parent", "joined"), ("parent", "child", "joined")}


def test_spawn_later_waits_for_its_time() -> None:
    def body(log: Log) -> list[Any]:
        def parent() -> None:
            later = gevent.spawn_later(2, log.append, "later")
            gevent.sleep(1)
            log.append("earlier")
            assert not later.ready()

        return [parent]

    assert outcomes(body) == {("earlier", "later")}


def test_raw_greenlets_take_part() -> None:
    def body(log: Log) -> list[Any]:
        def child(name: str) -> None:
            gevent.sleep(0)
            log.append(name)

        return [lambda: gevent.spawn_raw(child, "a"), lambda: gevent.spawn_raw(child, name="b")]

    assert outcomes(body) == BOTH


def test_joinall_and_wait_take_what_ends_first() -> None:
    def body(log: Log) -> list[Any]:
        def parent() -> None:
            children = [gevent.spawn(pausing(gevent.sleep, log, name)) for name in "ab"]
            done = gevent.wait(children, count=1)
            log.append(children.index(done[0]))
            gevent.joinall(children)
            log.append("all")

        return [parent]

    seen = outcomes(body)
    assert {log[-1] for log in seen} == {"all"}
    assert {tuple(entry for entry in log if isinstance(entry, str)) for log in seen} == {
        ("a", "b", "all"),
        ("b", "a", "all"),
    }
    assert {log[log.index(0) if 0 in log else log.index(1)] for log in seen} == {0, 1}


def test_iwait_yields_in_the_order_in_which_they_end() -> None:
    def body(log: Log) -> list[Any]:
        def parent() -> None:
            children = [gevent.spawn(gevent.sleep, seconds) for seconds in (3, 1, 2)]
            log.extend(children.index(child) for child in gevent.iwait(children))

        return [parent]

    assert outcomes(body) == {(1, 2, 0)}


def test_links_and_linked_values() -> None:
    def body(log: Log) -> list[Any]:
        def parent() -> None:
            value: AsyncResult[int] = AsyncResult()
            child = gevent.spawn(lambda: 7)
            child.link(lambda _child: log.append("linked"))
            child.rawlink(value)
            log.append(value.get())

        return [parent]

    # gevent calls links in the order in which they were made.
    assert outcomes(body) == {("linked", 7)}


def test_a_kill_reaches_its_victim_before_during_and_after_its_steps() -> None:
    def body(log: Log) -> list[Any]:
        def victim() -> None:
            try:
                log.append("starts")
                gevent.sleep(0)
                log.append("goes on")
            except gevent.GreenletExit:
                log.append("killed")

        child = gevent.Greenlet(victim)

        def killer() -> None:
            child.kill(block=False)

        return [child, killer]

    assert outcomes(body) == {(), ("starts", "killed"), ("starts", "goes on")}


def test_a_kill_that_blocks_returns_when_the_victim_is_dead() -> None:
    def body(log: Log) -> list[Any]:
        def victim() -> None:
            try:
                gevent.sleep(60)
            finally:
                gevent.sleep(0)
                log.append("cleaned up")

        def killer() -> None:
            child = gevent.spawn(victim)
            gevent.sleep(0)
            child.kill()
            log.append(child.dead)

        return [killer]

    assert outcomes(body) == {(True,), ("cleaned up", True)}


def test_a_kill_goes_on_with_the_victim() -> None:
    """It is offered first only when its victim ran last; so killing costs a switch, like waking."""
    victims: list[str] = []

    def program() -> Any:
        def victim() -> None:
            try:
                gevent.sleep(60)
            finally:
                victims.append("killed")

        child = gevent.Greenlet(victim)

        def killer() -> None:
            gevent.sleep(1)
            child.kill(block=False)
            gevent.sleep(0)
            assert not child.dead

        yield [child, killer]

    failure = explore(program).failure
    assert failure is not None
    assert [step.task for step in failure.trace][-2:] == ["victim", "killer"]
    assert [step.thrown for step in failure.trace if step.task == "victim"] == [False, True]


# Timeouts


def test_a_timeout_ends_what_takes_longer_and_nothing_else() -> None:
    def body(log: Log) -> list[Any]:
        def function() -> None:
            with quiet(1):
                gevent.sleep(0.999)
                log.append("in time")
                gevent.sleep(0.002)
                log.append("never")
            timeout = gevent.Timeout.start_new(1)
            gevent.sleep(0.5)
            timeout.cancel()
            gevent.sleep(10)
            log.append("cancelled")

        return [function]

    assert outcomes(body) == {("in time", "cancelled")}


def test_the_inner_of_nested_timeouts_may_be_the_later_one() -> None:
    def body(log: Log) -> list[Any]:
        def function() -> None:
            with gevent.Timeout(1) as outer:
                try:
                    with gevent.Timeout(2):
                        gevent.sleep(3)
                except gevent.Timeout as error:
                    log.append(error is outer)

        return [function]

    assert outcomes(body) == {(True,)}


def test_a_timeout_at_the_very_moment_of_a_deadline_may_come_before_or_after_it() -> None:
    def body(log: Log) -> list[Any]:
        def function() -> None:
            with quiet(1):
                gevent.sleep(1)
                log.append("slept")

        return [function]

    assert outcomes(body) == {(), ("slept",)}


def test_gevent_takes_a_sleep_before_a_timeout_of_the_same_moment() -> None:
    """A Timeout has a lower priority there."""
    log: Log = []

    def function() -> None:
        with quiet(1):
            gevent.sleep(1)
            log.append("slept")

    explore([function], gevent_order()).check()
    assert set(log) == {"slept"}


def test_with_any_sleeper_a_timeout_comes_at_every_wait() -> None:
    def body(log: Log) -> list[Any]:
        def function() -> None:
            with quiet(100):
                for step in range(3):
                    gevent.sleep(0)
                    log.append(step)

        return [function]

    assert outcomes(body) == {(0, 1, 2)}
    assert outcomes(body, sleeps="any") == {(), (0,), (0, 1), (0, 1, 2)}


def test_with_timeout_gives_its_value_instead() -> None:
    def body(log: Log) -> list[Any]:
        return [lambda: log.append(gevent.with_timeout(1, gevent.sleep, 2, timeout_value="late"))]

    assert outcomes(body) == {("late",)}


# Events and results


@pytest.mark.parametrize("make", [Event, AsyncResult])
def test_those_who_wait_for_one_event_go_on_in_every_order(make: Callable[[], Any]) -> None:
    def body(log: Log) -> list[Any]:
        event = make()
        return [*(pausing(event.wait, log, name) for name in "abc"), event.set]

    assert outcomes(body) == set(permutations("abc"))


class Lists(Event):
    """An event that keeps lists of its own, one of them in a slot."""

    __slots__ = ("first",)

    def __init__(self) -> None:
        super().__init__()
        self.first = ["first"]


class Worker(gevent.Greenlet):  # type: ignore[type-arg]  # it takes none when it runs
    """A greenlet that keeps a list, and returns one."""

    def _run(self) -> list[str]:
        self.kept = ["kept"]
        gevent.sleep(0)
        return ["value"]


def one_after_the_other(wait: Callable[[], object], log: Log) -> list[Any]:
    """Return two functions that wait, and always come in the same order."""

    def function(after: int, name: str) -> None:
        gevent.sleep(after)
        wait()
        log.append(name)

    return [lambda: function(1, "a"), lambda: function(2, "b")]


def test_those_who_wait_are_found_in_subclasses_and_beside_other_lists() -> None:
    def event(log: Log) -> list[Any]:
        event = Lists()
        gevent.spawn_later(9, event.set)
        return one_after_the_other(event.wait, log)

    def worker(log: Log) -> list[Any]:
        worker = Worker()
        worker.start_later(9)
        return one_after_the_other(worker.join, log)

    def result(log: Log) -> list[Any]:
        result: AsyncResult[list[str]] = AsyncResult()
        gevent.spawn_later(9, result.set, ["value"])
        return one_after_the_other(result.get, log)

    for body in (event, worker, result):
        assert outcomes(body) == BOTH


def test_the_order_of_those_woken_together_is_a_choice_even_when_they_came_in_one() -> None:
    def body(log: Log) -> list[Any]:
        event = Event()

        def wait(after: int) -> None:
            gevent.sleep(after)
            event.wait()
            log.append(after)

        def setter() -> None:
            gevent.sleep(9)
            event.set()

        return [lambda: wait(1), lambda: wait(2), lambda: wait(3), setter]

    assert outcomes(body) == set(permutations((1, 2, 3)))


def test_one_who_comes_when_the_event_was_set_is_among_those_woken() -> None:
    def body(log: Log) -> list[Any]:
        event = Event()

        def first() -> None:
            event.wait()
            log.append("waited")

        def setter() -> None:
            gevent.sleep(1)
            event.set()
            event.wait()
            log.append("came late")

        return [first, setter]

    assert outcomes(body) == {("waited", "came late"), ("came late", "waited")}


def test_an_event_that_nobody_waits_for_any_more_is_harmless() -> None:
    def body(log: Log) -> list[Any]:
        event = Event()

        def function() -> None:
            event.rawlink(log.append)
            event.set()
            event.unlink(log.append)
            gevent.sleep(0)
            event.clear()
            event.rawlink(lambda _event: log.append("told"))
            event.set()

        return [function]

    assert outcomes(body) == {("told",)}


def test_waiting_with_a_timeout() -> None:
    def body(log: Log) -> list[Any]:
        event = Event()
        result: AsyncResult[int] = AsyncResult()

        def wait() -> None:
            log.append(event.wait(1))
            with pytest.raises(gevent.Timeout):
                result.get(timeout=1)

        return [wait]

    assert outcomes(body) == {(False,)}


def test_a_result_may_be_an_exception() -> None:
    def body(log: Log) -> list[Any]:
        result: AsyncResult[int] = AsyncResult()

        def get() -> None:
            with pytest.raises(KeyError, match="lost"):
                result.get()
            log.append("raised")

        return [get, lambda: result.set_exception(KeyError("lost"))]

    assert outcomes(body) == {("raised",)}


# Locks


@pytest.mark.parametrize("make", [lambda: Semaphore(1), lambda: BoundedSemaphore(1), RLock])
def test_a_lock_lets_one_in_at_a_time(make: Callable[[], Any]) -> None:
    def body(log: Log) -> list[Any]:
        lock = make()

        def function(name: str) -> None:
            with lock:
                log.append(f"{name} in")
                gevent.sleep(0)
                log.append(f"{name} out")

        return [lambda: function("a"), lambda: function("b")]

    assert outcomes(body) == {
        ("a in", "a out", "b in", "b out"),
        ("b in", "b out", "a in", "a out"),
    }


def test_a_lock_goes_to_those_who_wait_in_the_order_in_which_they_came() -> None:
    """Gevent promises it, so it is no choice."""

    def body(log: Log) -> list[Any]:
        lock = Semaphore(0)

        def wait(after: int) -> None:
            gevent.sleep(after)
            lock.acquire()
            log.append(after)

        def open_for_both() -> None:
            gevent.sleep(9)
            lock.release()
            lock.release()

        return [lambda: wait(1), lambda: wait(2), open_for_both]

    assert outcomes(body) == {(1, 2)}


def test_a_lock_that_is_let_go_may_be_taken_before_the_one_who_waits() -> None:
    """Gevent lets a running greenlet take it again at once, and the one who waits goes on waiting."""

    def body(log: Log) -> list[Any]:
        lock = Semaphore(1)

        def twice() -> None:
            for _time in range(2):
                with lock:
                    log.append("a")
                    gevent.sleep(0)

        def once() -> None:
            with lock:
                log.append("b")

        return [twice, once]

    assert outcomes(body) == {("a", "a", "b"), ("b", "a", "a")}


def test_a_lock_may_be_waited_for_with_a_timeout() -> None:
    def body(log: Log) -> list[Any]:
        lock = Semaphore(0)
        return [lambda: log.append(lock.acquire(timeout=1)), lambda: log.append(lock.acquire(blocking=False))]

    assert outcomes(body) == {(False, False)}


# Queues


@pytest.mark.parametrize("make", [Queue, JoinableQueue, SimpleQueue, LifoQueue, PriorityQueue, Channel])
def test_what_is_put_is_got_once(make: Callable[[], Any]) -> None:
    def body(log: Log) -> list[Any]:
        queue = make()
        return [
            lambda: queue.put(1),
            lambda: queue.put(2),
            lambda: log.append(queue.get()),
            lambda: log.append(queue.get()),
        ]

    assert outcomes(body) == {(1, 2), (2, 1)}


def test_a_full_queue_lets_one_wait_until_there_is_room() -> None:
    def body(log: Log) -> list[Any]:
        queue: Queue[int] = Queue(maxsize=1)

        def put() -> None:
            for number in range(3):
                queue.put(number)
                log.append("put")

        def get() -> None:
            for _number in range(3):
                log.append(queue.get())

        return [put, get]

    assert outcomes(body) == {("put", 0, "put", 1, "put", 2)}


def test_a_queue_serves_those_who_wait_in_the_order_in_which_they_came() -> None:
    def body(log: Log) -> list[Any]:
        queue: Queue[str] = Queue()

        def get(after: int) -> None:
            gevent.sleep(after)
            log.append((after, queue.get()))

        def put() -> None:
            gevent.sleep(9)
            queue.put("x")
            queue.put("y")

        return [lambda: get(1), lambda: get(2), put]

    assert outcomes(body) == {((1, "x"), (2, "y"))}


def test_a_queue_may_be_waited_for_with_a_timeout() -> None:
    def body(log: Log) -> list[Any]:
        queue: Queue[int] = Queue(maxsize=1)
        channel: Channel[int] = Channel()

        def function() -> None:
            with pytest.raises(Empty):
                queue.get(timeout=1)
            with pytest.raises(Empty):
                channel.get_nowait()
            queue.put(1)
            with pytest.raises(Full):
                queue.put(2, timeout=1)
            with pytest.raises(Full):
                channel.put(2, timeout=1)
            log.append("done")

        return [function]

    assert outcomes(body) == {("done",)}


def test_joining_a_queue_waits_until_all_is_done() -> None:
    def body(log: Log) -> list[Any]:
        queue: JoinableQueue[int] = JoinableQueue(items=[1, 2])

        def work() -> None:
            log.append(queue.get())
            gevent.sleep(0)
            queue.task_done()

        return [work, work, pausing(queue.join, log, "all")]

    assert outcomes(body) == {(1, 2, "all")}


# Pools


def test_a_pool_runs_so_many_at_a_time() -> None:
    most: set[int] = set()

    def body(log: Log) -> list[Any]:
        pool = Pool(2)
        running: list[int] = []

        def work(number: int) -> None:
            running.append(number)
            most.add(len(running))
            gevent.sleep(0)
            running.remove(number)
            log.append(number)

        def parent() -> None:
            for number in range(3):
                pool.spawn(work, number)
            pool.join()
            log.append("all")

        return [parent]

    seen = outcomes(body)
    assert most == {1, 2}
    # The third starts only when one of the first two has ended.
    assert seen == {(*order, "all") for order in permutations(range(3)) if order[0] != 2}


def test_a_group_maps_and_kills() -> None:
    def body(log: Log) -> list[Any]:
        def parent() -> None:
            group = Group()
            log.extend(group.imap_unordered(lambda number: number, range(2)))
            group.spawn(gevent.sleep, 60)
            group.kill()
            log.append(len(group))

        return [parent]

    assert outcomes(body) == {(0, 1, 0), (1, 0, 0)}


# Data of a greenlet


def test_a_gevent_local_belongs_to_one_greenlet_and_its_end_is_no_choice() -> None:
    def body(log: Log) -> list[Any]:
        mine = local()

        def function(name: str) -> None:
            mine.name = name
            gevent.sleep(0)
            assert mine.name == name
            log.append(name)

        return [lambda: function("a"), lambda: function("b")]

    seen, exploration = explored(body)
    assert seen == BOTH
    assert exploration.schedules == 6
