"""The views of a race: starting one, and the source of what is raced.

Must not import the site, which mounts these.
"""

import json
from collections.abc import Generator, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from werkzeug.exceptions import BadRequest, Conflict, NotFound, ServiceUnavailable
from werkzeug.wrappers import Response as BaseResponse
from werkzeug.wsgi import ClosingIterator

from greenlane.app import App, Response, request
from greenlane.demo.hazards import HAZARDS
from greenlane.demo.pages import (
    LINES,
    error_response,
    html_response,
    json_response,
    not_stored,
    render,
    wants_json,
)
from greenlane.demo.parameters import ParameterError
from greenlane.demo.race.entry import Entry, choices
from greenlane.demo.race.feed import Feed
from greenlane.demo.race.load import Line
from greenlane.demo.race.results import Results
from greenlane.demo.race.run import Race
from greenlane.demo.race.source import source_of
from greenlane.demo.race.waiting import waiting
from greenlane.demo.tokens import check_token
from greenlane.ops import Ops

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

_UNREACHED: Final = (
    "This came over a Unix socket, and the load test of a race needs an address: "
    "start a server that has one, with --port."
)


class RacePage:
    """The races of one demonstration, of which one runs at a time.

    Args:
        ops: the demonstration's, to tell of a race while it runs.

    Attributes:
        arenas: where the running race has its arena, by path: for a middleware that looks there.
        last: the results of the last race that came to its end.

    """

    def __init__(self, ops: Ops) -> None:
        self.arenas: dict[str, WSGIApplication] = {}
        self.last: Results | None = None
        self._ops = ops
        self._running: Feed | None = None

    def mount(self, app: App) -> None:
        """Register the views on ``app``."""
        app.add_url_rule("/race", "race", self.start, methods=["POST"])
        app.add_url_rule("/source/<hazard>/<name>", "source", self.source)

    def start(self) -> BaseResponse:
        """Run a race, and answer while it runs: in lines, or by a page, as the request prefers."""
        check_token()
        try:
            entry = Entry.of(request.form)
        except ParameterError as error:
            return _refused(error)
        if self._running is not None and not self._running.over:
            return _busy()
        address = _own_address(request.environ)
        if address is None:
            return error_response(ServiceUnavailable(_UNREACHED))
        feed = self._running = Feed(self._lines(Race(entry, address, self.arenas, self._ops)))
        if request.accept_mimetypes.best_match((LINES, "text/html")) == LINES:
            pieces: Iterator[str]
            kind, pieces = LINES, (_encoded(line) for line in feed)
        else:
            kind, pieces = "text/html; charset=utf-8", waiting(feed)
        body = ClosingIterator((piece.encode() for piece in pieces), feed.close)
        return not_stored(Response(body, content_type=kind))

    def source(self, hazard: str, name: str) -> BaseResponse:
        """Show the source of a strategy or a variant."""
        found = next((each for each in HAZARDS if each.name == hazard), None)
        if found is None or name not in choices(found):
            raise NotFound(f"There is no {name!r} to race under a hazard {hazard!r}.")
        pieces = source_of(found, name)
        if wants_json():
            return json_response({"pieces": [asdict(piece) for piece in pieces]})
        return html_response(render("source.html", name=name, pieces=pieces))

    def _lines(self, race: Race) -> Generator[Line, None, None]:
        yield from race.lines()
        if race.results.end is not None:
            self.last = race.results


def _encoded(line: Line) -> str:
    return json.dumps(line, separators=(",", ":")) + "\n"


def _refused(error: ParameterError) -> BaseResponse:
    if wants_json():
        return not_stored(json_response({"error": str(error), "parameter": error.parameter}, status=400))
    return error_response(BadRequest(str(error)))


def _busy() -> BaseResponse:
    return error_response(
        Conflict("Another race is running on this server, and there is one at a time. Try again in a moment.")
    )


def _own_address(environ: "WSGIEnvironment") -> str | None:
    """Return where this demonstration is reached from its own machine; None by no address at all.

    What proxies said of the request does not count: see :class:`greenlane.ops.TrustedProxies`.
    """
    own = environ | environ.get("werkzeug.proxy_fix.orig", {})
    if own.get("REMOTE_ADDR") == "":  # it came over a Unix socket
        return None
    host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(own["SERVER_NAME"], own["SERVER_NAME"])  # noqa: S104
    host = f"[{host}]" if ":" in host else host
    return f"{own['wsgi.url_scheme']}://{host}:{own['SERVER_PORT']}{own.get('SCRIPT_NAME') or ''}"
