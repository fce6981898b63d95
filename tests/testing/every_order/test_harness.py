"""What these tests rest on: a program is refused that proves nothing, leaves something, or does not fail."""

from typing import TYPE_CHECKING, Any

import pytest
from greenlet import getcurrent

from greenlane.app import App, request_stack
from greenlane.context import release_local
from greenlane.testing.interleave import InterleavingError

if TYPE_CHECKING:
    from tests.testing.every_order.conftest import EveryOrder


@pytest.fixture(params=[False, True], ids=["a sample", "every order"])
def harness(request: pytest.FixtureRequest, every_order: "EveryOrder") -> "EveryOrder":
    """A harness of its own, in each of the two ways, which counts for nobody's summary."""
    covered = type(every_order._covered)
    return type(every_order)(covered(every=request.param))


def pausing(harness: "EveryOrder") -> Any:
    def program() -> Any:
        yield [harness.pause, harness.pause]

    return program


def test_what_holds_is_counted(harness: "EveryOrder") -> None:
    harness.holds(pausing(harness), orders=6)
    every = harness._covered.every
    assert (harness._covered.programs, harness._covered.orders) == (1, 6 if every else 40)


def test_a_wrong_number_of_orders(harness: "EveryOrder") -> None:
    if harness._covered.every:
        with pytest.raises(AssertionError):
            harness.holds(pausing(harness), orders=7)
    else:
        harness.holds(pausing(harness), orders=7)  # a sample cannot tell


def test_a_program_without_overlap(harness: "EveryOrder") -> None:
    def program() -> Any:
        yield [harness.pause]

    with pytest.raises(AssertionError, match="in no order did anybody go on"):
        harness.holds(program)


def test_a_context_that_stays(harness: "EveryOrder", app: App) -> None:
    """In any lane, and in the greenlet that runs the program itself."""

    def program() -> Any:
        yield [harness.pause, harness.pause]
        app.test_request_context("/").push()

    with pytest.raises(InterleavingError, match="pushes and pops differ"):
        harness.holds(program)
    while request_stack.top is not None:  # one for each time that the order was run
        request_stack.top.pop()


def test_an_entry_that_stays(harness: "EveryOrder", app: App) -> None:
    def program() -> Any:
        yield [harness.pause, harness.pause]
        request_stack.push(app.test_request_context("/"))

    with pytest.raises(InterleavingError, match="left behind"):
        harness.holds(program)
    assert getcurrent() in request_stack.__storage__
    release_local(request_stack)


def test_a_program_that_fails_in_one_order_of_six(harness: "EveryOrder") -> None:
    done: list[str] = []

    def worker(name: str) -> None:
        done.append(name)
        harness.pause()
        assert done != ["first", "second"] or name == "first"
        done.append(name)

    def program() -> Any:
        done.clear()
        yield [lambda: worker("first"), lambda: worker("second")]

    with pytest.raises(InterleavingError, match="raised AssertionError"):
        harness.holds(program)
    failure = harness.fails(program)
    assert failure.problem.kind == "exception"


def test_a_program_that_ought_to_fail(harness: "EveryOrder") -> None:
    with pytest.raises(AssertionError, match="But this program must fail"):
        harness.fails(pausing(harness))
