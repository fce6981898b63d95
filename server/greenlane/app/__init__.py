"""What is a request? The App, its contexts, and the proxies to what is current.

An :class:`App` turns WSGI environments into calls of views. While a view runs,
``request``, ``session``, ``g`` and ``current_app`` stand for the objects of *its*
request, wherever in the program they are used: two stacks, kept apart for each
greenlet by :mod:`greenlane.context`, hold what is current.

This package needs Werkzeug, itsdangerous and greenlet, and of Greenlane the context
package alone. It knows nothing of the server.
"""

from greenlane.app.app import App
from greenlane.app.appcontext import AppContext, Counts, counts
from greenlane.app.carrying import copy_current_request_context
from greenlane.app.client import Client
from greenlane.app.config import Config
from greenlane.app.contexts import RequestContext
from greenlane.app.globals import app_stack, current_app, g, request, request_stack, session
from greenlane.app.helpers import (
    abort,
    after_this_request,
    flash,
    get_flashed_messages,
    has_app_context,
    has_request_context,
    jsonify,
    make_response,
    redirect,
    url_for,
)
from greenlane.app.streaming import stream_with_context
from greenlane.app.wrappers import Request, Response

__all__ = [
    "App",
    "AppContext",
    "Client",
    "Config",
    "Counts",
    "Request",
    "RequestContext",
    "Response",
    "abort",
    "after_this_request",
    "app_stack",
    "copy_current_request_context",
    "counts",
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
    "request_stack",
    "session",
    "stream_with_context",
    "url_for",
]
