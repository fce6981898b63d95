"""Demonstrations with something wrong on purpose, served by ``greenlane run broken_apps:NAME``.

Each must keep a proof from saying ISOLATED.
"""

import os
from collections.abc import Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

from gevent.lock import Semaphore

from greenlane.demo import create_demo, notes, strategies
from greenlane.demo.keeper import FIELDS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def _one_at_a_time(app: "WSGIApplication") -> "WSGIApplication":
    """Serve one request at a time: nothing ever overlaps, so everything looks isolated."""
    turn = Semaphore(1)

    def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        with turn:
            response = app(environ, start_response)
            try:
                return [b"".join(response)]
            finally:
                getattr(response, "close", lambda: None)()

    return application


def _some_errors(app: "WSGIApplication") -> "WSGIApplication":
    """Answer every seventh probe with an error."""
    served = 0

    def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        nonlocal served
        if "nonce=" in environ["QUERY_STRING"]:
            served += 1
            if served % 7 == 0:
                start_response("503 Service Unavailable", [("Content-Length", "4")])
                return [b"busy"]
        return app(environ, start_response)

    return application


def _probed(environ: "WSGIEnvironment", strategy: str) -> bool:
    return bool(environ["PATH_INFO"] == f"/probe/{strategy}") and "nonce=" in environ["QUERY_STRING"]


def _redirects(app: "WSGIApplication") -> "WSGIApplication":
    """Send each probe of ``local`` on to another address, where it is answered."""

    def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if _probed(environ, "local") and "again=" not in environ["QUERY_STRING"]:
            location = f"{environ['PATH_INFO']}?{environ['QUERY_STRING']}&again=1"
            start_response("307 Temporary Redirect", [("Location", location), ("Content-Length", "0")])
            return []
        return app(environ, start_response)

    return application


def _dies(app: "WSGIApplication") -> "WSGIApplication":
    """Go down, without a word, in the middle of the load on the subjects."""
    served = 0

    def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        nonlocal served
        served += _probed(environ, "local")
        if served > 60:
            os._exit(1)
        return app(environ, start_response)

    return application


class _PlainObject(SimpleNamespace):
    """What Local would be without its point: one object for all, released like a Local."""

    __storage__: ClassVar[dict[object, object]] = {}

    def __release_local__(self) -> None:
        self.__dict__.clear()


def _demo_with_a_plain_object() -> Any:
    real = strategies.ReleasedLocal.__init__

    def init(self: strategies.ReleasedLocal) -> None:
        real(self)
        self.local = _PlainObject()  # type: ignore[assignment]

    strategies.ReleasedLocal.__init__ = init  # type: ignore[method-assign, assignment]
    return create_demo(secret_key="tests")


def _demo_that_forgets() -> Any:
    strategies.ReleasedLocal.read = lambda self: dict.fromkeys(FIELDS)  # type: ignore[method-assign]
    return create_demo(secret_key="tests")


def _demo_with_one_current_visitor() -> Any:
    vars(notes)["g"] = SimpleNamespace()
    return create_demo(secret_key="tests")


def __getattr__(name: str) -> Any:
    # Made when it is asked for: making one breaks the others.
    if name == "serial":
        return _one_at_a_time(create_demo(secret_key="tests"))
    if name == "errors":
        return _some_errors(create_demo(secret_key="tests"))
    if name == "redirects":
        return _redirects(create_demo(secret_key="tests"))
    if name == "dies":
        return _dies(create_demo(secret_key="tests"))
    if name == "forgets":
        return _demo_that_forgets()
    if name == "plain_object":
        return _demo_with_a_plain_object()
    if name == "one_visitor":
        return _demo_with_one_current_visitor()
    raise AttributeError(name)
