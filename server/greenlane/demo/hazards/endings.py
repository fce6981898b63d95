"""Requests that end early: by an error of the view, and by a time limit in the middle of it."""

from typing import TYPE_CHECKING

from werkzeug.wsgi import ClosingIterator

from greenlane.app import Request
from greenlane.context import LocalManager
from greenlane.demo.hazards.hazard import ONE_LANE, Cell, Exercise, Hazard, cross_talk
from greenlane.demo.hazards.sharing import OneLocal
from greenlane.demo.hazards.stacked import OnStack
from greenlane.demo.parameters import Parameters
from greenlane.demo.strategies import Strategy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from werkzeug.wrappers import Response as BaseResponse


class _ReleasedLater(Hazard):
    """A situation in which a view releases what it keeps as its last step, if it comes so far."""

    def situate(self, cell: Cell, strategy: Strategy, parameters: Parameters) -> "BaseResponse":
        """Probe, and release at the end, which some requests do not reach."""
        report = cell.probe(strategy, parameters).run()
        strategy.release()
        return cell.reply(report)


class _InLocal(OneLocal):
    """Keeps data in a Local, which some middleware releases."""

    def view(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Answer, or raise."""
        report = self.cell.probe(self, Parameters.of(Request(environ))).run()
        return self.cell.reply(report)(environ, start_response)


class ReleasedByIterator(_InLocal):
    """Middleware releases the Local when the response's iterator is closed, if there is one."""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Wrap the response. An error passes this line: nothing is there yet that a server could close."""
        return ClosingIterator(self.view(environ, start_response), self.end)


class ReleasedByManager(_InLocal):
    """LocalManager's middleware releases the Local when the response is closed, and when there is none."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.application: WSGIApplication = LocalManager([self.current]).make_middleware(self.view)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Answer through the middleware."""
        return self.application(environ, start_response)


class RaiseEarly(_ReleasedLater):
    """No response, no close()."""

    name = "raise-early"
    summary = "Data is released when the response is closed, but the view raises before there is one."
    shows = "the connection's next request finds data, or entries are left at idle"
    cause = (
        "PEP 3333 has a server call close() on the iterable that an application returned. One that raises "
        "has returned none, so what waits for close() never runs, and the connection goes on."
    )
    incidents = (
        "https://peps.python.org/pep-3333/#specification-details",
        "https://werkzeug.palletsprojects.com/en/stable/local/#werkzeug.local.LocalManager.make_middleware",
    )
    caught_as = ("cross-talk", "leak")
    exercise = Exercise("kept-alive", fate="raise", share=0.25)
    counts_left = True
    breaks = ONE_LANE | cross_talk(
        "the view's last step releases it, which a failed request does not reach",
        "gevent-local",
        "contextvar",
        "local-unreleased",
        "id-reused",
    )
    broken = ReleasedByIterator
    fixed = ReleasedByManager


class _OnOneContext(OnStack):
    """As Flask has it for application contexts, a request uses the one that is there already."""

    def push(self) -> None:
        """Push a context, unless there is one."""
        if self.contexts.top is None:
            self.contexts.push({})

    def view(self, environ: "WSGIEnvironment") -> "BaseResponse":
        """Answer, which may take longer than it is given."""
        return self.cell.reply(self.cell.probe(self, Parameters.of(Request(environ))).run())


class PoppedAfterwards(_OnOneContext):
    """Pushes a context, calls the view, and pops the context in the line after that."""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Push, answer, pop: a time limit that strikes in the view passes the pop."""
        self.push()
        response = self.view(environ)
        self.contexts.pop()
        return response(environ, start_response)


class PoppedFinally(_OnOneContext):
    """Pushes a context, calls the view, and pops the context in ``finally``."""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Push, answer, and pop whatever happened."""
        try:
            self.push()
            response = self.view(environ)
        finally:
            self.contexts.pop()
        return response(environ, start_response)


class KilledMidway(_ReleasedLater):
    """A time limit is an error that can strike at any switch, and no ``except Exception`` sees it."""

    name = "killed-midway"
    summary = "A time limit ends the view between write and read, and its context stays."
    shows = "the connection's next request finds data, or contexts are left at idle"
    cause = (
        "gevent.Timeout and GreenletExit are raised wherever the greenlet waits, and are no Exceptions. "
        "What cleans up in the next line, or in `except Exception`, does not run."
    )
    incidents = (
        "https://github.com/gevent/gevent/issues/1930",
        "https://github.com/gevent/gevent/issues/1044",
    )
    caught_as = ("cross-talk", "leak")
    exercise = Exercise("kept-alive", fate="kill", share=0.25)
    counts_left = True
    breaks = ONE_LANE | cross_talk(
        "the view's last step releases it, which a killed request does not reach",
        "gevent-local",
        "contextvar",
        "local-unreleased",
        "id-reused",
    )
    broken = PoppedAfterwards
    fixed = PoppedFinally
