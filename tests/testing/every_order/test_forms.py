"""The teaching forms in every order: each naive one is caught, and the mended one beside it holds.

One program for each pair, so that nothing but the form decides.
"""

from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import gevent
import pytest

from greenlane.demo.forms import onestack
from greenlane.demo.forms.contextual import CopyingStack, CopyOnWriteLocal, InPlaceLocal, PopInPlaceStack
from greenlane.demo.forms.handmade import GreenletIdentLocal, ThreadIdentLocal
from greenlane.demo.forms.shared import OwnedByThread, SharedObject
from greenlane.demo.forms.stackvalued import ManyNameStacks, OneNameStacks

if TYPE_CHECKING:
    from tests.testing.every_order.conftest import EveryOrder, Pause

    from greenlane.testing.interleave import Failure

NAMES = ("ada", "bob")

Program = Callable[[], Iterator[Any]]


def writers(make: Callable[[], Any], pause: "Pause") -> Program:
    """Two workers, each of which writes its name twice, and reads it back after each switch."""

    def worker(local: Any, name: str) -> None:
        for step in range(2):
            local.name = name
            pause()
            assert local.name == name, f"at step {step}"

    def program() -> Iterator[Any]:
        local = make()
        yield [lambda name=name: worker(local, name) for name in NAMES]

    return program


def owned_by_thread() -> OwnedByThread:
    return OwnedByThread([])


@pytest.mark.parametrize("make", [SharedObject, ThreadIdentLocal, owned_by_thread])
def test_one_object_for_all_greenlets(
    make: Callable[[], Any], every_order: "EveryOrder", pause: "Pause"
) -> None:
    """B1, B7: caught with a single switch. What is mended for native threads fails for greenlets."""
    failure = every_order.fails(writers(make, pause))
    expect(failure, AssertionError, switches=2)


@pytest.mark.parametrize("make", [GreenletIdentLocal, InPlaceLocal, CopyOnWriteLocal])
def test_one_lane_for_each_greenlet(
    make: Callable[[], Any], every_order: "EveryOrder", pause: "Pause"
) -> None:
    """B7, B15: the same program holds; each greenlet has a context of its own, too."""
    made = make()  # one for all orders, because a ContextVar is made for good
    every_order.holds(writers(lambda: made, pause))


def stacks(make: Callable[[], Any], pause: "Pause") -> Program:
    """Two workers, each of which sets two names."""

    def worker(local: Any, number: int) -> None:
        local.x = number
        pause()
        local.x = number + 1
        local.y = -number
        pause()
        assert (local.x, local.y) == (number + 1, -number)

    def program() -> Iterator[Any]:
        local = make()
        yield [lambda number=number: worker(local, number) for number in (1, 3)]

    return program


def test_a_stack_of_one_name(every_order: "EveryOrder", pause: "Pause") -> None:
    """B14: the second name is a KeyError, in the first order already."""
    failure = every_order.fails(stacks(OneNameStacks, pause))
    expect(failure, KeyError, switches=0)


def test_stacks_of_many_names(every_order: "EveryOrder", pause: "Pause") -> None:
    """B14: each worker has both of its names."""
    every_order.holds(stacks(ManyNameStacks, pause))


def copied_locals(local: Any, pause: "Pause") -> Program:
    """A child that runs in a copy of its parent's context writes, while its parent reads."""

    def child(name: str) -> None:
        assert local.name == name
        local.name = f"child of {name}"
        pause()
        assert local.name == f"child of {name}"

    def parent(name: str) -> None:
        local.name = name
        started = gevent.spawn(copy_context().run, child, name)
        pause()
        assert local.name == name
        started.get()

    def program() -> Iterator[Any]:
        yield [lambda name=name: parent(name) for name in NAMES]

    return program


def test_a_local_that_writes_in_place(every_order: "EveryOrder", pause: "Pause") -> None:
    """B15: parent and child share a dict; caught only where the child runs before the parent reads."""
    failure = every_order.fails(copied_locals(InPlaceLocal(), pause))
    expect(failure, AssertionError, switches=2)


def test_a_local_that_writes_copies(every_order: "EveryOrder", pause: "Pause") -> None:
    """B15: a write in a copied context stays there."""
    every_order.holds(copied_locals(CopyOnWriteLocal(), pause))


def copied_stacks(stack: PopInPlaceStack[str], pause: "Pause") -> Program:
    """A child that runs in a copy of its parent's context pops, while its parent reads."""

    def child(name: str) -> None:
        pause()
        assert stack.pop() == name

    def parent(name: str) -> None:
        stack.push(name)
        started = gevent.spawn(copy_context().run, child, name)
        pause()
        assert stack.top == name
        started.get()

    def program() -> Iterator[Any]:
        yield [lambda name=name: parent(name) for name in NAMES]

    return program


def test_a_stack_that_pops_in_place(every_order: "EveryOrder", pause: "Pause") -> None:
    """B19: the child's pop empties the parent's stack (pallets/werkzeug#2102)."""
    failure = every_order.fails(copied_stacks(PopInPlaceStack(), pause))
    expect(failure, AssertionError, switches=2)


def test_a_stack_that_pops_a_copy(every_order: "EveryOrder", pause: "Pause") -> None:
    """B19: the parent's top stays."""
    every_order.holds(copied_stacks(CopyingStack(), pause))


def test_four_proxies_to_one_stack(every_order: "EveryOrder", pause: "Pause") -> None:
    """B20, B24, B25: each proxy is looked up anew at each use, in its own greenlet's stack."""

    def worker(name: str) -> None:
        onestack.stack.push(onestack.ToyContext(app=f"app of {name}", request=name))
        onestack.g["name"] = name
        pause()
        onestack.stack.push(onestack.ToyContext(app="inner", request=f"inner {name}"))
        assert "name" not in onestack.g
        pause()
        assert onestack.request == f"inner {name}"
        onestack.stack.pop()
        assert (onestack.current_app, onestack.request) == (f"app of {name}", name)
        pause()
        assert onestack.g["name"] == name
        onestack.stack.pop()
        with pytest.raises(RuntimeError, match="outside of a request"):
            bool(onestack.request.strip())

    def program() -> Iterator[Any]:
        yield [lambda name=name: worker(name) for name in NAMES]
        assert not onestack.stack.__storage__

    every_order.holds(program, orders=70)


def expect(failure: "Failure", error: type[BaseException], switches: int) -> None:
    """Check how a form was caught: by which error, and with how few switches."""
    assert failure.problem.kind == "exception"
    assert type(failure.problem.error) is error
    assert (failure.switches, failure.fewest) == (switches, True)
