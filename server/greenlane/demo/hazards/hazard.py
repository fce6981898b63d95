"""What a hazard is: a situation that breaks isolation, with a broken and a fixed variant of the same code.

A variant is a WSGI application of its own, outside the demonstration's App: so that a
mistake in it can break nothing but its own cell. A cell is one hazard under one
strategy, or in one variant. How clients have to behave to meet a hazard is its exercise.

Must not import any hazard, or the site.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Literal, NamedTuple, Never

from werkzeug.exceptions import HTTPException

from greenlane.app import App, Request, Response
from greenlane.demo.keeper import Keeper
from greenlane.demo.pages import LINES, json_response, not_stored
from greenlane.demo.parameters import Parameters
from greenlane.demo.probe import Kit, Probe, Report
from greenlane.demo.strategies import STRATEGIES, Strategy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from werkzeug.wrappers import Response as BaseResponse

Fate = Literal["raise", "kill", "cancel", "abandon"]
"""How a doomed request will end: by an error, by a timeout, in mid-call, or deserted by its client."""

Outcome = Literal["cross-talk", "leak", "missing", "no-overlap", "self-test"]
"""What a broken variant shows to a load test that catches it."""

OwnServer = Literal["late-patch", "desync", "cached-cookie", "self-test"]
"""What has to be started beside the demonstration, by the name that the load test knows it by."""

ExerciseName = Literal["kept-alive", "fresh", "stream", "abandoned", "pipelined", "cached", "self-test"]


@dataclass(frozen=True)
class Exercise:
    """How clients have to behave to meet a hazard.

    Attributes:
        name: ``kept-alive``: connections stay, and the next request on one is another
            user's. ``fresh``: each request has a connection of its own. ``stream``: the
            reply is read as it comes. ``abandoned``: some clients go away in mid-stream.
            ``pipelined``, ``cached``, ``self-test``: see the hazards of these names.
        fate: how some of the requests end.
        share: the share of the requests that end so.

    """

    name: ExerciseName
    fate: Fate | None = None
    share: float = 0.0


class Break(NamedTuple):
    """What a strategy that does not hold shows, and why, in a sentence."""

    outcome: Outcome
    why: str


@dataclass(frozen=True)
class Cell:
    """One hazard under one strategy, or in one variant.

    Attributes:
        hazard: the hazard's name.
        strategy: the strategy's name, or ``broken`` or ``fixed``.
        kit: what it shares with all other cells.

    """

    hazard: str
    strategy: str
    kit: Kit

    def probe(self, keeper: Keeper, parameters: Parameters) -> Probe:
        """Make the probe of one request, that writes to ``keeper`` and reads from it."""
        return self.kit.probe(self.strategy, keeper, parameters)

    def reply(self, report: Report, channel: str | None = None) -> "BaseResponse":
        """Answer with a probe's report; ``channel`` names what the data came through."""
        return not_stored(json_response(self._named(report, channel)))

    def stream(self, lines: "Iterable[str]") -> "BaseResponse":
        """Answer with :meth:`lines`, wrapped as a program has them, each as soon as it is made."""
        return not_stored(Response(lines, content_type=LINES))

    def lines(self, probe: Probe) -> Iterator[str]:
        """Yield the lines of a streamed reply: each checkpoint, and the report without them.

        Args:
            probe: one that has written already.

        """
        for checkpoint in probe.checkpoints():
            yield json.dumps(checkpoint) + "\n"
        yield json.dumps(self._named(probe.report([]), None)) + "\n"

    def _named(self, report: Report, channel: str | None) -> Report:
        report["hazard"] = self.hazard
        if channel is not None:
            report["channel"] = channel
        return report


class Variant(ABC):
    """One way, broken or fixed, to write what a hazard is about: a WSGI application.

    The first line of a subclass's docstring says what it does, for the listing.

    Args:
        cell: whose variant it is.

    """

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    @abstractmethod
    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Answer a request (PEP 3333)."""

    def left(self) -> int:
        """Return how many entries, or contexts that were not torn down, there are. At idle 0 is right."""
        return 0


class Kept(Variant, Keeper):
    """A variant that is about where the data is kept: the plain probe shows what that does."""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Write to this keeper, switch, and read back."""
        probe = self.cell.probe(self, Parameters.of(Request(environ)))
        try:
            response = self.cell.reply(probe.run())
        finally:
            self.end()
        return response(environ, start_response)

    def end(self) -> None:
        """Do what this program does when a request is over: by default nothing."""

    def release(self) -> None:
        """Do what a probe can ask for besides: nothing, since :meth:`end` is the program's own."""


class OfApp(Variant):
    """A variant that is a view of an App of its own, which uses that App's ``request`` and ``g``."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.app = App(__name__)
        self.app.add_url_rule("/<path:path>", "view", lambda path: self.view(), methods=["GET", "POST"])
        # Errors go on to the demonstration, which has an answer for each.
        self.app.config["PROPAGATE_EXCEPTIONS"] = True
        self.app.register_error_handler(HTTPException, _raise)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Answer by the App."""
        return self.app(environ, start_response)

    @abstractmethod
    def view(self) -> "BaseResponse":
        """Answer the current request."""


def _raise(error: HTTPException) -> Never:
    raise error


class Hazard(ABC):
    """A situation that breaks isolation for some strategies.

    Attributes:
        name: a word or two, with hyphens.
        summary: what goes wrong, in a sentence.
        shows: where it shows in a probe's reply.
        cause: why, in a few sentences.
        incidents: where it happened: names of issues or advisories, or addresses.
        caught_as: what a load test may say of the broken variant; of the fixed one it says ``isolated``.
        exercise: how clients have to behave to meet it.
        alone: it stops every other request of the process, and has to be exercised by itself.
        own_server: what has to be started beside the demonstration; its cells are not here then.
        counts_left: what is left at idle belongs to the finding.
        breaks: strategies that do not hold in it, each with what is seen, and why; the others hold.
        not_applicable: strategies that this situation says nothing of, each with the reason.
        broken: the variant with the mistake; None where it is no application of this process.
        fixed: the variant without it; None likewise.
        shown: what else of the code tells what it is about, for the document.

    """

    name: ClassVar[str]
    summary: ClassVar[str]
    shows: ClassVar[str]
    cause: ClassVar[str]
    incidents: ClassVar[tuple[str, ...]]
    caught_as: ClassVar[tuple[Outcome, ...]] = ("cross-talk",)
    exercise: ClassVar[Exercise] = Exercise("kept-alive")
    alone: ClassVar[bool] = False
    own_server: ClassVar[OwnServer | None] = None
    counts_left: ClassVar[bool] = False
    breaks: ClassVar[Mapping[str, Break]] = {}
    not_applicable: ClassVar[Mapping[str, str]] = {}
    broken: ClassVar[type[Variant] | None] = None
    fixed: ClassVar[type[Variant] | None] = None
    shown: ClassVar[tuple[type, ...]] = ()

    def variants(self) -> Mapping[str, str]:
        """Return in a line what each variant does; by default the first of its docstring."""
        return {
            name: (variant.__doc__ or "").partition("\n")[0]
            for name, variant in (("broken", self.broken), ("fixed", self.fixed))
        }

    def situate(self, cell: Cell, strategy: Strategy, parameters: Parameters) -> "BaseResponse":
        """Put a strategy into this situation: answer one request of the cell.

        It runs as a view of the demonstration's App. By default it is the plain probe.

        Raises:
            greenlane.demo.doom.Doom: the request had announced that it would end so.

        """
        return cell.reply(cell.probe(strategy, parameters).run())


def everywhere(reason: str) -> dict[str, str]:
    """Return ``reason`` for each strategy, as :attr:`Hazard.not_applicable`."""
    return {strategy.name: reason for strategy in STRATEGIES}


def cross_talk(why: str, *strategies: str) -> dict[str, Break]:
    """Return that these strategies mix up data, and why, as :attr:`Hazard.breaks`."""
    return dict.fromkeys(strategies, Break("cross-talk", why))


def missing(why: str, *strategies: str) -> dict[str, Break]:
    """Return that these strategies lose data, and why, as :attr:`Hazard.breaks`."""
    return dict.fromkeys(strategies, Break("missing", why))


#: What breaks in every situation in which two requests overlap.
ONE_LANE: Final = cross_talk(
    "one lane for all greenlets of a native thread: after a switch it holds what the last writer wrote",
    "shared-object",
    "native-thread-local",
    "thread-ident",
)
