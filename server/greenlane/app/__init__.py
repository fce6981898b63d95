"""What is a request? The App, its contexts, and the proxies to what is current.

An :class:`App` turns WSGI environments into calls of views. While a view runs,
``request``, ``session``, ``g`` and ``current_app`` stand for the objects of *its*
request, wherever in the program they are used: two stacks, kept apart for each
greenlet by :mod:`greenlane.context`, hold what is current.

This package needs Werkzeug and itsdangerous, and of Greenlane the context package
alone. It knows nothing of the server.
"""

from greenlane.app.app import App
from greenlane.app.client import Client
from greenlane.app.config import Config
from greenlane.app.contexts import AppContext, RequestContext, counts
from greenlane.app.globals import app_stack, current_app, g, request, request_stack, session
from greenlane.app.helpers import (
    abort,
    has_app_context,
    has_request_context,
    jsonify,
    make_response,
    redirect,
    url_for,
)
from greenlane.app.wrappers import Request, Response

__all__ = [
    "App",
    "AppContext",
    "Client",
    "Config",
    "Request",
    "RequestContext",
    "Response",
    "abort",
    "app_stack",
    "counts",
    "current_app",
    "g",
    "has_app_context",
    "has_request_context",
    "jsonify",
    "make_response",
    "redirect",
    "request",
    "request_stack",
    "session",
    "url_for",
]
