"""A demonstration whose replies hold markup, served by ``greenlane run locust_apps:markup``."""

from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING

from werkzeug.test import run_wsgi_app

from greenlane.demo import create_demo

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MARKUP = b"<b id=injected>markup</b>"


def _with_markup(app: "WSGIApplication") -> "WSGIApplication":
    """Say that every probe of ``local`` has found markup in its lane."""

    def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/probe/local":
            return app(environ, start_response)
        environ["wsgi.input"] = BytesIO(environ["wsgi.input"].read())
        response, status, headers = run_wsgi_app(app, environ, buffered=True)
        body = b"".join(response).replace(b'"found": {"first": null', b'"found": {"first": "%b"' % MARKUP, 1)
        headers["Content-Length"] = str(len(body))
        start_response(status, headers.to_wsgi_list())
        return [body]

    return application


markup = _with_markup(create_demo())
