"""From what a view returns to a Response: the one place that knows the rules."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from werkzeug.datastructures import Headers
from werkzeug.wrappers import Response as WerkzeugResponse

from greenlane.app import jsoncodec
from greenlane.app.globals import request_stack

if TYPE_CHECKING:
    from greenlane.app.app import App
    from greenlane.app.wrappers import Response

# Tuples, because "str | bytes" would make a new type each time.
_BODIES = (str, bytes, bytearray, Iterator)
_JSON = (dict, list)

_ALLOWED = (
    "A view returns a str, bytes, dict or list (for JSON), an iterator, a Response, a WSGI application, "
    "or a tuple of one of these with a status, headers, or both."
)


def make_response(app: "App", value: Any) -> "Response":
    """Turn ``value`` into a response of ``app``; :meth:`App.make_response` tells the rules.

    Raises:
        TypeError: it is None, or nothing that can be a response.

    """
    status = headers = None
    if isinstance(value, tuple):
        value, status, headers = _unpack(value)
    response = _from_body(app, value)
    if isinstance(status, str):
        response.status = status
    elif status is not None:
        response.status_code = status
    if headers:
        # As Headers first, because of a list update() keeps only the last of a name.
        response.headers.update(Headers(headers))
    return response


def json_response(app: "App", value: Any) -> "Response":
    """Answer ``value`` as JSON, in one line."""
    return app.response_class(f"{jsoncodec.compact(value)}\n", mimetype="application/json")


def _unpack(value: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    """Return body, status and headers of a tuple with two or three items."""
    if len(value) == 3:
        return value
    if len(value) == 2:
        body, second = value
        if isinstance(second, Headers | dict | tuple | list):
            return body, None, second
        return body, second, None
    raise TypeError(
        f"{_view()} returned a tuple of {len(value)} items. A tuple is (body, status), (body, headers) "
        "or (body, status, headers)."
    )


def _from_body(app: "App", body: Any) -> "Response":
    if isinstance(body, app.response_class):
        return body
    if isinstance(body, _BODIES):
        return app.response_class(cast(Any, body))
    if isinstance(body, _JSON):
        return json_response(app, body)
    if body is None:
        raise TypeError(f"{_view()} returned None, or ended without a return statement. {_ALLOWED}")
    if isinstance(body, WerkzeugResponse):
        return cast("Response", app.response_class.force_type(body))
    live = request_stack.top
    if callable(body) and live is not None:
        try:
            return cast("Response", app.response_class.force_type(body, live.request.environ))
        except TypeError as error:
            raise TypeError(f"{_view()} returned {body!r}, which failed as a WSGI application") from error
    raise TypeError(f"{_view()} returned a {type(body).__name__}. {_ALLOWED}")


def _view() -> str:
    """Name the view, for error messages."""
    live = request_stack.top
    return f"The view function for {live.request.endpoint!r}" if live is not None else "The view function"
