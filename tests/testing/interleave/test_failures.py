"""What counts as a failure, and what its report says: kind, exception, place, who waits where, the steps."""

import sys
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event
from gevent.lock import Semaphore

from greenlane.testing.interleave import (
    Exploration,
    Failure,
    InterleavingError,
    UnsupportedError,
    exhaustive,
    explore,
    gevent_order,
    replay,
)


def line_of(function: Callable[..., object], offset: int) -> int:
    return function.__code__.co_firstlineno + offset


def failure_of(program: Any, **options: Any) -> Failure:
    failure = explore(program, **options).failure
    assert failure is not None
    return failure


class Account:
    """Loses an update when two withdraw at once."""

    def __init__(self, balance: int) -> None:
        self.balance = balance

    def withdraw(self, amount: int) -> None:
        before = self.balance
        gevent.sleep(0)
        self.balance = before - amount


def withdrawing() -> Any:
    account = Account(100)
    yield [lambda: account.withdraw(30)] * 2
    assert account.balance == 40, account.balance


def test_a_check_that_fails_in_some_order_comes_with_that_order() -> None:
    failure = failure_of(withdrawing)
    assert failure.problem.kind == "check"
    assert failure.problem.message == "a check failed: AssertionError: 70"
    assert isinstance(failure.problem.error, AssertionError)
    assert failure.problem.place is not None
    assert failure.problem.place.line == line_of(withdrawing, 3)
    assert [step.task for step in failure.trace] == ["function-1", "function-2", "function-2", "function-1"]
    switch = failure.trace[0].until
    assert switch is not None
    assert (switch.line, switch.function) == (line_of(Account.withdraw, 2), "withdraw")
    assert (failure.switches, failure.fewest) == (2, True)
    # In gevent's own order both read before either writes.
    assert failure_of(withdrawing, mode=gevent_order()).problem.kind == "check"


def test_a_replay_goes_the_same_way() -> None:
    failure = failure_of(withdrawing)
    again = explore(withdrawing, replay(failure.schedule))
    assert (again.schedules, again.covered) == (1, False)
    assert again.failure is not None
    assert again.failure.schedule == failure.schedule
    assert again.failure.trace == failure.trace
    assert explore(withdrawing, replay("0")).failure is None


def test_a_replay_is_not_shrunk() -> None:
    def program() -> Any:
        def function() -> None:
            gevent.sleep(0)
            gevent.sleep(0)

        def broken() -> None:
            raise KeyError("always")

        yield [function, broken]

    assert failure_of(program).schedule == "0:1"
    assert failure_of(program, mode=replay("0")).schedule == "0"


def test_the_report_can_be_read() -> None:
    with pytest.raises(InterleavingError) as caught:
        explore(withdrawing).check()
    assert isinstance(caught.value.__cause__, AssertionError)
    here = f"test_failures.py:{line_of(Account.withdraw, 2)} in withdraw: gevent.sleep(0)"
    check = f"test_failures.py:{line_of(withdrawing, 3)} in withdrawing"
    assert str(caught.value).splitlines() == [
        "a check failed: AssertionError: 70",
        f"  at {check}: assert account.balance == 40, account.balance",
        "  found after 2 orders; replay('1:1') shows it again",
        "  2 switches (no order with fewer fails):",
        f"      1  function-1  to {here}",
        "      3  function-2  ends",
        "      4  function-1  ends",
    ]


def test_an_exception_ends_a_function_or_its_child() -> None:
    def raising() -> None:
        raise KeyError("lost")

    def program() -> Any:
        yield [lambda: gevent.sleep(0), raising]

    def in_a_child() -> Any:
        yield [lambda: gevent.spawn(raising)]

    for tried in (program, in_a_child):
        problem = failure_of(tried).problem
        assert problem.kind == "exception"
        assert problem.message == "raising raised KeyError: 'lost'"
        assert isinstance(problem.error, KeyError)
        assert problem.place is not None
        assert problem.place.line == line_of(raising, 1)


def test_an_exception_in_a_callback_of_the_loop() -> None:
    def callback(_event: object) -> None:
        raise KeyError("called back")

    def program() -> Any:
        event = Event()
        event.rawlink(callback)
        yield [event.set]

    problem = failure_of(program).problem
    assert (problem.kind, problem.message) == ("exception", "the hub raised KeyError: 'called back'")


def test_a_timeout_that_escapes_is_an_exception() -> None:
    def late() -> None:
        with gevent.Timeout(1):
            gevent.sleep(2)

    problem = failure_of([late]).problem
    assert problem.message == "late raised Timeout: 1 second"
    assert problem.place is not None
    assert problem.place.line == line_of(late, 2)


def test_an_exit_is_an_exception_and_does_not_end_the_search_as_if_all_were_well() -> None:
    def leaving() -> None:
        sys.exit(0)

    def in_a_check() -> Any:
        yield [lambda: None]
        sys.exit(0)

    assert failure_of([leaving]).problem.message == "leaving raised SystemExit: 0"
    assert failure_of(in_a_check).problem.message == "a check failed: SystemExit: 0"
    assert explore([leaving], expected=(SystemExit,)).covered


def test_a_greenlet_that_ends_itself_is_no_failure() -> None:
    def program() -> Any:
        def leaving() -> None:
            raise gevent.GreenletExit

        (value,) = yield [leaving]
        assert isinstance(value, gevent.GreenletExit)

    assert explore(program).check().covered


def test_expected_exceptions_are_given_to_the_checks() -> None:
    def program() -> Any:
        def raising() -> None:
            raise KeyError("expected")

        values = yield [raising, lambda: 1]
        assert isinstance(values[0], KeyError)
        assert values[1] == 1

    assert explore(program, expected=(LookupError,)).check().covered
    assert failure_of(program, expected=(ValueError,)).problem.kind == "exception"


def test_a_set_up_that_fails_is_an_error_of_the_test() -> None:
    def program() -> Any:
        raise KeyError("before the yield")
        yield []

    with pytest.raises(KeyError, match="before the yield"):
        explore(program)


def test_a_clean_up_that_fails_too_does_not_hide_the_failure() -> None:
    def program() -> Any:
        def broken() -> None:
            raise KeyError("first")

        try:
            yield [broken]
        finally:
            raise ValueError("second")

    def only_the_clean_up() -> Any:
        try:
            yield [lambda: None]
        finally:
            raise ValueError("alone")

    assert failure_of(program).problem.message == "broken raised KeyError: 'first'"
    assert failure_of(only_the_clean_up).problem.message == "a check failed: ValueError: alone"


def test_a_message_of_several_lines_is_cut_to_one() -> None:
    def broken() -> None:
        raise ValueError("one\ntwo")

    assert failure_of([broken]).problem.message == "broken raised ValueError: one"


# Deadlocks


def test_a_deadlock_says_who_waits_where() -> None:
    def meet(first: Semaphore, second: Semaphore) -> None:
        with first:
            gevent.sleep(0)
            with second:
                pass

    def program() -> Any:
        one, two = Semaphore(), Semaphore()
        yield [lambda: meet(one, two), lambda: meet(two, one)]

    problem = failure_of(program).problem
    assert (problem.kind, problem.error) == ("deadlock", None)
    assert problem.message == "deadlock: 2 wait, and nothing can wake them"
    assert [(waiting.task, waiting.place and waiting.place.line) for waiting in problem.waiting] == [
        ("function-1", line_of(meet, 3)),
        ("function-2", line_of(meet, 3)),
    ]
    assert "  still there: function-1 at test_failures.py:" in str(explore(program))


def test_one_that_waits_for_ever_is_told_in_the_singular() -> None:
    problem = failure_of([lambda: Event().wait()]).problem
    assert problem.message == "deadlock: 1 waits, and nothing can wake it"


def test_a_child_that_waits_for_ever_is_no_deadlock_when_all_functions_end() -> None:
    """As in a program of gevent, which ends when its main function does."""

    def program() -> Any:
        yield [lambda: gevent.spawn(Event().wait)]

    assert explore(program).check().covered


def test_a_greenlet_that_never_started_waits_too() -> None:
    def program() -> Any:
        def parent() -> None:
            gevent.Greenlet(lambda: None).join()

        yield [parent]

    problem = failure_of(program).problem
    assert problem.kind == "deadlock"
    assert [waiting.task for waiting in problem.waiting] == ["parent"]


def test_an_endless_order_says_who_still_runs() -> None:
    def polling(done: list[int]) -> None:
        while not done:
            gevent.sleep(0)

    def program() -> Any:
        done: list[int] = []

        def finish() -> None:
            done.append(1)

        yield [lambda: polling(done), finish]

    problem = failure_of(program, max_steps=50, max_shrinks=10).problem
    assert problem.kind == "endless"
    assert problem.message.startswith("no end after 50 steps: ")
    assert [waiting.task for waiting in problem.waiting] == ["function", "finish"]
    assert [waiting.place and waiting.place.line for waiting in problem.waiting] == [
        line_of(polling, 2),
        None,
    ]


# Programs that are none


def nothing_yielded() -> Any:
    yield from ()


def no_generator() -> Any:
    return [lambda: None]


def no_functions() -> Any:
    yield [5]


def no_list() -> Any:
    yield


def waits_in_its_set_up() -> Any:
    gevent.sleep(0)
    yield []


def waits_in_its_check() -> Any:
    yield []
    Event().wait()


ELSEWHERE = gevent.Greenlet(lambda: None)


def runs_a_greenlet_of_the_test() -> Any:
    yield [ELSEWHERE]


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (nothing_yielded, "yielded no functions"),
        (no_generator, "is a generator function that yields"),
        (nothing_yielded(), "is a generator function that yields"),
        (5, "is a generator function that yields"),
        (no_functions, "yielded 5, which is no function"),
        (no_list, "yielded None, which is no list of functions"),
        (waits_in_its_set_up, "runs alone and cannot wait"),
        (waits_in_its_check, "runs alone and cannot wait"),
        (runs_a_greenlet_of_the_test, "made outside of the program"),
    ],
)
def test_what_is_no_program_is_refused(program: Any, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        explore(program)
    assert explore([lambda: None]).covered


def test_a_greenlet_of_the_program_may_be_started_or_done_already() -> None:
    def program() -> Any:
        started = gevent.spawn(lambda: "started")
        (first,) = yield [started]
        assert first == "started"
        assert (yield [started, lambda: "other"]) == ["started", "other"]

    assert explore(program).check().covered


def test_a_lock_of_another_hub_is_refused() -> None:
    shared = Event()
    gevent.spawn(shared.wait, 0.001).join()

    def program() -> Any:
        yield [shared.wait]

    with pytest.raises(UnsupportedError, match="used before with another hub"):
        explore(program)


def test_an_exploration_tells_what_it_is() -> None:
    exploration: Exploration = explore(withdrawing)
    assert (exploration.schedules, exploration.covered, exploration.estimate) == (2, False, None)
    assert exploration.mode == exhaustive()
