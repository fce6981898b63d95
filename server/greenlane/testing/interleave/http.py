"""Requests as functions: a WSGI request to an application, to run among others.

The application is called as a server calls it, in the greenlet of the function:
the body is read to its end and closed.
"""

from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any

from werkzeug.test import EnvironBuilder, TestResponse, run_wsgi_app
from werkzeug.wrappers import Request

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def request(app: "WSGIApplication", *args: Any, **kwargs: Any) -> Callable[[], TestResponse]:
    """Return a function that sends a request to ``app`` and returns the whole response.

    ::

        def two_visitors():
            ada, bob = yield [request(app, "/?name=ada"), request(app, "/?name=bob")]
            assert (ada.text, bob.text) == ("ada", "bob")

    It may be called any number of times; each call is a request of its own.

    Args:
        app: the application.
        args: those of :class:`werkzeug.test.EnvironBuilder`: the path first.
        kwargs: likewise.

    """
    builder = EnvironBuilder(*args, **kwargs)
    try:
        environ = builder.get_environ()
        body: bytes = environ["wsgi.input"].read()
    finally:
        builder.close()

    def function() -> TestResponse:
        mine = {**environ, "wsgi.input": BytesIO(body)}
        response = run_wsgi_app(app, mine, buffered=True)
        return TestResponse(*response, request=Request(mine, populate_request=False))

    function.__name__ = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
    return function
