"""A request within a request, to the same application and on the same greenlet."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Final

from werkzeug.test import EnvironBuilder, run_wsgi_app

from greenlane.app import Request, current_app
from greenlane.app import request as current_request
from greenlane.context import Local, LocalStack, release_local
from greenlane.demo.hazards.hazard import ONE_LANE, Cell, Hazard, Variant, everywhere
from greenlane.demo.keeper import FIELDS, Keeper, Reading
from greenlane.demo.parameters import Parameters
from greenlane.demo.strategies import ContextOfRequest, Strategy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from werkzeug.wrappers import Response as BaseResponse

#: Marks an environment of a request that the program makes itself. No client can send it (PEP 3333).
INNER: Final = "greenlane.demo.inner"


def _ask(app: "WSGIApplication", path: str) -> None:
    """Have ``app`` answer another visitor's request, right here: to include a part of a page, say."""
    builder = EnvironBuilder(path, query_string={"nonce": "inner"}, environ_base={INNER: True})
    try:
        run_wsgi_app(app, builder.get_environ(), buffered=True)
    finally:
        builder.close()


class _Including(Variant, Keeper):
    """Includes another page of its own: its view asks the same application."""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Begin, answer, end."""
        self.begin()
        try:
            response = self.view(Request(environ))
        finally:
            self.end()
        return response(environ, start_response)

    def view(self, request: Request) -> "BaseResponse":
        """Write; if this is the outer request, make the inner one; read back."""
        probe = self.cell.probe(self, Parameters.of(request))
        probe.write()
        if INNER not in request.environ:
            _ask(self, request.path)
        return self.cell.reply(probe.report(list(probe.checkpoints())))

    @abstractmethod
    def begin(self) -> None:
        """Make room for a request's data."""

    @abstractmethod
    def end(self) -> None:
        """Drop a request's data."""

    def release(self) -> None:
        """Nothing that a probe could ask for: :meth:`end` is the program's own."""


class ClearsItsLane(_Including):
    """Clears the greenlet's Local when a request begins, and when one ends."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.ctx = Local()

    def begin(self) -> None:
        """Clear the lane: whoever is in it can only be the past."""
        release_local(self.ctx)

    def end(self) -> None:
        """Clear the lane."""
        release_local(self.ctx)

    def write(self, field: str, value: str) -> None:
        """Set an attribute."""
        setattr(self.ctx, field, value)

    def read(self) -> Reading:
        """Read the attributes."""
        return {field: getattr(self.ctx, field, None) for field in FIELDS}

    def left(self) -> int:
        """Return how many greenlets have an entry."""
        return len(self.ctx.__storage__)


class PushesAndPops(_Including):
    """Pushes a context onto the greenlet's LocalStack when a request begins, and pops it when it ends."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.contexts: LocalStack[dict[str, str | None]] = LocalStack()

    def begin(self) -> None:
        """Push an empty context: what is below it stays as it is."""
        self.contexts.push(dict.fromkeys(FIELDS))

    def end(self) -> None:
        """Pop it."""
        self.contexts.pop()

    def write(self, field: str, value: str) -> None:
        """Write into the context on top."""
        context = self.contexts.top
        if context is not None:
            context[field] = value

    def read(self) -> Reading:
        """Read from the context on top."""
        return dict(self.contexts.top or dict.fromkeys(FIELDS))

    def left(self) -> int:
        """Return how many greenlets have a context."""
        return len(self.contexts.__storage__)


class NestedSameApp(Hazard):
    """A greenlet may serve two requests at once after all."""

    name = "nested-same-app"
    summary = "A view asks its own application, and the inner request clears the outer one's data."
    shows = "after the inner request the outer one's checkpoints are empty, or the inner one's"
    cause = (
        "An application that includes a page of its own, or is tested by itself, answers a request within a "
        "request, on the same greenlet. One lane is too few for two; a stack has room."
    )
    incidents = ("https://github.com/webpy/webpy/pull/651",)
    caught_as = ("missing", "cross-talk")
    not_applicable: ClassVar[Mapping[str, str]] = {
        name: reason
        for name, reason in everywhere("has one lane for each greenlet by design, and no stack").items()
        if name != ContextOfRequest.name and name not in ONE_LANE
    }
    breaks = ONE_LANE
    broken = ClearsItsLane
    fixed = PushesAndPops

    def situate(self, cell: Cell, strategy: Strategy, parameters: Parameters) -> "BaseResponse":
        """Write; if this is the outer request, make the inner one; read back."""
        probe = cell.probe(strategy, parameters)
        probe.write()
        if INNER not in current_request.environ:
            _ask(current_app.wsgi_app, current_request.path)
        return cell.reply(probe.report(list(probe.checkpoints())))
