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

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

from greenlet import greenlet

from greenlane.testing.interleave.clock import Clock
from greenlane.testing.interleave.items import (
    NUMBER,
    Callback,
    Idle,
    Item,
    Task,
    Timer,
    Wake,
    callback_for,
    number_of,
)
from greenlane.testing.interleave.refusals import guard

#: pytest leaves this module's frames out: they say nothing of the program.
__tracebackhide__ = True


class Chooser(Protocol):
    """Decides what goes on; a fresh one for each run."""

    def choose(self, tasks: Sequence[Task], fifo: int) -> int:
        """Choose one of ``tasks``, which are two or more.

        Args:
            tasks: whose code each option goes on with. They must not be kept: a
                greenlet goes away when the program is done with it.
            fifo: the option that gevent itself would take.

        """


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
        self._unseen: list[Wake] = []
        self._chooser: Chooser | None = None
        self._last = -1
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
        self._unseen.clear()
        self.stopped = False
        self.steps = 0
        self.switches = 0
        self._last = -1

    # For the explorer

    def run(self, nowait: bool = False, once: bool = False) -> None:
        """Run until nothing is left to run, or stopped."""
        if not self.running:
            return
        try:
            while not self.stopped and (self.ready or self._wake_idle() or self._wake_sleepers()):
                if self._unseen:
                    self._see_who_wakes()
                elif self.steps >= self._max_steps:
                    self.stopped = True
                else:
                    item = self._take()
                    self.steps += 1
                    item.run()
        except KeyboardInterrupt as interrupt:
            # It would end the hub, and the program's greenlets could not clean up.
            self.handle_error(None, interrupt)

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

    def watch(self, _event: str, switch: Any) -> None:
        """Count a switch: a trace function for :func:`greenlet.settrace`."""
        number = switch[1].__dict__.get(NUMBER, -1)
        if number not in (-1, self._last):
            self.switches += self._last != -1
            self._last = number

    def _see_who_wakes(self) -> None:
        """Look at each new :class:`Wake`: who waits does not show while one of them still runs."""
        unseen, self._unseen = self._unseen, []
        for wake in unseen:
            if wake and not wake.look():
                self.discard(wake)
                wake.run()

    def _take(self) -> Item:
        """Take what goes on off the list."""
        items: list[Item] = self.ready
        if self._any_sleeper and self.sleeping:
            items = [*items, *sorted(self.sleeping, key=lambda timer: timer.deadline)]
        if len(items) == 1:
            chosen = items[0]
        else:
            tasks = [item.task for item in items]
            current = 0
            if self._last != -1:
                numbers = [number_of(task) for task in tasks]
                current = numbers.index(self._last) if self._last in numbers else 0
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
        """Make the idle watchers ready, in any order: an event loop promises none among them."""
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
            due.sort(key=lambda timer: -(timer.priority or 0))
            self.sleeping = [timer for timer in self.sleeping if timer not in due]
            self.ready.extend(due)
        return True

    # For gevent

    def run_callback(self, func: Callable[..., object], *args: Any) -> Callback:
        """Make ``func(*args)`` ready."""
        callback = callback_for(self, func, args)
        if isinstance(callback, Wake):
            self._unseen.append(callback)
        else:
            self.announce(callback.task)
        self.ready.append(callback)
        return callback

    def run_callback_threadsafe(self, func: Callable[..., object], *args: Any) -> Callback:
        """Refuse: another native thread does not wait for its turn."""
        guard.refuse("gevent's objects from several native threads")

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

    method.__name__ = name
    method.__doc__ = f"Refuse {what}."
    return method


for _name, _what in {
    "io": "a real socket or file descriptor",
    "closing_fd": "a real socket or file descriptor",
    "async_": "native threads (gevent.threadpool, or a name look-up)",
    "fork": "native threads (gevent.threadpool, or a name look-up)",
    "child": "a child process",
    "install_sigchld": "a child process",
    "reinit": "a child process",
    "signal": "signals",
    "reset_sigchld": "signals",
    "stat": "a watch on a file",
    "prepare": "a watcher of the event loop's own turns",
    "check": "a watcher of the event loop's own turns",
}.items():
    setattr(Loop, _name, _refused(_name, _what))
