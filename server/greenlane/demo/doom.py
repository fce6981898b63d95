"""Doom: how a request ends that has announced that it would, so that no load test takes it for a failure.

Must not import what raises it.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from greenlane.demo.pages import json_response, not_stored

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from werkzeug.wrappers import Response as BaseResponse

RAISES: Final = "raise"
"""The fate of a request whose view raises between write and read."""


class Doom(BaseException):
    """The end of a request that had announced it: its message is its fate.

    No Exception, so that nothing on its way answers in its place: it passes the App and
    its middleware as an unhandled error does, or a kill.
    """


def doomed(fate: str, status: int) -> "BaseResponse":
    """Say that a request has ended as it had announced."""
    return not_stored(json_response({"doomed": fate}, status=status))


def as_announced(app: "WSGIApplication") -> "WSGIApplication":
    """Wrap ``app`` so that a Doom ends here, as in the outermost middleware of a real service.

    The connection stays open, and its greenlet serves the next request.
    """

    def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        try:
            return app(environ, start_response)
        except Doom as doom:
            response = doomed(str(doom), 500)
        return response(environ, start_response)

    return application
