"""Greenlets that a request starts or borrows: they know nothing of it, or too much of the last one."""

from abc import abstractmethod
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar
from weakref import WeakKeyDictionary, finalize

import gevent
from gevent.event import AsyncResult
from gevent.local import local as gevent_local
from gevent.queue import Queue

from greenlane.app import Request, copy_current_request_context, request
from greenlane.demo.forms.contextual import CopyingStack, PopInPlaceStack
from greenlane.demo.hazards.hazard import ONE_LANE, Cell, Hazard, OfApp, Variant, cross_talk, missing
from greenlane.demo.hazards.sharing import InAttributes
from greenlane.demo.keeper import FIELDS, Keeper, Reading
from greenlane.demo.parameters import Parameters
from greenlane.demo.probe import Probe, Report
from greenlane.demo.strategies import Strategy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from werkzeug.wrappers import Response as BaseResponse

T = TypeVar("T")


def _in_child(function: Callable[[], T]) -> T:
    """Call ``function`` in a greenlet of its own and return what it returns."""
    child = gevent.spawn(function)
    try:
        result: T = child.get()
    finally:
        child.kill()  # it does not outlive a request that is killed in its wait
    return result


class _InRequest(Keeper):
    """Keeps data in the current request's environment, as middleware does."""

    def write(self, field: str, value: str) -> None:
        """Write into the request."""
        request.environ[f"hazard.{field}"] = value

    def read(self) -> Reading:
        """Read from whatever request is current."""
        return {field: request.environ.get(f"hazard.{field}") for field in FIELDS}

    def release(self) -> None:
        """Nothing: it goes with the request."""


class _Spawning(OfApp):
    """Its view has its work done in a greenlet that it spawns."""

    def view(self) -> "BaseResponse":
        """Write, and have the reading back done elsewhere."""
        probe = self.cell.probe(_InRequest(), Parameters.of(request))
        probe.write()
        checkpoints = self.spawn(lambda: list(probe.checkpoints()))
        return self.cell.reply(probe.report(checkpoints))

    @abstractmethod
    def spawn(self, work: Callable[[], T]) -> T:
        """Do ``work`` in a greenlet of its own."""


class Spawned(_Spawning):
    """Spawns its work as it is."""

    def spawn(self, work: Callable[[], T]) -> T:
        """Spawn it: a new greenlet has no request."""
        return _in_child(work)


class SpawnedWithRequest(_Spawning):
    """Spawns its work within copy_current_request_context."""

    def spawn(self, work: Callable[[], T]) -> T:
        """Spawn it, with the current request's context around."""
        return _in_child(copy_current_request_context(work))


class LostInSpawn(Hazard):
    """A new greenlet's lane is empty."""

    name = "lost-in-spawn"
    summary = "A request's work runs in a spawned greenlet, which knows nothing of the request."
    shows = "every checkpoint is an error or empty"
    cause = (
        "What is local to a greenlet is not its children's, and gevent starts each greenlet with an empty "
        "context of variables. Logs lose their request and traces their parent."
    )
    incidents = ("https://github.com/getsentry/sentry-python/issues/1028",)
    caught_as = ("missing",)
    breaks = ONE_LANE | missing(
        "a new greenlet has an empty lane, and nothing is handed over",
        "gevent-local",
        "contextvar",
        "local-unreleased",
        "id-reused",
    )
    broken = Spawned
    fixed = SpawnedWithRequest

    def situate(self, cell: Cell, strategy: Strategy, parameters: Parameters) -> "BaseResponse":
        """Write here, read back in a child, and release here."""
        probe = cell.probe(strategy, parameters)
        try:
            probe.write()
            checkpoints = _in_child(strategy.carried(lambda: list(probe.checkpoints())))
        finally:
            strategy.release()
        return cell.reply(probe.report(checkpoints))


#: Few, so that each has many tasks; enough that they overlap.
WORKERS: Final = 8


class Workers:
    """A home-made pool: greenlets that take tasks from a queue, one after another, as long as it lives."""

    def __init__(self) -> None:
        self._tasks: Queue[Callable[[], None] | None] = Queue()
        self._started = False

    def run(self, task: Callable[[], T]) -> T:
        """Have a worker do ``task``, and return what it returns."""
        if not self._started:
            self._started = True
            for _ in range(WORKERS):
                gevent.spawn(_work, self._tasks)
            finalize(self, _dismiss, self._tasks)
        result: AsyncResult[T] = AsyncResult()

        def answer() -> None:
            try:
                result.set(task())
            except Exception as error:
                result.set_exception(error)

        self._tasks.put(answer)
        done: T = result.get()  # type: ignore[assignment]  # it is set
        return done


def _work(tasks: "Queue[Callable[[], None] | None]") -> None:
    while (task := tasks.get()) is not None:
        task()
        del task  # what it refers to need not wait for the next one


def _dismiss(tasks: "Queue[Callable[[], None] | None]") -> None:
    for _ in range(WORKERS):
        tasks.put(None)


class _Pooled(InAttributes):
    """Keeps data in a gevent.local, and does its work in a worker."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.current = gevent_local()
        self.workers = Workers()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Have a worker do the whole probe."""
        probe = self.cell.probe(self, Parameters.of(Request(environ)))
        return self.cell.reply(self.workers.run(self.task(probe)))(environ, start_response)

    @abstractmethod
    def task(self, probe: Probe) -> Callable[[], Report]:
        """Return what a worker is to do, as this program has it."""


class LeftInWorker(_Pooled):
    """A worker does a task, and then the next one, with the same gevent.local."""

    def task(self, probe: Probe) -> Callable[[], Report]:
        """Return the probe: what it has written stays with the worker."""
        return probe.run


class EmptiedByTask(_Pooled):
    """The same, but each task empties the worker's gevent.local at its end."""

    def task(self, probe: Probe) -> Callable[[], Report]:
        """Return the probe, with an end that is reached whatever happens."""

        def emptied() -> Report:
            try:
                return probe.run()
            finally:
                self.end()

        return emptied


class PoolResidue(Hazard):
    """A worker outlives its tasks, as a connection's greenlet outlives its requests."""

    name = "pool-residue"
    summary = "A pool's worker does one task after another, and each leaves its data in the worker's lane."
    shows = "a task finds what the worker's previous one has written"
    cause = (
        "What is local to a greenlet, or to a thread, lives as long as that does, and a pool's workers live "
        "on. Nobody releases anything between two tasks unless the task does, or whoever hands it over."
    )
    incidents = ("https://github.com/elastic/apm-agent-python/issues/499",)
    breaks = ONE_LANE | cross_talk(
        "the worker's lane still has the last task's data",
        "gevent-local",
        "contextvar",
        "local-unreleased",
        "id-reused",
    )
    broken = LeftInWorker
    fixed = EmptiedByTask

    def __init__(self) -> None:
        self._workers: WeakKeyDictionary[Strategy, Workers] = WeakKeyDictionary()

    def situate(self, cell: Cell, strategy: Strategy, parameters: Parameters) -> "BaseResponse":
        """Have a worker do the whole probe, handed over as the strategy's own program would."""
        probe = cell.probe(strategy, parameters)
        workers = self._workers.setdefault(strategy, Workers())
        return cell.reply(workers.run(strategy.carried(probe.run)))


# Made once: every context that ever set a ContextVar refers to it.
_popped_in_place: PopInPlaceStack[dict[str, str]] = PopInPlaceStack()
_copied: CopyingStack[dict[str, str]] = CopyingStack()


class _OnContextStack(Variant, Keeper):
    """Keeps data on top of a stack in a ContextVar, and has a child work in a copy of the context."""

    stack: ClassVar[PopInPlaceStack[dict[str, str]]]

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Write, let a child come and go, and read back."""
        probe = self.cell.probe(self, Parameters.of(Request(environ)))
        self.stack.push({})
        try:
            probe.write()
            _in_child(partial(copy_context().run, self.work))
            report = probe.report(list(probe.checkpoints()))
        finally:
            self.stack.pop()
        return self.cell.reply(report)(environ, start_response)

    def work(self) -> None:
        """Wait a moment, as a child that works would, and leave nothing behind in what is the child's own."""
        gevent.sleep(0)
        while self.stack.top is not None:
            self.stack.pop()

    def write(self, field: str, value: str) -> None:
        """Write to the top, if there is one."""
        top = self.stack.top
        if top is not None:
            top[field] = value

    def read(self) -> Reading:
        """Read from the top."""
        top = self.stack.top or {}
        return {field: top.get(field) for field in FIELDS}

    def release(self) -> None:
        """Nothing that a probe could ask for: the request pops at its end."""


class PopsInPlace(_OnContextStack):
    """A stack in a ContextVar whose pop changes the list, which every copy of the context refers to."""

    stack = _popped_in_place


class PopsByCopy(_OnContextStack):
    """A stack in a ContextVar whose pop sets a shorter copy."""

    stack = _copied


class SharedStack(Hazard):
    """Copying a context copies no values."""

    name = "shared-stack"
    summary = "A child in a copied context cleans up, and takes its parent's data away."
    shows = "after the child's end the parent's checkpoints are empty"
    cause = (
        "A copied context has the same objects as the original. Who changes one in place changes it in "
        "every copy: the first releases of Werkzeug 2 copied the list on push and not on pop."
    )
    incidents = ("https://github.com/pallets/werkzeug/issues/2102",)
    caught_as = ("missing", "cross-talk")
    breaks = ONE_LANE
    broken = PopsInPlace
    fixed = PopsByCopy

    def situate(self, cell: Cell, strategy: Strategy, parameters: Parameters) -> "BaseResponse":
        """Write, let a child that was handed the data release what it has, and read back."""
        probe = cell.probe(strategy, parameters)
        try:
            probe.write()
            _in_child(partial(copy_context().run, strategy.carried(strategy.release)))
            report = probe.report(list(probe.checkpoints()))
        finally:
            strategy.release()
        return cell.reply(report)
