"""What a loop of gevent's hands out: callbacks, timers and idle watchers, and whose code each goes on with.

They do nothing by themselves: the loop decides when each of them runs.
"""

import gc
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from gevent import Greenlet
from gevent._abstract_linkable import AbstractLinkable
from gevent._waiter import Waiter
from gevent.hub import Hub
from gevent.local import _greenlet_deleted as LocalDropped  # type: ignore[attr-defined]  # noqa: N812
from gevent.lock import Semaphore
from gevent.queue import Channel, SimpleQueue
from greenlet import getcurrent, greenlet

from greenlane.context.storage import clear_lane

if TYPE_CHECKING:
    from greenlane.testing.interleave.loop import Loop

Task: TypeAlias = "greenlet | None"
"""Whose code goes on: a greenlet, or None where that cannot be told."""

NUMBER = "greenlane.interleave.number"
"""The name in a greenlet's ``__dict__`` of its number: its place among those of its run, as they start."""


def number_of(task: Task) -> int:
    """Return the number of a greenlet of the run, or -1 for the hub and for others."""
    number: int = -1 if task is None else task.__dict__.get(NUMBER, -1)
    return number


def resumes(function: object, first: object = None) -> Task:
    """Return the greenlet that calling ``function`` goes on with, or None where that cannot be told.

    Args:
        function: a bound ``switch`` or ``throw`` as a rule.
        first: its first argument, which gevent's timeouts and kills pass the greenlet in.

    """
    owner = getattr(function, "__self__", None)
    if isinstance(owner, greenlet):
        return None if isinstance(owner, Hub) else owner
    if isinstance(owner, Waiter):
        waiting: Task = owner.greenlet
        return waiting
    return first if isinstance(first, greenlet) and not isinstance(first, Hub) else None


class Callback:
    """Something ready to run: what ``run_callback`` returns.

    Attributes:
        callback: the function; None when it ran, runs, or was stopped.
        args: its arguments; None when it ran or was stopped, which makes this false.
        task: whose code it goes on with.

    """

    __slots__ = ("_loop", "args", "callback", "task")

    def __init__(
        self, loop: "Loop", callback: Callable[..., object], args: tuple[Any, ...], task: Task
    ) -> None:
        self._loop = loop
        self.callback: Callable[..., object] | None = callback
        self.args: tuple[Any, ...] | None = args
        self.task = task

    @property
    def pending(self) -> bool:
        """Whether it has yet to run."""
        return self.callback is not None

    def stop(self) -> None:
        """Take it back."""
        self._loop.discard(self)
        self.callback = self.args = None

    close = stop

    def __bool__(self) -> bool:
        return self.args is not None

    def run(self) -> None:
        """Run it, and give what goes wrong to the hub."""
        callback, args = self.callback, self.args
        if callback is None or args is None:
            return
        self.callback = None
        try:
            callback(*args)
        except BaseException as error:
            self._loop.handle_error(callback, error)
        finally:
            self.args = None


class Wake(Callback, ABC):
    """A callback that wakes those who wait for one thing, whom gevent shows only when nobody runs."""

    __slots__ = ()

    @abstractmethod
    def look(self) -> bool:
        """See whom it wakes first, for :attr:`task`.

        Returns:
            Whether it may be left to the chooser; otherwise it is run at once.

        """


class Notification(Wake):
    """Wakes everybody who waits for an event, a result or a greenlet, in an order that is chosen too.

    gevent wakes them one after another, with nobody else between. A semaphore
    promises the order in which they came, and keeps it.
    """

    __slots__ = ()

    def look(self) -> bool:
        """See whom it wakes first."""
        links = self._links()
        if all(link is clear_lane or isinstance(link, LocalDropped) for link in links):
            # A Local drops a dead greenlet's entry. Nobody is woken and nobody can
            # tell when it happens, so it is no choice.
            return False
        woken = (resumes(link) for link in links)
        self.task = next((task for task in woken if task is not None), self.task)
        return True

    def run(self) -> None:
        """Choose the order of those that wake a greenlet, then wake them."""
        if not isinstance(self._linkable(), Semaphore):
            # Those who came when it was told already wait in a list of their own.
            late: list[Callable[..., object]] = self.args[0] if self.args else []
            lists = self._links(), late
            places = [
                (links, place)
                for links in lists
                for place, link in enumerate(links)
                if resumes(link) is not None
            ]
            waiting = [links[place] for links, place in places]
            for links, place in places:
                chosen = self._loop.choose([resumes(link) for link in waiting], 0)
                links[place] = waiting.pop(chosen)
        super().run()

    def _linkable(self) -> "AbstractLinkable | Greenlet[..., Any]":
        linkable: AbstractLinkable | Greenlet[..., Any] = self.callback.__self__  # type: ignore[union-attr]
        return linkable

    def _links(self) -> list[Callable[..., object]]:
        """Return what is called, in order: the very list that gevent goes through."""
        linkable = self._linkable()
        links: list[Callable[..., object]] | None = getattr(linkable, "_links", None)
        if links is not None:
            return links
        # gevent's compiled classes hide it, but not from the garbage collector. Which
        # of several lists it is shows when it grows.
        lists = [found for found in gc.get_referents(linkable) if isinstance(found, list)]
        if len(lists) > 1:
            if isinstance(linkable, Greenlet):
                Greenlet.rawlink(linkable, _mark)
            else:
                AbstractLinkable.rawlink(linkable, _mark)
            lists = [found for found in lists if found and found[-1] is _mark]
            lists[0].pop()
        return lists[0]


def _mark(_linkable: object) -> None:
    """Mark the end of a list of links; never called."""


class Unlock(Wake):
    """Lets those on who wait for a queue, in the order in which they came, as gevent promises."""

    __slots__ = ()

    def look(self) -> bool:
        """See who waits first. gevent hides who gets and who puts, but not from the garbage collector."""
        queue = getattr(self.callback, "__self__", None)
        for found in gc.get_referents(queue):
            if isinstance(found, deque) and found and isinstance(found[0], Waiter):
                self.task = found[0].greenlet
                break
        return True


def callback_for(loop: "Loop", function: Callable[..., object], args: tuple[Any, ...]) -> Callback:
    """Return the callback that fits ``function``."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, AbstractLinkable | Greenlet) and function.__name__ == "_notify_links":
        return Notification(loop, function, args, getcurrent())
    if isinstance(owner, SimpleQueue | Channel) and function.__name__ == "_unlock":
        return Unlock(loop, function, args, getcurrent())
    task = resumes(function, *args[:1])
    # Not "or": a greenlet is false until it starts.
    return Callback(loop, function, args, getcurrent() if task is None else task)


class Watcher(ABC):
    """What timers and idle watchers have in common.

    Attributes:
        callback: the function while started, else None.
        args: its arguments.
        task: whose code it goes on with.
        ref: kept because gevent sets it; a program ends when nothing is left to run.
        priority: of what is due at one moment, gevent takes the highest first; None is 0.

    """

    __slots__ = ("_loop", "args", "callback", "priority", "ref", "task")

    def __init__(self, loop: "Loop", ref: bool, priority: int | None) -> None:
        self._loop = loop
        self.ref = ref
        self.priority = priority
        self.callback: Callable[..., object] | None = None
        self.args: tuple[Any, ...] | None = None
        self.task: Task = None

    @property
    def active(self) -> bool:
        """Whether it was started and is still to come."""
        return self.callback is not None

    @property
    def pending(self) -> bool:
        """Whether it is due now."""
        return self._loop.is_ready(self)

    def start(self, callback: Callable[..., object], *args: Any, update: bool | None = None) -> None:
        """Call ``callback(*args)`` when it is due."""
        self.callback, self.args = callback, args
        task = resumes(callback, *args[:1])
        self._loop.announce(task)
        self.task = getcurrent() if task is None else task
        self._schedule()

    @abstractmethod
    def _schedule(self) -> None:
        """Tell the loop to wait for it."""

    def stop(self) -> None:
        """Take it back."""
        self._loop.discard(self)
        self.callback = self.args = None

    close = stop

    def run(self) -> None:
        """Call the function."""
        callback, args = self.callback, self.args
        if callback is None or args is None:
            return
        self.callback = self.args = None
        self._again(callback, args)
        try:
            callback(*args)
        except BaseException as error:
            self._loop.handle_error(callback, error)

    @abstractmethod
    def _again(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        """Start anew before the call, where the watcher repeats."""

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class Timer(Watcher):
    """Due when virtual time has come so far.

    Attributes:
        deadline: when, in the clock's nanoseconds.

    """

    __slots__ = ("_after", "_repeat", "deadline")

    def __init__(self, loop: "Loop", after: float, repeat: float, ref: bool, priority: int | None) -> None:
        super().__init__(loop, ref, priority)
        self._after = after
        self._repeat = repeat
        self.deadline = 0

    def _schedule(self) -> None:
        self._loop.discard(self)
        self.deadline = self._loop.clock.after(self._after)
        self._loop.sleeping.append(self)

    def _again(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        if self._repeat:
            self.again(callback, *args)

    def again(self, callback: Callable[..., object], *args: Any, update: bool | None = None) -> None:
        """Start anew with the time of repetition."""
        self._after = self._repeat or self._after
        self.start(callback, *args)


class Idle(Watcher):
    """Due when nothing else is ready."""

    __slots__ = ()

    def _schedule(self) -> None:
        self._loop.discard(self)
        self._loop.idle_watchers.append(self)

    def _again(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        """It comes once."""


Item: TypeAlias = Callback | Watcher
