"""Pages and JSON: how every view of the demonstration answers, and how it says what is wrong.

Must not import the views or the site: they are given these.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from greenlane.app import Response, request

_TEMPLATES: Final = Environment(
    loader=PackageLoader("greenlane.demo"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


LINES: Final = "application/x-ndjson"
"""A document of JSON a line, for replies that are read while they come."""


def render(template: str, **values: object) -> str:
    """Render a template; its links start at ``root``, the prefix that the demonstration is mounted below."""
    return _TEMPLATES.get_template(template).render(root=request.root_path, **values)


def streamed(template: str, **values: object) -> Iterator[bytes]:
    """Render a template as :func:`render` does, piece by piece, as fast as what it iterates over comes."""
    pieces = _TEMPLATES.get_template(template).generate(root=request.root_path, **values)
    return (piece.encode() for piece in pieces)


def wants_json() -> bool:
    """Whether the request is for JSON: by its path, or because it prefers JSON, or lines of it, to HTML."""
    path = request.path
    if path == "/probe" or path.startswith(("/probe/", "/hazards/")) or path.endswith(".json"):
        return True
    wanted = request.accept_mimetypes.best_match(("text/html", "application/json", LINES))
    return wanted in ("application/json", LINES)


def json_response(document: object, status: int = 200) -> Response:
    """Make a JSON response."""
    return Response(json.dumps(document) + "\n", status=status, content_type="application/json")


def html_response(page: str | Iterable[bytes]) -> Response:
    """Make a response of a page, or of its pieces."""
    return Response(page, content_type="text/html; charset=utf-8")


def not_stored(response: BaseResponse) -> BaseResponse:
    """Have nobody keep a copy of ``response``, which is one request's alone."""
    response.headers["Cache-Control"] = "no-store"
    return response


def error_response(error: HTTPException, **details: object) -> BaseResponse:
    """Say what is wrong: in JSON to those who want that, and on a small page to others.

    Args:
        error: with a description that is safe to show.
        details: more for the JSON document.

    """
    response = error.get_response(request.environ)
    if wants_json():
        response.set_data(json.dumps({"error": error.description} | details) + "\n")
        response.content_type = "application/json"
    else:
        page = render("error.html", code=error.code, name=error.name, description=error.description)
        response.set_data(page)  # which is what an HTTPException's response is of by itself
    return not_stored(response)
