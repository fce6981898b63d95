"""Where the hazards are: their listing, a view for each strategy in each situation, and each variant.

Must not import the site, which mounts this.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import gevent
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from greenlane.app import App, Counts, Request, abort, counts, request
from greenlane.context import Local, LocalManager
from greenlane.demo.doom import doomed
from greenlane.demo.hazards import HAZARDS
from greenlane.demo.hazards.hazard import Cell, Hazard, Variant
from greenlane.demo.pages import json_response, not_stored
from greenlane.demo.parameters import ParameterError, Parameters, read_pause
from greenlane.demo.probe import Kit
from greenlane.demo.strategies import STRATEGIES, KeptInLocal, ReleasedLocal, make_strategies

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from werkzeug.wrappers import Response as BaseResponse

PREFIX: Final = "/hazards/"

VARIANTS: Final = ("broken", "fixed")

METHODS: Final = ("GET", "HEAD", "POST")

NAMES: Final = tuple(strategy.name for strategy in STRATEGIES)


class HazardSite:
    """The hazards of one demonstration.

    Each hazard has strategies of its own: what one situation leaves in them, no other finds.

    Args:
        kit: what all cells share.
        hazards: which ones; by default all.
        counted: where the contexts are counted that the strategy ``context`` has open.

    """

    def __init__(self, kit: Kit, hazards: Iterable[Hazard] = HAZARDS, counted: Counts = counts) -> None:
        self._kit = kit
        self._hazards = {hazard.name: hazard for hazard in hazards}
        self._strategies = {name: make_strategies(counted) for name in self._hazards}
        self._variants: dict[str, Variant] = {}
        for hazard in self._hazards.values():
            for name in VARIANTS:
                variant: type[Variant] | None = getattr(hazard, name)
                if variant is not None:
                    self._variants[f"{hazard.name}/{name}"] = variant(Cell(hazard.name, name, kit))

    def mount(self, app: App) -> None:
        """Register the listing, and the views for strategies, on ``app``."""
        app.add_url_rule(PREFIX, "hazards", self.listing)
        app.add_url_rule(f"{PREFIX}<hazard>/<strategy>", "hazard", self.situation, methods=["GET", "POST"])

    def wrap(self, app: "WSGIApplication") -> "WSGIApplication":
        """Answer for the variants, and end the requests that are to be killed; ``app`` answers the rest."""
        cells: dict[str, WSGIApplication] = {**self._variants}
        for hazard, strategies in self._strategies.items():
            for name, strategy in strategies.items():
                if isinstance(strategy, ReleasedLocal):
                    cells[f"{hazard}/{name}"] = LocalManager([strategy.local]).make_middleware(app)

        def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
            path = environ.get("PATH_INFO", "")
            if not path.startswith(PREFIX):
                return app(environ, start_response)
            name = path.removeprefix(PREFIX)
            try:
                if name in self._variants and environ["REQUEST_METHOD"] not in METHODS:
                    raise MethodNotAllowed(METHODS)
                limit = self._time_limit(name, Request(environ))
                return _limited(cells.get(name, app), limit, environ, start_response)
            except ParameterError as error:
                response = json_response({"error": str(error), "parameter": error.parameter}, status=400)
            except HTTPException as error:
                response = json_response({"error": error.description}, status=error.code or 500)
                response.headers.extend(
                    (name, value) for name, value in error.get_headers(environ) if name != "Content-Type"
                )
            return not_stored(response)(environ, start_response)

        return application

    def _time_limit(self, name: str, request: Request) -> float | None:
        """Return the seconds after which a request is killed; None when it has not announced that.

        Raises:
            ParameterError: its fate is none that the hazard has, or leaves no time to be killed in.

        """
        hazard = self._hazards.get(_split(name)[0])
        fate = request.args.get("fate", "")
        if hazard is None or not fate:
            return None
        if fate != hazard.exercise.fate:
            raise ParameterError("fate", f"is none that {hazard.name!r} has")
        if fate != "kill":
            return None
        pause = read_pause(request)
        if not pause:
            raise ParameterError("pause", "must be 1 at least for a request that is to be killed")
        # Ends between the two writes, or before the first checkpoint: both wait.
        return pause / 2

    def situation(self, hazard: str, strategy: str) -> "BaseResponse":
        """Put a strategy into a hazard's situation."""
        found = self._hazards.get(hazard)
        if found is None:
            abort(404, f"There is no hazard {hazard!r}.")
        if strategy in VARIANTS and found.own_server is not None:
            abort(404, f"{hazard!r} needs a server of its own, which the load test starts.")
        if strategy not in self._strategies[hazard]:
            abort(404, f"There is no strategy {strategy!r}.")
        if reason := found.not_applicable.get(strategy):
            abort(404, f"{hazard!r} says nothing of {strategy!r}: {reason}.")
        kept = self._strategies[hazard][strategy]
        return found.situate(Cell(hazard, strategy, self._kit), kept, Parameters.of(request))

    def listing(self) -> "BaseResponse":
        """List the hazards, as a load test needs to know them."""
        return json_response({"hazards": [_described(hazard) for hazard in self._hazards.values()]})

    def local(self, hazard: str, strategy: str) -> Local | None:
        """Return the Local that a strategy keeps its data in, in one hazard; None where it has none."""
        kept = self._strategies[hazard].get(strategy)
        return kept.local if isinstance(kept, KeptInLocal) else None

    def left(self) -> Iterator[tuple[str, str, int]]:
        """Yield what each cell has left open now, by hazard and strategy."""
        for name, variant in self._variants.items():
            yield *_split(name), variant.left()
        for hazard in self._hazards.values():
            for strategy in self._strategies[hazard.name].values():
                if strategy.name not in hazard.not_applicable and (count := strategy.entries()) is not None:
                    yield hazard.name, strategy.name, count


class LeftCollector(Collector):
    """Reports what each cell has left open, as ``greenlane_demo_left``."""

    def __init__(self, site: HazardSite) -> None:
        self._site = site

    def describe(self) -> list[Metric]:
        """Nothing in advance: the registry need not collect once to learn the name."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Count once."""
        family = GaugeMetricFamily(
            "greenlane_demo_left",
            "What a hazard's cell has left open now: entries, and contexts that were not torn down.",
            labels=["hazard", "strategy"],
        )
        for hazard, strategy, count in self._site.left():
            family.add_metric([hazard, strategy], count)
        yield family


def _split(name: str) -> tuple[str, str]:
    hazard, _, strategy = name.partition("/")
    return hazard, strategy


def _limited(
    app: "WSGIApplication",
    limit: float | None,
    environ: "WSGIEnvironment",
    start_response: "StartResponse",
) -> Iterable[bytes]:
    """Answer by ``app``, and end it after ``limit`` seconds, as a service does that limits requests."""
    if limit is None:
        return app(environ, start_response)
    timeout = gevent.Timeout(limit)
    try:
        with timeout:
            return app(environ, start_response)
    except gevent.Timeout as caught:
        if caught is not timeout:
            raise
        return doomed("kill", 503)(environ, start_response)


def _described(hazard: Hazard) -> dict[str, object]:
    return {
        "name": hazard.name,
        "summary": hazard.summary,
        "shows": hazard.shows,
        "cause": hazard.cause,
        "incidents": list(hazard.incidents),
        "caught_as": list(hazard.caught_as),
        "exercise": {
            "name": hazard.exercise.name,
            "fate": hazard.exercise.fate,
            "share": hazard.exercise.share,
        },
        "alone": hazard.alone,
        "own_server": hazard.own_server,
        "counts_left": hazard.counts_left,
        "variants": dict(hazard.variants()),
        "strategies": {
            name: hazard.breaks[name].outcome if name in hazard.breaks else "isolated"
            for name in NAMES
            if name not in hazard.not_applicable
        },
        "not_applicable": {
            name: hazard.not_applicable[name] for name in NAMES if name in hazard.not_applicable
        },
    }
