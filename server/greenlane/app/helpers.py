"""The functions that views call, for the current App and request."""

from typing import Any

from werkzeug.exceptions import abort
from werkzeug.utils import redirect as werkzeug_redirect
from werkzeug.wrappers import Response as WerkzeugResponse

from greenlane.app import responses
from greenlane.app.globals import app_stack, current_app, request_stack
from greenlane.app.wrappers import Response

__all__ = [
    "abort",
    "has_app_context",
    "has_request_context",
    "jsonify",
    "make_response",
    "redirect",
    "url_for",
]


def has_request_context() -> bool:
    """Whether a request is current, so that ``request`` and ``session`` may be used."""
    return request_stack.top is not None


def has_app_context() -> bool:
    """Whether an App is current, so that ``current_app`` and ``g`` may be used."""
    return app_stack.top is not None


def url_for(
    endpoint: str,
    *,
    _anchor: str | None = None,
    _method: str | None = None,
    _scheme: str | None = None,
    _external: bool | None = None,
    **values: Any,
) -> str:
    """Build the URL of an endpoint of the current App; see :meth:`App.url_for`."""
    return current_app.url_for(
        endpoint, _anchor=_anchor, _method=_method, _scheme=_scheme, _external=_external, **values
    )


def redirect(
    location: str,
    code: int = 302,
    Response: type[WerkzeugResponse] | None = None,  # noqa: N803 - the classic name
) -> WerkzeugResponse:
    """Make a response that sends the client to ``location``.

    Args:
        location: the URL, absolute or relative to the request's.
        code: 301, 302, 303, 305, 307 or 308.
        Response: the class of the response, instead of the current App's.

    """
    if Response is None and has_app_context():
        return current_app.redirect(location, code)
    return werkzeug_redirect(location, code, Response)


def make_response(*args: Any) -> Response:
    """Make a response of what a view might return, to add to it before returning it.

    ``make_response(body, 201)`` is ``make_response((body, 201))``, and without
    arguments the response is empty.
    """
    if not args:
        return current_app.response_class()
    return current_app.make_response(args[0] if len(args) == 1 else args)


def jsonify(*args: Any, **kwargs: Any) -> Response:
    """Make a JSON response.

    One argument is the value, several are a list, keywords are an object, and
    nothing is null.

    Raises:
        TypeError: both positional and keyword arguments, or a value without a form in JSON.

    """
    if args and kwargs:
        raise TypeError("jsonify takes either positional or keyword arguments, not both")
    value = kwargs or (None if not args else args[0] if len(args) == 1 else args)
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001
    return responses.json_response(app, value)
