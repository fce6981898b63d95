"""The loop: gevent's interface of an event loop, with the order of what is ready left to a chooser.

gevent puts everything that can go on into its loop: ``sleep(0)`` and ``spawn``
as a callback, ``sleep(1)`` and timeouts as a timer, an ``Event.set()`` as one
callback that wakes all waiters. gevent runs callbacks first come, first served.
Here a chooser decides, and time is virtual.

What is ready is offered in a fixed order: first what goes on with the greenlet
that ran last, then the rest in the order in which gevent would take it. So
choosing 0 throughout gives the fewest switches.

Everything else that a loop of gevent offers (sockets, signals, child processes,
other threads) is refused.
"""

import gc
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol, TypeAlias

from gevent import Greenlet
from gevent._abstract_linkable import AbstractLinkable
from gevent._waiter import Waiter
from gevent.hub import Hub
from gevent.lock import Semaphore
from greenlet import getcurrent, greenlet

from greenlane.context.storage import clear_lane
from greenlane.testing.interleave.clock import Clock
from greenlane.testing.interleave.refusals import guard

Task: TypeAlias = "greenlet | None"
"""Whose code goes on: a greenlet, or None where that cannot be told."""


class Chooser(Protocol):
    """Decides what goes on; a fresh one for each run."""

    def choose(self, tasks: Sequence[Task], fifo: int) -> int:
        """Choose one of ``tasks``, which are two or more.

        Args:
            tasks: whose code each option goes on with. They must not be kept: a
                greenlet goes away when the program is done with it.
            fifo: the option that gevent itself would take.

        """


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


class Notification(Callback):
    """A callback that wakes everybody who waits for one thing, in an order that is chosen too.

    gevent wakes them one after another, with nobody else between. A semaphore
    promises the order in which they came, and keeps it.
    """

    __slots__ = ()

    def waiters(self) -> list[Callable[..., object]]:
        """Return what is called, in order: the very list that gevent goes through."""
        linkable = getattr(self.callback, "__self__", None)
        links: list[Callable[..., object]] | None = getattr(linkable, "_links", None)
        if links is None:
            # gevent's compiled classes hide it. It is the only list that a linkable
            # refers to, and the last one that a greenlet does (its value may be a list).
            lists = [found for found in gc.get_referents(linkable) if isinstance(found, list)]
            links = lists[-1 if isinstance(linkable, Greenlet) else 0]
        return links

    def run(self) -> None:
        """Choose the order of those that wake a greenlet, then wake them."""
        linkable = getattr(self.callback, "__self__", None)
        if not isinstance(linkable, Semaphore):
            links = self.waiters()
            places = [place for place, link in enumerate(links) if resumes(link) is not None]
            for done, place in enumerate(places[:-1]):
                rest = [links[other] for other in places[done:]]
                chosen = self._loop.choose([resumes(link) for link in rest], 0)
                links[place], moved = rest[chosen], [*rest[:chosen], *rest[chosen + 1 :]]
                for other, link in zip(places[done + 1 :], moved, strict=True):
                    links[other] = link
        super().run()


class Watcher:
    """What timers and idle watchers have in common.

    Attributes:
        callback: the function while started, else None.
        args: its arguments.
        task: whose code it goes on with.
        ref: kept because gevent sets it; a program ends when nothing is left to run.
        priority: likewise: what is due at one moment may come in any order.

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
        task = resumes(callback)
        self._loop.announce(task)
        self.task = getcurrent() if task is None else task
        self._schedule()

    def _schedule(self) -> None:
        raise NotImplementedError

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


Item: TypeAlias = Callback | Watcher


def resumes(function: object) -> Task:
    """Return the greenlet that calling ``function`` goes on with, or None where that cannot be told."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, greenlet):
        return None if isinstance(owner, Hub) else owner
    if isinstance(owner, Waiter):
        waiting: Task = owner.greenlet
        return waiting
    return None


class Loop:
    """An event loop for gevent's hub.

    Args:
        clock: the virtual time.
        any_sleeper: sleepers may wake at any moment, not in the order of their deadlines.
        on_error: gets what a greenlet or a callback raised, with whose it was.

    Attributes:
        clock: the virtual time.
        ready: what may go on, in the order in which gevent would take it.
        sleeping: the timers that are started and not due.
        idle_watchers: what goes on when nothing else does.
        running: whether a program runs; otherwise nothing may wait.
        stopped: end the run after the current step.
        steps: how many steps were taken in this run.
        switches: how often a step went on with another greenlet than the one before.

    """

    # What gevent reads of a loop.
    default = False
    approx_timer_resolution = 1e-9
    MAXPRI = 2
    MINPRI = -2
    error_handler: object = None

    def __init__(
        self, clock: Clock, any_sleeper: bool, on_error: Callable[[object, BaseException], None]
    ) -> None:
        self.clock = clock
        self._any_sleeper = any_sleeper
        self._on_error = on_error
        self.running = False
        self.ready: list[Item] = []
        self.sleeping: list[Timer] = []
        self.idle_watchers: list[Idle] = []
        self._announced: list[Notification] = []
        self._chooser: Chooser | None = None
        self._current: Task = None
        self._on_start: Callable[[greenlet], None] = lambda _task: None
        self.begin(None, 0, self._on_start)

    def begin(self, chooser: Chooser | None, max_steps: int, on_start: Callable[[greenlet], None]) -> None:
        """Forget the last run.

        Args:
            chooser: decides; None for gevent's own order.
            max_steps: after so many steps the run stops.
            on_start: called with each greenlet that is about to start.

        """
        self._chooser = chooser
        self._max_steps = max_steps
        self._on_start = on_start
        self.ready.clear()
        self.sleeping.clear()
        self.idle_watchers.clear()
        self._announced.clear()
        self.stopped = False
        self.steps = 0
        self.switches = 0
        self._current = None

    # For the explorer

    def run(self, nowait: bool = False, once: bool = False) -> None:
        """Run until nothing is left to run, or stopped."""
        if not self.running:
            return
        while not self.stopped and (self.ready or self._wake_idle() or self._wake_sleepers()):
            if self._announced:
                self._look_at_notifications()
                continue
            if self.steps >= self._max_steps:
                self.stopped = True
                return
            self._step(self._take())

    def choose(self, tasks: Sequence[Task], fifo: int) -> int:
        """Ask the chooser, if there is anything to choose."""
        return fifo if self._chooser is None or len(tasks) < 2 else self._chooser.choose(tasks, fifo)

    def is_ready(self, item: Item) -> bool:
        """Whether ``item`` may go on now."""
        return item in self.ready

    def discard(self, item: Item) -> None:
        """Forget ``item``, wherever it is."""
        for place in (self.ready, self.sleeping, self.idle_watchers):
            if item in place:
                place.remove(item)  # type: ignore[arg-type]  # it was found there

    def handle_error(self, context: object, error: BaseException) -> None:
        """Report what a callback raised."""
        self._on_error(context, error)

    def announce(self, task: Task) -> None:
        """Report ``task`` if it is about to start: a greenlet is false until then."""
        if task is not None and not task and not task.dead:
            self._on_start(task)

    def _look_at_notifications(self) -> None:
        """See whom each new notification wakes, which a greenlet does not show while it still runs."""
        announced, self._announced = self._announced, []
        for notification in announced:
            links = notification.waiters()
            if links == [clear_lane]:
                # A Local drops a dead greenlet's entry. Nobody is woken and nobody can
                # tell when it happens, so it is no choice.
                self.discard(notification)
                notification.run()
            else:
                woken = (resumes(link) for link in links)
                notification.task = next((task for task in woken if task is not None), notification.task)

    def _step(self, item: Item) -> None:
        self.steps += 1
        task = item.task
        if task is not self._current:
            self.switches += self._current is not None
            self._current = task
        item.run()

    def _take(self) -> Item:
        """Take what goes on off the list."""
        items: list[Item] = self.ready
        if self._any_sleeper and self.sleeping:
            items = [*items, *sorted(self.sleeping, key=lambda timer: timer.deadline)]
        if len(items) == 1:
            chosen = items[0]
        else:
            tasks = [item.task for item in items]
            current = tasks.index(self._current) if self._current in tasks else 0
            # What goes on with the greenlet that ran last is offered first.
            tasks.insert(0, tasks.pop(current))
            place = self.choose(tasks, 1 if current else 0)
            chosen = items[current if place == 0 else place - 1 if place <= current else place]
        if items is self.ready:
            self.ready.remove(chosen)
        else:
            self.discard(chosen)
            if isinstance(chosen, Timer):
                self.clock.now = max(self.clock.now, chosen.deadline)
        return chosen

    def _wake_idle(self) -> bool:
        """Make the idle watchers ready."""
        self.ready.extend(self.idle_watchers)
        self.idle_watchers.clear()
        return bool(self.ready)

    def _wake_sleepers(self) -> bool:
        """Let time pass until the next deadline, and make ready what is due then."""
        if not self.sleeping:
            return False
        if not self._any_sleeper:
            self.clock.now = max(self.clock.now, min(timer.deadline for timer in self.sleeping))
            due = [timer for timer in self.sleeping if timer.deadline <= self.clock.now]
            self.sleeping = [timer for timer in self.sleeping if timer not in due]
            self.ready.extend(due)
        return True

    # For gevent

    def run_callback(self, func: Callable[..., object], *args: Any) -> Callback:
        """Make ``func(*args)`` ready."""
        owner = getattr(func, "__self__", None)
        callback: Callback
        if isinstance(owner, AbstractLinkable | Greenlet) and func.__name__ == "_notify_links":
            callback = Notification(self, func, args, getcurrent())
            self._announced.append(callback)
        else:
            task = resumes(func)
            self.announce(task)
            callback = Callback(self, func, args, getcurrent() if task is None else task)
        self.ready.append(callback)
        return callback

    def run_callback_threadsafe(self, func: Callable[..., object], *args: Any) -> Callback:
        """Refuse: another native thread does not wait for its turn."""
        guard.refuse("gevent's objects from several native threads")
        raise AssertionError

    def timer(
        self, after: float, repeat: float = 0.0, ref: bool = True, priority: int | None = None
    ) -> Timer:
        """Make a timer."""
        return Timer(self, after, repeat, ref, priority)

    def idle(self, ref: bool = True, priority: int | None = None) -> Idle:
        """Make an idle watcher."""
        return Idle(self, ref, priority)

    def now(self) -> float:
        """Return the virtual time, in seconds."""
        return self.clock.now / 1e9

    def update_now(self) -> None:
        """Do nothing: the clock is always right."""

    update = update_now

    def destroy(self) -> None:
        """Do nothing: there is nothing of the system's to give back."""

    def _format(self) -> str:
        return f"interleave ready={len(self.ready)} sleeping={len(self.sleeping)}"


def _refused(name: str, what: str) -> Callable[..., NoReturn]:
    def method(self: Loop, *_args: Any, **_kwargs: Any) -> NoReturn:
        guard.refuse(what)
        raise AssertionError

    method.__name__ = name
    method.__doc__ = f"Refuse {what}."
    return method


for _name, _what in {
    "io": "a real socket or file descriptor",
    "closing_fd": "a real socket or file descriptor",
    "async_": "native threads (gevent.threadpool, or a name look-up)",
    "fork": "native threads (gevent.threadpool, or a name look-up)",
    "child": "a child process",
    "signal": "signals",
    "stat": "a watch on a file",
    "prepare": "a watcher of the event loop's own turns",
    "check": "a watcher of the event loop's own turns",
}.items():
    setattr(Loop, _name, _refused(_name, _what))
