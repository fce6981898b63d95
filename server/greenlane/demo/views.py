"""The views: the probe, its listing, the front page, and what they say when something is wrong.

Under ``/probe`` every reply is JSON, errors included; elsewhere it is what the request prefers.

Must not import the site, which mounts these.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from greenlane.app import App, abort, request
from greenlane.demo.hazards import HAZARDS
from greenlane.demo.pages import error_response, json_response, not_stored, render
from greenlane.demo.parameters import LIMITS, ParameterError, Parameters
from greenlane.demo.probe import Kit
from greenlane.demo.strategies import Strategy

#: The roles as the front page shows them.
ROLES: Final = (
    ("subject", "Subjects", "must hold, always"),
    ("observed", "Observed", "hold at a switch, fail when a connection is kept alive"),
    ("control", "Controls", "known to be broken: a proof that does not catch them is blind"),
)


@dataclass(frozen=True)
class Step:
    """Something to try: commands, with ``{host}`` for this server's address, and what they show."""

    title: str
    shows: str
    commands: str


# curl makes one request for each word in braces, one after another on one connection.
STEPS: Final = (
    Step(
        "One request, one lane",
        "Nothing found, and its own nonce at every checkpoint.",
        "curl -s '{host}/probe/local?nonce=a&hops=3'",
    ),
    Step(
        "Two at once, one shared object",
        "Each waits about half a second between its steps. Both read whoever wrote last, field by field.",
        "(curl -s '{host}/probe/shared-object?nonce=alice&pause=500' &\n"
        " curl -s '{host}/probe/shared-object?nonce=bob&pause=500'; wait)",
    ),
    Step(
        "Two at once, a Local",
        "The same two, each with its own nonce. The switches show that they did overlap.",
        "(curl -s '{host}/probe/local?nonce=alice&pause=500' &\n"
        " curl -s '{host}/probe/local?nonce=bob&pause=500'; wait)",
    ),
    Step(
        "Two in turn, on one connection",
        "gevent.local keeps greenlets apart, but one greenlet serves both requests: bob finds alice's nonce. "
        "With release=1 he finds nothing.",
        "curl -s '{host}/probe/gevent-local?nonce={{alice,bob}}'\n"
        "curl -s '{host}/probe/gevent-local?nonce={{alice,bob}}&release=1'",
    ),
)


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
        app.add_url_rule("/", "front", self.front)
        app.add_url_rule("/probe/", "listing", self.listing)
        app.add_url_rule("/probe/<name>", "probe", self.probe, methods=["GET", "POST"])
        app.register_error_handler(HTTPException, self.http_error)
        app.register_error_handler(ParameterError, self.parameter_error)

    def probe(self, name: str) -> BaseResponse:
        """Probe one strategy: see :mod:`greenlane.demo.probe`."""
        strategy = self._strategies.get(name)
        if strategy is None:
            abort(404, f"There is no strategy {name!r}.")
        probe = self._kit.probe(name, strategy, Parameters.of(request))
        return not_stored(json_response(probe.run()))

    def listing(self) -> BaseResponse:
        """List the strategies and the bounds of a probe."""
        document = {
            "strategies": [
                {key: getattr(strategy, key) for key in ("name", "role", "summary", "locals")}
                for strategy in self._strategies.values()
            ],
            "limits": LIMITS,
        }
        return json_response(document)

    def front(self) -> str:
        """Render the front page."""
        # Werkzeug gives an empty host for one with characters that no host has.
        host_url = f"{request.scheme}://{request.host or 'localhost'}{request.root_path}"
        return render(
            "front.html",
            host_url=host_url,
            roles=[
                {
                    "name": role,
                    "title": title,
                    "meaning": meaning,
                    "strategies": [held for held in self._strategies.values() if held.role == role],
                }
                for role, title, meaning in ROLES
            ],
            steps=[replace(step, commands=step.commands.format(host=host_url)) for step in STEPS],
            hazards=HAZARDS,
            limits=LIMITS,
        )

    def http_error(self, error: HTTPException) -> BaseResponse:
        """Say what is wrong; where a strategy was asked for that is none, list them."""
        if error.code == 404 and request.path.startswith("/probe/"):
            return error_response(error, strategies=list(self._strategies))
        return error_response(error)

    def parameter_error(self, error: ParameterError) -> BaseResponse:
        """Say which parameter is wrong, and why."""
        return not_stored(json_response({"error": str(error), "parameter": error.parameter}, status=400))
