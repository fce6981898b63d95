"""One run: a program, from its set-up to its checks, in one order.

:class:`Runner` puts a hub of its own in place of the native thread's, which its
program's greenlets then use like any other, and takes it away at the end. What
belongs to the thread's former hub stands still meanwhile.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias, cast

from gevent import Greenlet
from gevent._hub_local import get_hub_if_exists, set_hub
from gevent.exceptions import LoopExit
from gevent.hub import Hub
from greenlet import GreenletExit, gettrace, greenlet, settrace

from greenlane.testing.interleave import refusals
from greenlane.testing.interleave.clock import Clock
from greenlane.testing.interleave.errors import UnsupportedError
from greenlane.testing.interleave.items import Task, number_of
from greenlane.testing.interleave.loop import Chooser, Loop
from greenlane.testing.interleave.outcome import Outcome, Problem, Waiting
from greenlane.testing.interleave.refusals import guard
from greenlane.testing.interleave.swap import swapped
from greenlane.testing.interleave.tasks import Tasks, Tracer, place_of, raised_at

#: pytest leaves this module's frames out: they say nothing of the program.
__tracebackhide__ = True

Function: TypeAlias = "Callable[[], Any] | Greenlet[..., Any]"
Body: TypeAlias = Generator[Iterable[Function], list[Any], None]
Program: TypeAlias = "Callable[[], Body] | Sequence[Callable[[], Any]]"

Sleeps: TypeAlias = Literal["deadline", "any"]

#: Steps that what is left of a run may take to clean up after itself.
_CLEANUP_STEPS = 10_000


class _Recorder:
    """Writes down what a chooser chooses."""

    def __init__(self, chooser: Chooser, outcome: Outcome, loop: Loop) -> None:
        self._chooser = chooser
        self._outcome = outcome
        self._loop = loop

    def choose(self, tasks: Sequence[Task], fifo: int) -> int:
        """Choose, and write it down."""
        chosen = self._chooser.choose(tasks, fifo)
        outcome = self._outcome
        if chosen >= len(tasks):
            outcome.misfit = self._loop.stopped = True
            chosen = 0
        outcome.options.append(len(tasks))
        outcome.taken.append(chosen)
        outcome.chosen.append(number_of(tasks[chosen]))
        outcome.switches_at.append(self._loop.switches)
        return chosen


class _Hub(Hub):
    """gevent's hub, with errors going to the run that they belong to."""

    loop: Any

    def handle_error(self, context: object, type: Any, value: Any, tb: Any) -> None:  # noqa: A002
        """Report an error of a greenlet or of a callback."""
        # Compiled code may raise a plain string.
        error = value if isinstance(value, BaseException) else type(value)
        self.loop.handle_error(context, error)


class Runner:
    """Runs a program, again and again, in the orders that it is given.

    Args:
        program: what to run; see :func:`greenlane.testing.interleave.explore`.
        sleeps: in which order sleepers wake.
        max_steps: after so many steps a run counts as endless.
        expected: exceptions that may end a greenlet without being a failure.

    """

    def __init__(
        self,
        program: Program,
        sleeps: Sleeps = "deadline",
        max_steps: int = 10_000,
        expected: tuple[type[BaseException], ...] = (),
    ) -> None:
        self._program = program
        self._max_steps = max_steps
        self._expected = expected
        self._clock = Clock()
        self._loop = Loop(self._clock, sleeps == "any", self._report)
        self._hub: _Hub
        self._tasks = Tasks()
        self._problem: Problem | None = None
        self._interrupt: BaseException | None = None
        self._cleaning = False

    @contextmanager
    def installed(self) -> Iterator["Runner"]:
        """Take the place of the current native thread's hub and clock.

        Raises:
            UnsupportedError: a program is being explored in this process already.

        """
        if guard.owner is not None:
            guard.refuse_with(
                UnsupportedError("A program cannot explore another one, nor two threads at once.")
            )
        former = get_hub_if_exists()
        self._hub = _Hub(cast(Any, self._loop))
        set_hub(self._hub)
        try:
            with swapped({**self._clock.swaps(), **refusals.swaps()}), refusals.refusing():
                yield self
        finally:
            self._hub.destroy(destroy_loop=True)
            set_hub(cast(Any, former))

    def run(self, chooser: Chooser, *, trace: bool = False) -> Outcome:
        """Run the program once.

        Args:
            chooser: decides the order.
            trace: record the steps with their places, which takes longer.

        Raises:
            UnsupportedError: the program does what cannot be explored.
            KeyboardInterrupt: the user ended it.

        """
        outcome = Outcome()
        self._tasks = tasks = Tasks()
        self._problem = self._interrupt = None
        self._clock.reset()
        self._loop.begin(_Recorder(chooser, outcome, self._loop), self._max_steps, tasks.add)
        tracer = Tracer(tasks)
        former = gettrace()

        def watch_and_trace(event: str, switch: Any) -> None:
            self._loop.watch(event, switch)
            tracer(event, switch)

        settrace(watch_and_trace if trace else self._loop.watch)
        try:
            self._go_through()
        finally:
            settrace(former)
            outcome.trace = tracer.steps
            outcome.steps, outcome.switches = self._loop.steps, self._loop.switches
            self._clean_up()
        if guard.refused is not None:
            raise guard.refused
        if self._interrupt is not None:
            raise self._interrupt
        outcome.problem = self._problem
        return outcome

    def _go_through(self) -> None:
        """Run the program's body from one ``yield`` to the next."""
        try:
            body = self._body()
            functions = next(body)
        except StopIteration:
            raise UnsupportedError("The program yielded no functions to run at once.") from None
        except LoopExit as error:
            raise _cannot_wait() from error
        try:
            while True:
                results = self._at_once(functions)
                if results is None:
                    return
                functions = body.send(results)
        except StopIteration:
            return
        except LoopExit as error:
            raise _cannot_wait() from error
        except (KeyboardInterrupt, UnsupportedError):
            raise
        except BaseException as error:
            self._problem = _failed_check(error)
        finally:
            self._close(body)

    def _close(self, body: Body) -> None:
        """Let the body's own clean-up run; what fails in it does not hide what failed before."""
        try:
            body.close()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._problem = self._problem or _failed_check(error)

    def _body(self) -> Body:
        program = self._program
        if callable(program):
            body = program()
            if isinstance(body, Generator):
                return body
        elif isinstance(program, Sequence):
            return _without_checks(tuple(program))
        raise UnsupportedError(
            "A program is a generator function that yields the functions to run at once, or a list of them."
        )

    def _at_once(self, functions: Iterable[Function]) -> list[Any] | None:
        """Run ``functions`` as greenlets until nothing is left to run.

        Returns:
            What they returned; None when something went wrong.

        """
        if not isinstance(functions, Iterable):
            raise UnsupportedError(f"The program yielded {functions!r}, which is no list of functions.")
        roots = [self._root(function) for function in functions]
        for root in roots:
            root.start()
        self._switch()
        if self._problem is None and self._interrupt is None and guard.refused is None:
            if self._loop.stopped:
                self._problem = self._endless()
            elif not all(root.dead for root in roots):
                self._problem = self._deadlock()
        if self._problem is not None or self._interrupt is not None or guard.refused is not None:
            return None
        return [root.value if root.exception is None else root.exception for root in roots]

    def _root(self, function: Function) -> "Greenlet[..., Any]":
        """Return the greenlet that runs ``function``."""
        if not isinstance(function, Greenlet):
            if not callable(function):
                raise UnsupportedError(f"The program yielded {function!r}, which is no function.")
            return Greenlet(function)
        if function.parent is not self._hub:
            raise UnsupportedError(
                f"{function!r} was made outside of the program. Make it in the program, so that each run "
                "has a fresh one."
            )
        return function

    def _switch(self) -> None:
        """Let the loop run until it returns, which the hub reports as LoopExit."""
        self._loop.running = True
        try:
            self._hub.switch()
        except LoopExit as error:
            if error.args[1] is not self._hub:
                raise UnsupportedError(
                    "The program waits for a lock, an event or a queue that was used before with another "
                    "hub. Make it in the program, so that each run has a fresh one."
                ) from error
        finally:
            self._loop.running = False

    def _report(self, context: object, error: BaseException) -> None:
        """Take an error that ended a greenlet or a callback."""
        if isinstance(error, KeyboardInterrupt):
            self._interrupt = self._interrupt or error
        elif self._cleaning or isinstance(error, GreenletExit):
            return
        elif isinstance(error, UnsupportedError) and guard.refused is not None:
            pass
        elif isinstance(error, self._expected):
            return
        elif self._problem is None:
            task = context if isinstance(context, greenlet) else None
            text = f"{self._tasks.name(number_of(task))} raised {_in_one_line(error)}"
            self._problem = Problem("exception", text, error, raised_at(error))
        self._loop.stopped = True

    def _waiting(self) -> tuple[Waiting, ...]:
        return tuple(
            Waiting(self._tasks.name(number_of(task)), place_of(task.gr_frame))
            for task in self._tasks.alive()
        )

    def _deadlock(self) -> Problem:
        waiting = self._waiting()
        who = "1 waits, and nothing can wake it"
        if len(waiting) > 1:
            who = f"{len(waiting)} wait, and nothing can wake them"
        return Problem("deadlock", f"deadlock: {who}", waiting=waiting)

    def _endless(self) -> Problem:
        text = (
            f"no end after {self._max_steps:,} steps: a loop that waits for another greenlet may never give "
            "it a turn in this order (see max_steps)"
        )
        return Problem("endless", text, waiting=self._waiting())

    def _clean_up(self) -> None:
        """End what is left, so that it does not run into the next run."""
        if not any(True for _task in self._tasks.alive()):
            return
        self._cleaning = True
        try:
            loop = self._loop
            left = list(self._tasks.alive())
            loop.begin(None, _CLEANUP_STEPS, lambda _task: None)
            for task in left:
                if isinstance(task, Greenlet):
                    task.kill(block=False)
                else:
                    loop.run_callback(task.throw, GreenletExit)
            del left
            self._switch()
        finally:
            self._cleaning = False


def _without_checks(functions: Sequence[Function]) -> Body:
    yield functions


def _failed_check(error: BaseException) -> Problem:
    return Problem("check", f"a check failed: {_in_one_line(error)}", error, raised_at(error))


def _in_one_line(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


def _cannot_wait() -> UnsupportedError:
    return UnsupportedError(
        "What stands before and after the yield of a program runs alone and cannot wait: "
        "put what waits into one of the functions that run at once."
    )
