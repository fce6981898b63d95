"""The front page: what there is to see, and what to try by hand.

Must not import the site, which mounts this.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from werkzeug.wrappers import Response as BaseResponse

from greenlane.app import App, request
from greenlane.demo.hazards import HAZARDS
from greenlane.demo.hazards.hazard import Hazard
from greenlane.demo.hazards.mount import VARIANTS
from greenlane.demo.orders.programs import PROGRAMS
from greenlane.demo.pages import html_response, not_stored, render
from greenlane.demo.parameters import LIMITS
from greenlane.demo.race import RacePage
from greenlane.demo.race.settings import DEFAULTS, choices
from greenlane.demo.race.settings import LIMITS as RACE_LIMITS
from greenlane.demo.race.source import source_of
from greenlane.demo.strategies import STRATEGIES
from greenlane.demo.tokens import form_token

#: The roles as the front page shows them: title, meaning, and the rest of it where there is room.
ROLES: Final = (
    ("subject", "Subjects", "must hold", ", always"),
    ("observed", "Observed", "for comparison", ": hold at a switch, fail when a connection is kept alive"),
    ("control", "Controls", "known to be broken", ": a proof that does not catch them is blind"),
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


class FrontPage:
    """The front page of one demonstration.

    Args:
        races: the races that can be started from it.

    """

    def __init__(self, races: RacePage) -> None:
        self._races = races

    def mount(self, app: App) -> None:
        """Register it on ``app``."""
        app.add_url_rule("/", "front", self.show)

    def show(self) -> BaseResponse:
        """Show it."""
        # Werkzeug gives an empty host for one with characters that no host has.
        host_url = f"{request.scheme}://{request.host or 'localhost'}{request.root_path}"
        page = render(
            "front.html",
            host_url=host_url,
            token=form_token(),
            roles=[
                {
                    "name": role,
                    "title": title,
                    "meaning": meaning,
                    "rest": rest,
                    "strategies": [each for each in STRATEGIES if each.role == role],
                }
                for role, title, meaning, rest in ROLES
            ],
            steps=[replace(step, commands=step.commands.format(host=host_url)) for step in STEPS],
            hazards=HAZARDS,
            limits=LIMITS,
            race=_race(),
            programs=PROGRAMS.values(),
            last=self._races.last,
        )
        return not_stored(html_response(page))


def _race() -> dict[str, Any]:
    """Return what the form of a race needs."""
    first = next(hazard for hazard in HAZARDS if hazard.name == DEFAULTS["hazard"])
    return {
        "limits": RACE_LIMITS,
        "defaults": DEFAULTS,
        "variants": VARIANTS,
        "note": first.summary,
        "hazards": [(hazard, _unavailable(hazard)) for hazard in HAZARDS],
        "sources": [(name, source_of(first, name)) for name in (DEFAULTS["strategy"], DEFAULTS["beside"])],
    }


def _unavailable(hazard: Hazard) -> list[str]:
    """Return the names that cannot be raced in ``hazard``."""
    offered = choices(hazard)
    names = [*(strategy.name for strategy in STRATEGIES), *VARIANTS]
    return [name for name in names if offered.get(name, "not offered")]
