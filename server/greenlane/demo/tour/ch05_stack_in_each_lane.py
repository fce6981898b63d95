"""Requests nest: a view may send a request of its own, and has to have its own back after.

So what is kept in each lane is a stack.
"""

from contextvars import copy_context

from greenlane.context import LocalStack
from greenlane.demo.forms.contextual import (
    CopyingStack,
    CopyOnWriteLocal,
    InPlaceLocal,
    PopInPlaceStack,
)
from greenlane.demo.forms.stackvalued import ManyNameStacks, OneNameStacks
from greenlane.demo.forms.workers import Meet, in_greenlets
from greenlane.demo.tour.chapter import Chapter, Observed, Scene, named


def names_with_stacks() -> Observed:
    """Assign twice: the first value is still there, below the second."""
    naive, mended = OneNameStacks(), ManyNameStacks()
    for local in naive, mended:
        local.x = 1
        local.x = 2
        try:
            local.y = 3
        except KeyError as error:
            print(f"KeyError: {error}")
        print(f"x is {local.x}: {named(local.storage)}")
    return {"naive": named(naive.storage), "mended": named(mended.storage)}


def local_stack() -> Observed:
    """A child pops while its parent is between push and pop."""
    stack: LocalStack[str] = LocalStack()
    stack.push("outer")
    stack.push("inner")
    print(named(stack.__storage__))

    def child(number: int, meet: Meet) -> tuple[str | None, str | None]:
        return stack.top, stack.pop()

    [found] = in_greenlets(1, child)
    popped = [stack.pop(), stack.pop(), stack.pop()]
    print(f"the child had {found}, its parent popped {popped}")
    print(f"at the end: {named(stack.__storage__)}")
    return {
        "the child's top and pop": found,
        "the parent's pops": popped,
        "at the end": dict(stack.__storage__),
    }


def copied_contexts() -> Observed:
    """Change a Local on a ContextVar after its context was copied."""
    observed = {}
    for make in InPlaceLocal, CopyOnWriteLocal:
        local = make()
        local.name = "before"
        copied = copy_context()
        local.name = "later"
        observed[make.__name__] = copied.run(getattr, local, "name")
        print(f"{make.__name__}: copy reads {observed[make.__name__]!r}")
    return observed


def pops_in_copies() -> Observed:
    """Pop in a copied context, and look at the original's top."""
    observed = {}
    for make in PopInPlaceStack, CopyingStack:
        stack: PopInPlaceStack[str] = make()
        stack.push("outer")
        copy_context().run(stack.pop)
        observed[make.__name__] = stack.top
        print(f"{make.__name__}: the original's top is {stack.top!r}")
    return observed


CHAPTER = Chapter(
    "A stack in each lane",
    (
        Scene(
            names_with_stacks,
            why="The naive form makes a lane for the first name only, and "
            "looks for the second in vain.",
            expected={
                "naive": {"main": {"x": [1, 2]}},
                "mended": {"main": {"x": [1, 2], "y": [3]}},
            },
            forms=(OneNameStacks, ManyNameStacks),
        ),
        Scene(
            local_stack,
            why="LocalStack is a Local with one list in each lane: a child "
            "starts with none, and the last pop releases the lane.",
            expected={
                "the child's top and pop": (None, None),
                "the parent's pops": ["inner", "outer", None],
                "at the end": {},
            },
        ),
        Scene(
            copied_contexts,
            why="A copied context has the same dict until one of them *sets* "
            "another: whoever changes it in place changes it for both.",
            expected={
                "InPlaceLocal": "later",
                "CopyOnWriteLocal": "before",
            },
            forms=(InPlaceLocal, CopyOnWriteLocal),
        ),
        Scene(
            pops_in_copies,
            why="The naive push copies and its pop does not, so a pop "
            "reaches every context that has the list; each end of a pair needs "
            "a test.",
            expected={"PopInPlaceStack": None, "CopyingStack": "outer"},
            forms=(PopInPlaceStack, CopyingStack),
        ),
    ),
)
