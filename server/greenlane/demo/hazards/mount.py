"""Where the hazards are: their listing, a view for each strategy in each situation, and each variant.

Must not import the site, which mounts this.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

import gevent
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from werkzeug.exceptions import HTTPException

from greenlane.app import App, Request, Response, abort, request
from greenlane.demo.hazards import HAZARDS
from greenlane.demo.hazards.hazard import Cell, Doom, Hazard, Variant
from greenlane.demo.pages import json_response, not_stored
from greenlane.demo.parameters import ParameterError, Parameters
from greenlane.demo.probe import Kit
from greenlane.demo.strategies import Strategy

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from werkzeug.wrappers import Response as BaseResponse

PREFIX: Final = "/hazards/"

VARIANTS: Final = ("broken", "fixed")


class HazardSite:
    """The hazards of one demonstration.

    Args:
        strategies: what can be put into each situation, by name.
        kit: what all cells share.

    """

    def __init__(self, strategies: Mapping[str, Strategy], kit: Kit) -> None:
        self._strategies = strategies
        self._kit = kit
        self._hazards = {hazard.name: hazard for hazard in HAZARDS}
        self._variants: dict[str, Variant] = {}
        for hazard in HAZARDS:
            for name in VARIANTS:
                variant: type[Variant] | None = getattr(hazard, name)
                if variant is not None:
                    self._variants[f"{hazard.name}/{name}"] = variant(Cell(hazard.name, name, kit))

    def mount(self, app: App) -> None:
        """Register the listing, and the views for strategies, on ``app``."""
        app.add_url_rule(PREFIX, "hazards", self.listing)
        app.add_url_rule(f"{PREFIX}<hazard>/<strategy>", "hazard", self.situation, methods=["GET", "POST"])
        app.register_error_handler(Doom, lambda error: _doomed(str(error), 500))

    def wrap(self, app: "WSGIApplication") -> "WSGIApplication":
        """Answer for the variants, and let doomed requests end as announced; ``app`` answers for the rest.

        Errors end here, as in the outermost middleware of a real service: the
        connection stays open, and its greenlet serves the next request.
        """

        def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
            path = environ.get("PATH_INFO", "")
            if not path.startswith(PREFIX):
                return app(environ, start_response)
            inner = self._variants.get(path.removeprefix(PREFIX), app)
            try:
                return self._fated(inner, environ, start_response)
            except Doom as error:
                response = _doomed(str(error), 500)
            except ParameterError as error:
                response = json_response({"error": str(error), "parameter": error.parameter}, status=400)
            except HTTPException as error:
                response = json_response({"error": error.description}, status=error.code or 500)
            return not_stored(response)(environ, start_response)

        return application

    @staticmethod
    def _fated(
        app: "WSGIApplication", environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        request = Request(environ)
        if request.args.get("fate") != "kill":
            return app(environ, start_response)
        # Somewhere between the two writes, or before the first checkpoint: both wait.
        timeout = gevent.Timeout(Parameters.of(request).pause / 2)
        try:
            with timeout:
                return app(environ, start_response)
        except gevent.Timeout as caught:
            if caught is not timeout:
                raise
            return _doomed("kill", 503)(environ, start_response)

    def situation(self, hazard: str, strategy: str) -> "BaseResponse":
        """Put a strategy into a hazard's situation."""
        found = self._hazards.get(hazard)
        if found is None:
            abort(404, f"There is no hazard {hazard!r}.")
        if strategy in VARIANTS and found.own_server is not None:
            abort(404, f"{hazard!r} needs a server of its own, which the load test starts.")
        if strategy not in self._strategies:
            abort(404, f"There is no strategy {strategy!r}.")
        if reason := found.not_applicable.get(strategy):
            abort(404, f"{hazard!r} says nothing of {strategy!r}: {reason}.")
        parameters = Parameters.of(request)
        if parameters.fate not in ("", found.exercise.fate):
            raise ParameterError("fate", f"is none that {hazard!r} has")
        return found.situate(Cell(hazard, strategy, self._kit), self._strategies[strategy], parameters)

    def listing(self) -> "BaseResponse":
        """List the hazards, as a load test needs to know them."""
        return json_response({"hazards": [_described(hazard, self._strategies) for hazard in HAZARDS]})

    def left(self) -> Iterator[tuple[str, str, int]]:
        """Yield what each cell has left open now, by hazard and strategy."""
        for name, variant in self._variants.items():
            yield *_split(name), variant.left()
        for hazard in HAZARDS:
            for strategy in self._strategies.values():
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


def _doomed(fate: str, status: int) -> Response:
    return json_response({"doomed": fate}, status=status)


def _described(hazard: Hazard, strategies: Mapping[str, Strategy]) -> dict[str, object]:
    applicable = [name for name in strategies if name not in hazard.not_applicable]
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
        "strategies": {name: hazard.breaks.get(name, "isolated") for name in applicable},
        "not_applicable": {
            name: hazard.not_applicable[name] for name in strategies if name in hazard.not_applicable
        },
    }
