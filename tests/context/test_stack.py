"""LocalStack: a stack in each lane."""

import contextvars
from typing import Any

import gevent
import pytest
from gevent.event import Event

from greenlane.context import LocalProxy, LocalStack, get_ident, release_local


def test_push_pop_top() -> None:
    """B16: push returns the list, pop is last in first out, the last pop releases the ident."""
    stack: LocalStack[int] = LocalStack()
    assert stack.top is None
    assert stack.pop() is None
    assert stack.push(42) == [42]
    assert stack.push(23) == [42, 23]
    assert stack.top == 23
    assert stack.pop() == 23
    assert stack.top == 42
    assert stack.pop() == 42
    assert stack.__storage__ == {}
    assert stack.pop() is None
    assert stack.top is None


def test_a_stack_that_was_emptied_from_outside_is_an_empty_stack() -> None:
    """B16: the list that push hands out belongs to the caller too."""
    stack: LocalStack[int] = LocalStack()
    stack.push(1).clear()
    assert stack.top is None
    assert stack.pop() is None
    assert stack.__storage__ == {}


def test_calling_a_stack_gives_a_proxy_to_its_top() -> None:
    """B17: empty: RuntimeError."""
    stack: LocalStack[list[int]] = LocalStack()
    proxy = stack()
    assert isinstance(proxy, LocalProxy)
    with pytest.raises(RuntimeError, match="stack is empty"):
        proxy.append(1)
    stack.push([1])
    assert proxy == [1]
    stack.push([2])
    assert proxy == [2]
    release_local(stack)
    with pytest.raises(RuntimeError):
        _ = proxy == [1]


def test_a_proxy_to_an_attribute_of_the_top() -> None:
    """B17, B24: with a message of its own for the empty stack."""
    stack: LocalStack[complex] = LocalStack()
    real: Any = stack("real", unbound_message="push a number")
    with pytest.raises(RuntimeError, match=r"^push a number$"):
        _ = real + 1
    stack.push(2 + 1j)
    assert real == 2
    stack.pop()


def test_the_ident_function_is_the_inner_locals() -> None:
    """B18: get and set."""
    stack: LocalStack[str] = LocalStack()
    assert stack.__ident_func__ is get_ident
    stack.push("of the greenlet")
    stack.__ident_func__ = lambda: 42
    assert stack._local.__ident_func__() == 42
    assert stack.top is None
    stack.push("of 42")
    assert stack.__storage__ == {get_ident(): {"stack": ["of the greenlet"]}, 42: {"stack": ["of 42"]}}
    stack.pop()
    stack.__ident_func__ = get_ident
    assert stack.pop() == "of the greenlet"


def test_a_pop_in_a_child_greenlet_leaves_the_parents_top() -> None:
    """B19: the child has an empty lane, while its parent is between push and pop."""
    stack: LocalStack[str] = LocalStack()
    stack.push("parent's")
    child = gevent.spawn(lambda: (stack.top, stack.pop(), stack.push("child's"), stack.pop()))
    assert child.get() == (None, None, [], "child's")
    assert stack.top == "parent's"
    assert stack.pop() == "parent's"


def test_a_copied_context_is_the_same_lane() -> None:
    """B19: the ident is the greenlet, which a copied contextvars context does not change."""
    stack: LocalStack[str] = LocalStack()
    stack.push("outer")
    copied = contextvars.copy_context()
    assert copied.run(lambda: stack.top) == "outer"
    copied.run(stack.push, "inner")
    assert stack.pop() == "inner"
    assert copied.run(stack.pop) == "outer"
    assert stack.top is None


def test_two_greenlets_push_and_pop_in_turns() -> None:
    """B54: each pops what it pushed, although they overlap at every step."""
    stack: LocalStack[str] = LocalStack()
    turns = [Event() for _ in range(2)]
    steps: list[str] = []
    popped: dict[str, list[str | None]] = {"a": [], "b": []}

    def lane(name: str, own: Event, other: Event) -> None:
        for number in range(3):
            own.wait()
            own.clear()
            stack.push(f"{name}{number}")
            steps.append(name)
            other.set()
        for _ in range(3):
            own.wait()
            own.clear()
            popped[name].append(stack.pop())
            steps.append(name)
            other.set()

    lanes = [gevent.spawn(lane, "a", *turns), gevent.spawn(lane, "b", *reversed(turns))]
    turns[0].set()
    gevent.joinall(lanes, raise_error=True)
    assert steps == ["a", "b"] * 6
    assert popped == {"a": ["a2", "a1", "a0"], "b": ["b2", "b1", "b0"]}
    assert stack.__storage__ == {}


def test_an_ident_that_is_no_greenlet_is_forgotten_with_its_last_item() -> None:
    """B16: nobody can watch a number die, so an empty place for it would stay for ever."""
    stack = LocalStack[int]()
    for number in range(3):
        stack.__ident_func__ = lambda number=number: number  # type: ignore[misc]
        stack.push(number)
        assert stack.top == number
        assert stack.pop() == number
    assert stack.__storage__.others == {}
