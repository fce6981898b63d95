"""Local and LocalStack without an App: copied contexts, child greenlets, release and iteration."""

from contextvars import Context, copy_context
from math import factorial
from typing import TYPE_CHECKING, Any

import gevent
from gevent import Greenlet
from greenlet import getcurrent

from greenlane.app import App, g, has_app_context, request
from greenlane.context import Local, LocalManager, LocalStack, census, release_local
from greenlane.context.storage import LANE

if TYPE_CHECKING:
    from tests.testing.every_order.conftest import EveryOrder, Pause


def test_pushes_and_pops(every_order: "EveryOrder", pause: "Pause") -> None:
    """B16, B26: three stacks of one LocalStack go up and down at once."""
    stack: LocalStack[tuple[str, int]] = LocalStack()

    def worker(name: str) -> None:
        assert stack.top is None
        stack.push((name, 1))
        pause()
        stack.push((name, 2))
        pause()
        assert stack.pop() == (name, 2)
        pause()
        assert stack.pop() == (name, 1)
        assert getcurrent() not in stack.__storage__  # at once, and not only when the greenlet ends
        assert stack.pop() is None

    def program() -> Any:
        yield [lambda name=name: worker(name) for name in ("ada", "bob", "cyd")]
        assert not stack.__storage__

    every_order.holds(program, orders=factorial(12) // factorial(4) ** 3)


def test_copied_contexts(app: App, every_order: "EveryOrder", pause: "Pause") -> None:
    """B19: a child in a copy of its parent's context has a lane of its own; one greenlet has one lane."""
    stack: LocalStack[str] = LocalStack()

    def child(name: str) -> None:
        assert stack.pop() is None
        assert not has_app_context()
        stack.push(f"child of {name}")
        with app.app_context():
            g.name = f"child of {name}"
            pause()
            assert g.name == stack.top == f"child of {name}"
        assert stack.pop() == f"child of {name}"

    def parent(name: str) -> None:
        with app.test_request_context(f"/{name}"):
            g.name = name
            stack.push(name)
            context = copy_context()
            started = gevent.spawn(context.run, child, name)
            pause()
            assert (stack.top, g.name, request.path) == (name, name, f"/{name}")
            context = copy_context()
            assert context.run(lambda: (stack.top, g.name)) == (name, name)
            context.run(stack.push, "in the copy")
            pause()
            assert stack.pop() == "in the copy"
            started.get()
            assert context.run(stack.pop) == name

    def program() -> Any:
        yield [lambda name=name: parent(name) for name in ("ada", "bob")]
        assert not stack.__storage__

    every_order.holds(program)


def test_a_context_that_moves_between_greenlets(app: App, every_order: "EveryOrder", pause: "Pause") -> None:
    """B19: two greenlets take turns in one contextvars context, each in its own lane."""

    def first(context: Context) -> None:
        with app.app_context():
            g.name = "first"
            pause()
            assert context.run(lambda: g.name) == "first"
            pause()
            assert g.name == "first"

    def second(context: Context) -> None:
        ctx = app.app_context()
        context.run(ctx.push)
        pause()
        g.name = "second"
        pause()
        assert context.run(lambda: g.name) == "second"
        context.run(ctx.pop)

    def program() -> Any:
        context = copy_context()
        yield [lambda: first(context), lambda: second(context), lambda: first(context)]

    every_order.holds(program)


def test_release_while_another_iterates(every_order: "EveryOrder", pause: "Pause") -> None:
    """B10, B12: iteration is a snapshot; a release meanwhile drops one's own, and nobody else's."""
    local, stack = Local(), LocalStack[str]()
    manager = LocalManager([local, stack])

    def worker(name: str) -> None:
        local.name = name
        stack.push(name)
        pause()
        assert local.name == stack.top == name
        if name == "ada":
            release_local(local)
            release_local(stack)
        else:
            manager.cleanup()
        assert not hasattr(local, "name")
        pause()
        assert stack.top is None
        local.name = name

    def reader() -> None:
        written = [values["name"] for _ident, values in local]
        snapshot, live = iter(local), iter(stack.__storage__)
        names: list[str] = []
        # As many turns in each order, whichever ident comes first: that depends on addresses.
        for _turn in range(3):
            ident, values = next(snapshot, (None, {}))
            names += values.values()
            assert ident is None or isinstance(ident, Greenlet)
            assert isinstance(next(live, ident), Greenlet | None)
            pause()
        assert sorted(names) == sorted(written)  # what was written or released since is not in it

    def program() -> Any:
        yield [lambda: worker("ada"), lambda: worker("bob"), reader]
        assert not local.__storage__
        assert not stack.__storage__

    every_order.holds(program)


def test_first_use_and_end_while_another_counts(every_order: "EveryOrder", pause: "Pause") -> None:
    """B53: greenlets come, write and end while the census is taken and the live view is iterated."""
    local = Local()
    alive: set[str] = set()

    def worker(name: str) -> None:
        pause()
        assert not hasattr(local, "name")
        local.name = name
        alive.add(name)
        pause()
        assert local.name == name
        alive.discard(name)  # from here to its end nobody else gets a turn

    def counter() -> None:
        for _time in range(2):
            assert census()[local] == len(local.__storage__) == len(alive)
            assert {values["name"] for _ident, values in local} == alive
            view = iter(local.__storage__)
            for _turn in range(2):
                next(view, None)
                pause()

    def program() -> Any:
        alive.clear()
        workers = [Greenlet(worker, name) for name in ("ada", "bob")]
        yield [*workers, counter]
        # At their end, although both are still referred to here, and before anybody looks.
        assert not any(LANE in worker.__dict__ for worker in workers)
        assert not local.__storage__

    every_order.holds(program)


def test_locals_come_and_go(every_order: "EveryOrder", pause: "Pause") -> None:
    """B53: a Local is thrown away while greenlets that wrote to it still run."""

    def program() -> Any:
        kept, given = Local(), [Local()]

        def worker(name: str) -> None:
            kept.name = name
            if given:
                given[0].name = name
                assert given[0].name == name
            pause()
            assert kept.name == name
            assert {name} == {values["name"] for ident, values in kept if ident is getcurrent()}

        def thrower() -> None:
            pause()
            given.clear()
            new = Local()
            assert not hasattr(new, "name")
            assert not new.__storage__
            pause()

        yield [lambda: worker("ada"), lambda: worker("bob"), thrower]
        assert not kept.__storage__

    every_order.holds(program)
