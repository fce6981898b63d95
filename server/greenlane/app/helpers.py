"""The functions that views call, for the current App and request."""

from collections.abc import Iterable
from typing import Any, TypeVar

from werkzeug.exceptions import abort
from werkzeug.utils import redirect as werkzeug_redirect
from werkzeug.wrappers import Response as WerkzeugResponse

from greenlane.app import responses
from greenlane.app.globals import app_stack, current_app, live_request_context, request_stack
from greenlane.app.setup import AfterRequest
from greenlane.app.wrappers import Response

__all__ = [
    "abort",
    "after_this_request",
    "flash",
    "get_flashed_messages",
    "has_app_context",
    "has_request_context",
    "jsonify",
    "make_response",
    "redirect",
    "url_for",
]

F = TypeVar("F", bound=AfterRequest)

_FLASHES = "_flashes"  # the name in the session, as the classic framework has it


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


def after_this_request(f: F) -> F:
    """Call ``f`` with this request's response, once; it returns the response to send.

    ::

        @after_this_request
        def remember(response):
            response.set_cookie("seen", "yes")
            return response

    Functions run in the order in which they were added, before the App's
    after_request functions; what one of those adds runs behind all of them. A
    request that fails calls on its error response what has not run yet, so an
    error handler may add some too.

    Raises:
        RuntimeError: outside of a request, or when its response is finished: in a
            teardown function, in a streamed body.

    """
    own = live_request_context().own
    if own.answered:
        raise RuntimeError(f"after_this_request() came too late: the response of {own!r} is finished.")
    own.after_request_functions.append(f)
    return f


def flash(message: str, category: str = "message") -> None:
    """Keep a message in the session for the next :func:`get_flashed_messages`, here or after a redirect.

    Raises:
        RuntimeError: outside of a request, or without a secret key.

    """
    session = live_request_context().session
    # A new list, because a session notices only its own changes.
    session[_FLASHES] = [*session.get(_FLASHES, ()), (category, message)]


def get_flashed_messages(
    with_categories: bool = False, category_filter: Iterable[str] = ()
) -> list[str] | list[tuple[str, str]]:
    """Take the flashed messages out of the session, and show the same ones throughout this request.

    Args:
        with_categories: return ``(category, message)`` pairs.
        category_filter: only these categories; all of them when it is empty.

    Raises:
        RuntimeError: outside of a request.
        TypeError: ``category_filter`` is a string, whose letters nobody means.

    """
    if isinstance(category_filter, str):
        raise TypeError(f'category_filter is a list of names: category_filter=["{category_filter}"]')
    ctx = live_request_context()
    own = ctx.own
    if own.flashes is None:
        # Asked first, because a session that cannot be written refuses even an idle pop().
        own.flashes = ctx.session.pop(_FLASHES) if _FLASHES in ctx.session else []
    wanted = set(category_filter)
    pairs = [(category, text) for category, text in own.flashes if not wanted or category in wanted]
    return pairs if with_categories else [text for _category, text in pairs]
