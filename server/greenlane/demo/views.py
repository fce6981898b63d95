"""The views of a probe and of the listing, and what any view says when something is wrong.

Under ``/probe`` every reply is JSON, errors included; elsewhere it is what the request prefers.

Must not import the site, which mounts these.
"""

from collections.abc import Mapping

from werkzeug.exceptions import BadRequest, HTTPException
from werkzeug.wrappers import Response as BaseResponse

from greenlane.app import App, abort, request
from greenlane.demo.doom import RAISES
from greenlane.demo.pages import error_response, json_response, not_stored
from greenlane.demo.parameters import LIMITS, ParameterError, Parameters
from greenlane.demo.probe import Kit
from greenlane.demo.strategies import Strategy


class Views:
    """The views of one demonstration.

    Args:
        strategies: what can be probed, by name.
        kit: what all probes share.

    """

    def __init__(self, strategies: Mapping[str, Strategy], kit: Kit) -> None:
        self._strategies = strategies
        self._kit = kit

    def mount(self, app: App) -> None:
        """Register everything on ``app``."""
        app.add_url_rule("/probe/", "listing", self.listing)
        app.add_url_rule("/probe/<name>", "probe", self.probe, methods=["GET", "POST"])
        app.register_error_handler(HTTPException, self.http_error)
        app.register_error_handler(ParameterError, self.parameter_error)

    def probe(self, name: str) -> BaseResponse:
        """Probe one strategy: see :mod:`greenlane.demo.probe`."""
        strategy = self._strategies.get(name)
        if strategy is None:
            abort(404, f"There is no strategy {name!r}.")
        parameters = Parameters.of(request)
        if parameters.fate not in ("", RAISES):
            raise ParameterError("fate", f"is none that a probe has: it may be {RAISES!r}")
        probe = self._kit.probe(name, strategy, parameters)
        return not_stored(json_response(probe.run()))

    def listing(self) -> BaseResponse:
        """List the strategies, the bounds of a probe, and how one may announce that it will end."""
        document = {
            "strategies": [
                {key: getattr(strategy, key) for key in ("name", "role", "summary", "locals")}
                for strategy in self._strategies.values()
            ],
            "limits": LIMITS,
            "fates": [RAISES],
        }
        return json_response(document)

    def http_error(self, error: HTTPException) -> BaseResponse:
        """Say what is wrong; where a strategy was asked for that is none, list them."""
        if error.code == 404 and request.path.startswith("/probe/"):
            return error_response(error, strategies=list(self._strategies))
        return error_response(error)

    def parameter_error(self, error: ParameterError) -> BaseResponse:
        """Say which parameter is wrong, and why."""
        return error_response(BadRequest(str(error)), parameter=error.parameter)
