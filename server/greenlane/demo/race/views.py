"""The views of a race: starting one, and the source of what is raced.

Must not import the site, which mounts these.
"""

import json
from collections.abc import Generator, Iterable
from dataclasses import asdict

from werkzeug.exceptions import Conflict, NotFound
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
    streamed,
    wants_json,
)
from greenlane.demo.race.feed import Feed
from greenlane.demo.race.load import Line
from greenlane.demo.race.results import Results
from greenlane.demo.race.run import Race
from greenlane.demo.race.settings import Settings, choices
from greenlane.demo.race.source import source_of
from greenlane.demo.tokens import check_token
from greenlane.ops import Ops


class RacePage:
    """The races of one demonstration, of which one runs at a time.

    Args:
        ops: the demonstration's, to tell of a race while it runs.

    Attributes:
        last: the results of the last race that came to its end.

    """

    def __init__(self, ops: Ops) -> None:
        self.last: Results | None = None
        self._ops = ops
        self._running: Feed | None = None

    def mount(self, app: App) -> None:
        """Register the views on ``app``."""
        app.add_url_rule("/race", "race", self.start, methods=["POST"])
        app.add_url_rule("/source/<hazard>/<name>", "source", self.source)

    def start(self) -> BaseResponse:
        """Run a race, and answer while it runs: in lines, or by a page, as the request prefers.

        Raises:
            ParameterError: a field of the form is wrong.

        """
        check_token()
        settings = Settings.of(request.form)
        if self._running is not None and not self._running.over:
            return _busy()
        feed = self._running = Feed(self._lines(Race(settings, self._ops)))
        if wants_json():
            lines = map(_encoded, feed)
            return not_stored(Response(_closing(lines, feed), content_type=LINES))
        # It goes on while the race does, so that whoever has gone is noticed here as well.
        page = streamed("racing.html", lines=feed)
        return not_stored(html_response(_closing(page, feed)))

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


def _encoded(line: Line) -> bytes:
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def _closing(pieces: Iterable[bytes], feed: Feed) -> ClosingIterator:
    return ClosingIterator(pieces, feed.close)


def _busy() -> BaseResponse:
    return error_response(
        Conflict("Another race is running on this server, and there is one at a time. Try again in a moment.")
    )
