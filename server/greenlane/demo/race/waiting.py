"""A race for those without scripts: a page that goes on while the race does, and then leads to the results.

It is sent piece by piece, so that whoever has gone is noticed and the race ends, as it does for
those with scripts.

Must not import the views.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from markupsafe import escape

from greenlane.app import request
from greenlane.demo.pages import render
from greenlane.demo.race.load import Line

_MARK: Final = "<!-- here it goes on -->"
"""Where the template has room for what the race says."""

SECONDS: Final = 1.0
"""Between two lines that say how far it is; in between, a comment shows whether somebody still reads."""


def waiting(lines: Iterable[Line]) -> Iterator[str]:
    """Return the page of a race, piece by piece.

    Args:
        lines: the race's.

    """
    # Now, since the pieces are made when the request's context has gone.
    head, _, foot = render("racing.html").partition(_MARK)
    return _pieces(lines, head, foot, f"{request.root_path}/#race")


def _pieces(lines: Iterable[Line], head: str, foot: str, results: str) -> Iterator[str]:
    yield head
    said = 0.0
    last: Line = {}
    for last in lines:
        if last["kind"] == "tick" and last["elapsed"] - said >= SECONDS:
            said = last["elapsed"]
            yield _progress(last)
        elif last["kind"] == "tick":
            yield "<!-- -->\n"
    yield "</ol>\n"
    if last["kind"] == "error":
        yield f'<p role="alert">{escape(last["message"])}</p>\n'
        yield f'<p><a href="{escape(results)}">Back to the page</a></p>\n'
    else:
        # The status was sent long ago, so that no redirection can be: the page itself leads on.
        yield f'<p><a href="{escape(results)}">To the results</a></p>\n'
        yield f'<meta http-equiv="refresh" content="0; url={escape(results)}">'
    yield foot


def _progress(tick: Line) -> str:
    seconds, finished, in_flight = tick["elapsed"], tick["finished"], tick["in_flight"]
    return f"<li>{seconds:.0f} s: {finished:,} requests finished, {in_flight:,} in flight</li>\n"
