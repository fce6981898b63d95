"""What one greenlet of gevent waits for and another gives: in which orders they may go on, and in which not.

Each test collects what is logged in all orders, and compares it with what can be.
"""

from collections.abc import Callable
from itertools import permutations
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent.event import AsyncResult, Event
from gevent.local import local
from gevent.lock import BoundedSemaphore, RLock, Semaphore
from gevent.pool import Group, Pool
from gevent.queue import Channel, Empty, Full, JoinableQueue, LifoQueue, PriorityQueue, Queue, SimpleQueue

if TYPE_CHECKING:
    from tests.testing.interleave.conftest import Explored, Outcomes, Pausing

Log = list[Any]

BOTH = {("a", "b"), ("b", "a")}


# Events and results


@pytest.mark.parametrize("make", [Event, AsyncResult])
def test_those_who_wait_for_one_event_go_on_in_every_order(
    make: Callable[[], Any], outcomes: "Outcomes", pausing: "Pausing"
) -> None:
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


def test_those_who_wait_are_found_in_subclasses_and_beside_other_lists(outcomes: "Outcomes") -> None:
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


def test_the_order_of_those_woken_together_is_a_choice_even_when_they_came_in_one(
    outcomes: "Outcomes",
) -> None:
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


def test_one_who_comes_when_the_event_was_set_is_among_those_woken(outcomes: "Outcomes") -> None:
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


def test_an_event_that_nobody_waits_for_any_more_is_harmless(outcomes: "Outcomes") -> None:
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


def test_waiting_with_a_timeout(outcomes: "Outcomes") -> None:
    def body(log: Log) -> list[Any]:
        event = Event()
        result: AsyncResult[int] = AsyncResult()

        def wait() -> None:
            log.append(event.wait(1))
            with pytest.raises(gevent.Timeout):
                result.get(timeout=1)

        return [wait]

    assert outcomes(body) == {(False,)}


def test_a_result_may_be_an_exception(outcomes: "Outcomes") -> None:
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
def test_a_lock_lets_one_in_at_a_time(make: Callable[[], Any], outcomes: "Outcomes") -> None:
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


def test_a_lock_goes_to_those_who_wait_in_the_order_in_which_they_came(outcomes: "Outcomes") -> None:
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


def test_a_lock_that_is_let_go_may_be_taken_before_the_one_who_waits(outcomes: "Outcomes") -> None:
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


def test_a_lock_may_be_waited_for_with_a_timeout(outcomes: "Outcomes") -> None:
    def body(log: Log) -> list[Any]:
        lock = Semaphore(0)
        return [lambda: log.append(lock.acquire(timeout=1)), lambda: log.append(lock.acquire(blocking=False))]

    assert outcomes(body) == {(False, False)}


# Queues


@pytest.mark.parametrize("make", [Queue, JoinableQueue, SimpleQueue, LifoQueue, PriorityQueue, Channel])
def test_what_is_put_is_got_once(make: Callable[[], Any], outcomes: "Outcomes") -> None:
    def body(log: Log) -> list[Any]:
        queue = make()
        return [
            lambda: queue.put(1),
            lambda: queue.put(2),
            lambda: log.append(queue.get()),
            lambda: log.append(queue.get()),
        ]

    assert outcomes(body) == {(1, 2), (2, 1)}


def test_a_full_queue_lets_one_wait_until_there_is_room(outcomes: "Outcomes") -> None:
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


def test_a_queue_serves_those_who_wait_in_the_order_in_which_they_came(outcomes: "Outcomes") -> None:
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


def test_a_queue_may_be_waited_for_with_a_timeout(outcomes: "Outcomes") -> None:
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


def test_joining_a_queue_waits_until_all_is_done(outcomes: "Outcomes", pausing: "Pausing") -> None:
    def body(log: Log) -> list[Any]:
        queue: JoinableQueue[int] = JoinableQueue(items=[1, 2])

        def work() -> None:
            log.append(queue.get())
            gevent.sleep(0)
            queue.task_done()

        return [work, work, pausing(queue.join, log, "all")]

    assert outcomes(body) == {(1, 2, "all")}


# Pools


def test_a_pool_runs_so_many_at_a_time(outcomes: "Outcomes") -> None:
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


def test_a_group_maps_and_kills(outcomes: "Outcomes") -> None:
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


def test_a_gevent_local_belongs_to_one_greenlet_and_its_end_is_no_choice(explored: "Explored") -> None:
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
