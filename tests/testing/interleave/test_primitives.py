"""Sleeping, greenlets and timeouts of gevent: what each may do in some order, and what it may not.

Each test collects what is logged in all orders, and compares it with what can be.
"""

from itertools import permutations
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import AsyncResult

from greenlane.testing.interleave import explore, gevent_order

if TYPE_CHECKING:
    from tests.testing.interleave.conftest import Outcomes, Pausing

Log = list[Any]

BOTH = {("a", "b"), ("b", "a")}


def quiet(seconds: float) -> gevent.Timeout:
    """Return a timeout that ends its block and is not raised from it."""
    return gevent.Timeout(seconds, False)  # type: ignore[arg-type]  # the stubs do not know of it


# Sleeping


def test_sleepers_wake_in_the_order_of_their_deadlines(outcomes: "Outcomes", pausing: "Pausing") -> None:
    def body(log: Log) -> list[Any]:
        return [
            pausing(lambda: gevent.sleep(2), log, "2"),
            pausing(lambda: gevent.sleep(1), log, "1"),
            pausing(lambda: gevent.sleep(0), log, "0"),
        ]

    assert outcomes(body) == {("0", "1", "2")}
    assert outcomes(body, sleeps="any") == set(permutations("012"))


def test_equal_deadlines_are_a_choice(outcomes: "Outcomes", pausing: "Pausing") -> None:
    def body(log: Log) -> list[Any]:
        return [pausing(lambda: gevent.sleep(1.5), log, name) for name in "ab"]

    assert outcomes(body) == BOTH


def test_deadlines_are_equal_by_what_they_say_and_not_by_how_floats_add_up(
    outcomes: "Outcomes", pausing: "Pausing"
) -> None:
    def body(log: Log) -> list[Any]:
        def in_three() -> None:
            for _part in range(3):
                gevent.sleep(1.001)

        return [pausing(in_three, log, "a"), pausing(lambda: gevent.sleep(3.003), log, "b")]

    assert 1.001 * 1e9 != 1_001_000_000
    assert outcomes(body) == BOTH


def test_an_idle_greenlet_waits_for_all_that_is_ready_but_not_for_time(
    outcomes: "Outcomes", pausing: "Pausing"
) -> None:
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


def test_idle_greenlets_come_in_any_order(outcomes: "Outcomes", pausing: "Pausing") -> None:
    assert outcomes(lambda log: [pausing(gevent.idle, log, name) for name in "ab"]) == BOTH


# Greenlets


def test_a_child_starts_at_any_moment_and_join_waits_for_it(outcomes: "Outcomes") -> None:
    def body(log: Log) -> list[Any]:
        def parent() -> None:
            child = gevent.spawn(log.append, "child")
            gevent.sleep(0)
            log.append("parent")
            child.join()
            log.append("joined")

        return [parent]

    assert outcomes(body) == {("child", "parent", "joined"), ("parent", "child", "joined")}


def test_spawn_later_waits_for_its_time(outcomes: "Outcomes") -> None:
    def body(log: Log) -> list[Any]:
        def parent() -> None:
            later = gevent.spawn_later(2, log.append, "later")
            gevent.sleep(1)
            log.append("earlier")
            assert not later.ready()

        return [parent]

    assert outcomes(body) == {("earlier", "later")}


def test_raw_greenlets_take_part(outcomes: "Outcomes") -> None:
    def body(log: Log) -> list[Any]:
        def child(name: str) -> None:
            gevent.sleep(0)
            log.append(name)

        return [lambda: gevent.spawn_raw(child, "a"), lambda: gevent.spawn_raw(child, name="b")]

    assert outcomes(body) == BOTH


def test_joinall_and_wait_take_what_ends_first(outcomes: "Outcomes", pausing: "Pausing") -> None:
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


def test_iwait_yields_in_the_order_in_which_they_end(outcomes: "Outcomes") -> None:
    def body(log: Log) -> list[Any]:
        def parent() -> None:
            children = [gevent.spawn(gevent.sleep, seconds) for seconds in (3, 1, 2)]
            log.extend(children.index(child) for child in gevent.iwait(children))

        return [parent]

    assert outcomes(body) == {(1, 2, 0)}


def test_links_and_linked_values(outcomes: "Outcomes") -> None:
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


def test_a_kill_reaches_its_victim_before_during_and_after_its_steps(outcomes: "Outcomes") -> None:
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


def test_a_kill_that_blocks_returns_when_the_victim_is_dead(outcomes: "Outcomes") -> None:
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


def test_a_timeout_ends_what_takes_longer_and_nothing_else(outcomes: "Outcomes") -> None:
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


def test_the_inner_of_nested_timeouts_may_be_the_later_one(outcomes: "Outcomes") -> None:
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


def test_a_timeout_at_the_very_moment_of_a_deadline_may_come_before_or_after_it(outcomes: "Outcomes") -> None:
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


def test_with_any_sleeper_a_timeout_comes_at_every_wait(outcomes: "Outcomes") -> None:
    def body(log: Log) -> list[Any]:
        def function() -> None:
            with quiet(100):
                for step in range(3):
                    gevent.sleep(0)
                    log.append(step)

        return [function]

    assert outcomes(body) == {(0, 1, 2)}
    assert outcomes(body, sleeps="any") == {(), (0,), (0, 1), (0, 1, 2)}


def test_with_timeout_gives_its_value_instead(outcomes: "Outcomes") -> None:
    def body(log: Log) -> list[Any]:
        return [lambda: log.append(gevent.with_timeout(1, gevent.sleep, 2, timeout_value="late"))]

    assert outcomes(body) == {("late",)}
