"""The forms on contextvars: what changes a value in place changes it in every copied context.

Where greenlets overlap, they do so by a meeting between the write and the read.
"""

from contextvars import Context, copy_context
from typing import Any

import gevent
import pytest
from gevent.event import Event
from greenlet import getcurrent

from greenlane.context import LocalStack
from greenlane.demo.forms.contextual import CopyingStack, CopyOnWriteLocal, InPlaceLocal, PopInPlaceStack
from greenlane.demo.forms.workers import Meet, in_greenlets


@pytest.fixture
def context() -> Context:
    """A context of the test's own, so that nothing stays in the test process's."""
    return Context()


@pytest.mark.parametrize("make", [InPlaceLocal, CopyOnWriteLocal])
def test_set_read_and_delete(make: type[Any], context: Context) -> None:
    """B15: both forms are locals; a missing name is an AttributeError, also to delete."""

    def use() -> None:
        local = make()
        for name in "a", "b":
            with pytest.raises(AttributeError, match=name):
                getattr(local, name)
            with pytest.raises(AttributeError, match=name):
                delattr(local, name)
            setattr(local, name, name.upper())
        assert (local.a, local.b) == ("A", "B")
        del local.a
        assert not hasattr(local, "a")
        assert local.b == "B"

    context.run(use)


@pytest.mark.parametrize("make", [InPlaceLocal, CopyOnWriteLocal])
def test_overlapping_greenlets_have_contexts_of_their_own(make: type[Any]) -> None:
    """B15: each starts with an empty context, so even the naive form keeps them apart."""
    local = make()

    def worker(number: int, meet: Meet) -> tuple[bool, int]:
        empty = not hasattr(local, "name")
        local.name = number
        meet()
        return empty, local.name

    assert in_greenlets(5, worker) == [(True, number) for number in range(5)]


@pytest.mark.parametrize(("make", "seen"), [(InPlaceLocal, "later"), (CopyOnWriteLocal, "before")])
def test_a_write_after_the_copy(make: type[Any], seen: str, context: Context) -> None:
    """B15: a copied context does not see later writes; in the naive form it does."""

    def use() -> tuple[str, str]:
        local = make()
        local.name = "before"
        copied = copy_context()
        local.name = "later"
        return local.name, copied.run(getattr, local, "name")

    assert context.run(use) == ("later", seen)


@pytest.mark.parametrize(("make", "left"), [(InPlaceLocal, False), (CopyOnWriteLocal, True)])
def test_a_delete_after_the_copy(make: type[Any], left: bool, context: Context) -> None:
    """B15: a copied context does not see later deletes, nor the original those in the copy."""

    def use() -> tuple[bool, bool]:
        local = make()
        local.name = local.other = "before"
        copied = copy_context()
        del local.name
        copied.run(delattr, local, "other")
        return copied.run(hasattr, local, "name"), hasattr(local, "other")

    assert context.run(use) == (left, left)


STACKS = [PopInPlaceStack, CopyingStack]


@pytest.mark.parametrize("make", STACKS)
def test_a_contextual_stack_is_a_stack(make: type[PopInPlaceStack[int]], context: Context) -> None:
    """B19: last in, first out; None when there is nothing."""

    def use() -> None:
        stack = make()
        assert (stack.top, stack.pop()) == (None, None)
        assert stack.push(1) == [1]
        assert stack.push(2) == [1, 2]
        assert (stack.top, stack.pop(), stack.top, stack.pop()) == (2, 2, 1, 1)
        assert (stack.top, stack.pop()) == (None, None)

    context.run(use)


@pytest.mark.parametrize("make", STACKS)
def test_a_push_in_a_copied_context_stays_there(make: type[PopInPlaceStack[str]], context: Context) -> None:
    """B19: push copies in both forms."""

    def use() -> tuple[str | None, str | None]:
        stack = make()
        stack.push("parent's")
        copied = copy_context()
        copied.run(stack.push, "copy's")
        return stack.top, copied.run(lambda: stack.top)

    assert context.run(use) == ("parent's", "copy's")


@pytest.mark.parametrize(("make", "left"), [(PopInPlaceStack, None), (CopyingStack, "parent's")])
def test_a_pop_in_a_copied_context(
    make: type[PopInPlaceStack[str]], left: str | None, context: Context
) -> None:
    """B19: it does not change the parent's top; in the naive form it does (pallets/werkzeug#2102)."""

    def use() -> tuple[str | None, str | None]:
        stack = make()
        stack.push("parent's")
        return copy_context().run(stack.pop), stack.top

    assert context.run(use) == ("parent's", left)


@pytest.mark.parametrize(("make", "left"), [(PopInPlaceStack, None), (CopyingStack, "parent's")])
def test_a_pop_between_another_greenlets_push_and_read(
    make: type[PopInPlaceStack[str]], left: str | None
) -> None:
    """B19: a greenlet in a copy of its parent's context pops while the parent is at work."""
    stack = make()
    copies: list[Context] = []
    pushed, popped = Event(), Event()
    ran: list[object] = []

    def parent() -> str | None:
        stack.push("parent's")
        copies.append(copy_context())
        ran.append(getcurrent())
        pushed.set()
        assert popped.wait(10)
        return stack.top

    def child() -> str | None:
        assert pushed.wait(10)
        top = copies[0].run(stack.pop)
        ran.append(getcurrent())
        popped.set()
        return top

    greenlets = [gevent.spawn(parent), gevent.spawn(child)]
    gevent.joinall(greenlets, raise_error=True)
    assert ran == greenlets
    assert [each.value for each in greenlets] == [left, "parent's"]


def test_a_childs_pop_never_changes_the_parents_top() -> None:
    """B19: our LocalStack goes by the greenlet: a child's lane is empty, in a copied context too."""
    stack: LocalStack[str] = LocalStack()
    copies: list[Context] = []
    pushed, popped = Event(), Event()

    def parent() -> str | None:
        stack.push("parent's")
        copies.append(copy_context())
        pushed.set()
        assert popped.wait(10)
        return stack.pop()

    def child() -> tuple[str | None, str | None]:
        assert pushed.wait(10)
        plain, copied = stack.pop(), copies[0].run(stack.pop)
        popped.set()
        return plain, copied

    first, second = gevent.spawn(parent), gevent.spawn(child)
    assert first.get() == "parent's"
    assert second.get() == (None, None)
