"""Every order of one program under one strategy, run with the real thing.

Each request goes through an App, with its contexts and its teardown; the strategy is one
of the demonstration's; ``greenlane.testing.interleave`` chooses the order. Nothing is
asserted of what a request reads: an order that fails is what is looked for, and the
exploration must go on after it.

Must not import the page that shows it. Must not run inside a serving process: an
exploration stops everything else on its native thread.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from gevent import sleep
from greenlet import getcurrent, greenlet

from greenlane.app import App, request
from greenlane.context import LocalManager
from greenlane.demo.keeper import FIELDS, Reading, ReadingJudged, judge
from greenlane.demo.naming import steady_name
from greenlane.demo.orders.programs import Program, Step
from greenlane.demo.strategies import ReleasedLocal, Strategy
from greenlane.testing import interleave

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Judged = ReadingJudged | Literal["stale"]

#: From the worst on: a request is judged by its worst.
WORST_FIRST: Final[tuple[Judged, ...]] = ("foreign", "torn", "stale", "missing", "own")

NOTHING: Final = "-"
"""Stands for a field that is not set, where a letter stands for a nonce."""

ELSEWHERE: Final = "elsewhere"
"""The name of any place that is no request's by its strategy's own account: a strategy that lies has it."""

Fields = str
"""Whose nonce lies in each field: two letters, the first field's first."""

EMPTY: Final[Fields] = NOTHING * len(FIELDS)


@dataclass(frozen=True)
class Result:
    """What became of one request.

    Attributes:
        found: what it found before it wrote; None where its program does not look.
        read: what it read back.
        read_judged: what that reading is judged by itself.
        judged: the worst of both: stale is what found anything.

    """

    found: Fields | None
    read: Fields
    read_judged: ReadingJudged
    judged: Judged


@dataclass(frozen=True)
class Run:
    """What one order showed.

    Attributes:
        after: what lay where when each step was over, until the next one began.
        kept: the place of each request's data.
        results: what became of each request.

    """

    after: tuple[dict[str, Fields], ...]
    kept: dict[str, str]
    results: dict[str, Result]


def explore(program: Program, make: Callable[[], Strategy]) -> dict[str, Run]:
    """Run a program in every order under one strategy.

    Args:
        program: what to run.
        make: makes the strategy, anew for each order: what a broken one keeps is part of the last.

    Returns:
        What each order showed, in alphabetical order. The order is told by the requests
        that took the steps: ``abba``.

    Raises:
        RuntimeError: there were more or fewer orders than there must be, or one that was
            run twice did not show the same.
        InterleavingError: a request ended with an error.

    """
    stage = _Stage(program, make)
    found = interleave.explore(stage.program).check()
    numbers = (found.schedules, len(stage.runs))
    if not found.covered or set(numbers) != {program.orders}:
        raise RuntimeError(f"{program.name} has {program.orders} orders, and these were run: {numbers}")
    return dict(sorted(stage.runs.items()))


class _Stage:
    """The App that all requests go through, and what is seen of them.

    Args:
        program: what to run.
        make: makes the strategy.

    Attributes:
        runs: what each order showed, by order.

    """

    def __init__(self, program: Program, make: Callable[[], Strategy]) -> None:
        self.runs: dict[str, Run] = {}
        self._program = program
        self._make = make
        self._app = App(__name__)
        self._app.testing = True  # an error of a view is to end the exploration, not to be a reply of 500
        self._app.add_url_rule("/", "view", self._view)
        self._send = {nonce: interleave.request(self, f"/?nonce={nonce}") for nonce in program.requests}

    def program(self) -> Generator[Iterable[Callable[[], Any]], list[Any], None]:
        """One order, from a new strategy to what is left of it."""
        self._strategy = self._make()
        self._seen = _Seen(self._strategy)
        connections = enumerate(self._program.connections, 1)
        yield [self._connection(number, nonces) for number, nonces in connections]
        order, run = self._seen.whole()
        if self.runs.setdefault(order, run) != run:
            raise RuntimeError(f"{order} was run twice, and did not show the same")

    def _connection(self, number: int, nonces: str) -> Callable[[], None]:
        """Return a function that sends the requests of a connection, one after another."""

        def function() -> None:
            self._seen.greenlets[number] = getcurrent()
            for place, nonce in enumerate(nonces):
                if place:
                    sleep(0)
                self._send[nonce]()

        return function

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Answer by the App; the strategy is released at the end where the demonstration does so."""
        app: WSGIApplication = self._app
        if isinstance(self._strategy, ReleasedLocal):
            app = LocalManager([self._strategy.local]).make_middleware(app)
        return app(environ, start_response)

    def _view(self) -> str:
        """Take the steps of a request, and let the others run in between."""
        nonce = request.args["nonce"]
        for number, step in enumerate(self._program.steps):
            if number:
                sleep(0)
            self._seen.turn(nonce)
            if self._program.looks and not number:
                self._seen.found[nonce] = self._strategy.found()
            self._take(nonce, step)
        return ""

    def _take(self, nonce: str, step: Step) -> None:
        for name in step.writes:
            self._strategy.write(name, nonce)
        if not step.writes:
            self._seen.read[nonce] = self._strategy.read()


@dataclass
class _Seen:
    """What is seen of one order as it goes.

    Attributes:
        strategy: what is looked into.
        greenlets: who runs the requests, by the number of their connection.
        order: who took each step.
        after: what lay where before each step but the first.
        kept: the place of each request's data.
        found: what a request found before it wrote.
        read: what it read back.

    """

    strategy: Strategy
    greenlets: dict[int, greenlet] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    after: list[dict[str, Fields]] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    found: dict[str, Reading] = field(default_factory=dict)
    read: dict[str, Reading] = field(default_factory=dict)

    def turn(self, nonce: str) -> None:
        """Note that a request takes a step now, and what the one before has left behind.

        Looked at only now, since what happens at the end of a request, or of a greenlet,
        belongs to the step before.
        """
        if self.order:
            self.after.append(self._stored())
        self.order.append(nonce)
        self.kept.setdefault(nonce, self.strategy.place() or "")

    def whole(self) -> tuple[str, Run]:
        """Return the order, and what it showed, with names that are the same in every process."""
        self.after.append(self._stored())
        names = self._names()
        results = {nonce: _result(nonce, self.found.get(nonce), read) for nonce, read in self.read.items()}
        after = tuple(
            {names.get(place, ELSEWHERE): fields for place, fields in stored.items()} for stored in self.after
        )
        kept = {nonce: names[place] for nonce, place in self.kept.items()}
        return "".join(self.order), Run(after, kept, results)

    def _stored(self) -> dict[str, Fields]:
        # What a dead greenlet has of its own goes with it: only the explorer still refers to it.
        living = [each for each in self.greenlets.values() if not each.dead]
        stored = self.strategy.storage(living)
        return {place: _letters(fields) for place, fields in stored.items()}

    def _names(self) -> dict[str, str]:
        """Return for each request's place a name without addresses, which differ from run to run."""
        return {place: steady_name(place, nonce, self.greenlets) for nonce, place in self.kept.items()}


def _letters(fields: Mapping[str, str | None]) -> Fields:
    return "".join(fields.get(name) or NOTHING for name in FIELDS)


def _result(nonce: str, found: Reading | None, read: Reading) -> Result:
    """Judge a request as the load test does: see ``docs/proof.md``."""
    read_judged = judge(read, nonce)
    kinds: set[Judged] = {read_judged}
    if found is not None and any(value is not None for value in found.values()):
        kinds.add("stale")
    worst = next(judged for judged in WORST_FIRST if judged in kinds)
    return Result(None if found is None else _letters(found), _letters(read), read_judged, worst)
