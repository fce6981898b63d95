"""Greenlane: a gevent WSGI server that keeps every request in its own lane.

Names are exported lazily (PEP 562): importing this package imports nothing
else. ``python -m greenlane`` and the console scripts run this file before any
other, and monkey-patching must come before every import that may create a lock
or a thread-local (``gevent.monkey``: "patching should be done as early as
possible").
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from greenlane.app import App as App
    from greenlane.app import Request as Request
    from greenlane.app import Response as Response
    from greenlane.app import abort as abort
    from greenlane.app import after_this_request as after_this_request
    from greenlane.app import copy_current_request_context as copy_current_request_context
    from greenlane.app import current_app as current_app
    from greenlane.app import flash as flash
    from greenlane.app import g as g
    from greenlane.app import get_flashed_messages as get_flashed_messages
    from greenlane.app import has_app_context as has_app_context
    from greenlane.app import has_request_context as has_request_context
    from greenlane.app import jsonify as jsonify
    from greenlane.app import make_response as make_response
    from greenlane.app import redirect as redirect
    from greenlane.app import request as request
    from greenlane.app import session as session
    from greenlane.app import stream_with_context as stream_with_context
    from greenlane.app import url_for as url_for
    from greenlane.context import Local as Local
    from greenlane.context import LocalManager as LocalManager
    from greenlane.context import LocalProxy as LocalProxy
    from greenlane.context import LocalStack as LocalStack
    from greenlane.context import get_ident as get_ident
    from greenlane.context import release_local as release_local

__version__ = "0.1.0"

_APP = (
    "App",
    "Request",
    "Response",
    "abort",
    "after_this_request",
    "copy_current_request_context",
    "current_app",
    "flash",
    "g",
    "get_flashed_messages",
    "has_app_context",
    "has_request_context",
    "jsonify",
    "make_response",
    "redirect",
    "request",
    "session",
    "stream_with_context",
    "url_for",
)
_CONTEXT = ("Local", "LocalManager", "LocalProxy", "LocalStack", "get_ident", "release_local")
_HOME = dict.fromkeys(_APP, "greenlane.app") | dict.fromkeys(_CONTEXT, "greenlane.context")

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    """Import an exported name from its home on first use (PEP 562).

    Raises:
        AttributeError: the package exports no such name.

    """
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
