"""Bodies that are made after the view has returned: deserted in the middle, or without their context."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from greenlane.app import Request, stream_with_context
from greenlane.app import request as current_request
from greenlane.demo.hazards.hazard import ONE_LANE, Cell, Exercise, Hazard, OfApp
from greenlane.demo.hazards.stacked import OnStack
from greenlane.demo.parameters import Parameters
from greenlane.demo.probe import Probe
from greenlane.demo.strategies import ContextOfRequest, ReusedId, Strategy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from werkzeug.wrappers import Response as BaseResponse


class _Streaming(OnStack):
    """Streams its reply, with a context on a stack of its own while it does so."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.set_up = 0
        self.torn_down = 0

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Answer with a stream."""
        probe = self.cell.probe(self, Parameters.of(Request(environ)))
        return self.cell.stream(self.body(probe))(environ, start_response)

    @abstractmethod
    def body(self, probe: Probe) -> Iterator[str]:
        """Make the body, within a context."""

    def push(self) -> None:
        """Set up a context."""
        self.contexts.push({})
        self.set_up += 1

    def pop(self) -> None:
        """Tear the context down."""
        self.contexts.pop()
        self.torn_down += 1

    def left(self) -> int:
        """Return how many contexts were not torn down."""
        return self.set_up - self.torn_down


class TornDownAfterTheLoop(_Streaming):
    """Tears its context down when the body's last piece has been sent."""

    def body(self, probe: Probe) -> Iterator[str]:
        """Push, stream, pop: closing a generator raises GeneratorExit at its ``yield``, past the pop."""
        self.push()
        probe.write()
        yield from self.cell.lines(probe)
        self.pop()


class TornDownFinally(_Streaming):
    """Tears its context down when the body ends, be it closed in the middle."""

    def body(self, probe: Probe) -> Iterator[str]:
        """Push, stream, and pop whatever happened."""
        self.push()
        try:
            probe.write()
            yield from self.cell.lines(probe)
        finally:
            self.pop()


class AbandonedStream(Hazard):
    """A reply ends when its client does."""

    name = "abandoned-stream"
    summary = "The client goes away in mid-stream, and the context that the body uses is never torn down."
    shows = "fewer contexts were torn down than set up: their connections, files and locks stay open"
    cause = (
        "A server that cannot send closes the generator, which raises GeneratorExit at its `yield`: what "
        "follows the loop does not run. A server that forgets to close it leaves even `finally` to the "
        "collector."
    )
    incidents = (
        "https://github.com/pallets/flask/issues/6123",
        "https://github.com/gevent/gevent/issues/1382",
    )
    caught_as = ("leak", "cross-talk")
    exercise = Exercise("abandoned", fate="abandon", share=0.3)
    counts_left = True
    breaks = ONE_LANE
    not_applicable: ClassVar[Mapping[str, str]] = {
        ReusedId.name: "what a stream leaves is under its address, and that this is used again is ident-reuse"
    }
    broken = TornDownAfterTheLoop
    fixed = TornDownFinally

    def situate(self, cell: Cell, strategy: Strategy, parameters: Parameters) -> "BaseResponse":
        """Stream, and release after the loop, which an abandoned stream does not reach."""
        probe = cell.probe(strategy, parameters)

        def body() -> Iterator[str]:
            probe.write()
            yield from cell.lines(probe)
            strategy.release()

        return cell.stream(stream_with_context(body()))


class _Viewed(OfApp):
    """Its view writes to ``g`` and returns a stream of what it reads there."""

    def view(self) -> "BaseResponse":
        """Write, and return a stream that reads."""
        probe = self.cell.probe(ContextOfRequest(), Parameters.of(current_request))
        probe.write()
        return self.cell.stream(self.around(self.cell.lines(probe)))

    @abstractmethod
    def around(self, lines: Iterator[str]) -> Iterator[str]:
        """Return the body's generator, as this program has it."""


class WithoutContext(_Viewed):
    """Returns a generator that uses ``g`` and ``request``, as it is."""

    def around(self, lines: Iterator[str]) -> Iterator[str]:
        """Return it: it runs when the view has returned, and its context is gone."""
        return lines


class WithContext(_Viewed):
    """Returns the same generator within stream_with_context."""

    def around(self, lines: Iterator[str]) -> Iterator[str]:
        """Return it, with the request's context around each of its steps."""
        return stream_with_context(lines)


class StreamAfterPop(Hazard):
    """A generator function's call runs none of it."""

    name = "stream-after-pop"
    summary = "A streamed body uses the request, which ended when the view returned the generator."
    shows = "every checkpoint is an error, or somebody else's data where there is only one lane"
    cause = (
        "A view that returns a generator has returned before the generator's first step. By then its "
        "context has been popped, and the proxies stand for nothing, or for whoever is current."
    )
    incidents = ("https://flask.palletsprojects.com/en/stable/patterns/streaming/#streaming-with-context",)
    caught_as = ("missing", "cross-talk")
    exercise = Exercise("stream")
    breaks = ONE_LANE
    broken = WithoutContext
    fixed = WithContext

    def situate(self, cell: Cell, strategy: Strategy, parameters: Parameters) -> "BaseResponse":
        """Write in the view, read in the body's generator, and release when that ends."""
        probe = cell.probe(strategy, parameters)
        probe.write()

        def body() -> Iterator[str]:
            try:
                yield from cell.lines(probe)
            finally:
                strategy.release()

        return cell.stream(stream_with_context(body()))
