"""Request and Response: Werkzeug's, with what routing adds and JSON of ours.

They know nothing of contexts or of the App: a request is complete by itself.
"""

from collections.abc import Mapping
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule
from werkzeug.wrappers import Request as WerkzeugRequest
from werkzeug.wrappers import Response as WerkzeugResponse

from greenlane.app import jsoncodec


class Request(WerkzeugRequest):
    """What the client sent: a fresh object for each request, behind the ``request`` proxy.

    Attributes:
        url_rule: the rule that matched, or None.
        view_args: the values that the rule took out of the path, or None when
            nothing matched.
        routing_exception: why nothing matched (404, 405 or a redirect). It is
            raised only when the request is dispatched, so that hooks run first.

    """

    json_module = jsoncodec

    url_rule: Rule | None = None
    view_args: Mapping[str, Any] | None = None
    routing_exception: HTTPException | None = None

    @property
    def endpoint(self) -> str | None:
        """The name of the endpoint that matched; None when nothing did."""
        return None if self.url_rule is None else self.url_rule.endpoint


class Response(WerkzeugResponse):
    """The answer, HTML unless it says otherwise."""

    default_mimetype = "text/html"
    json_module = jsoncodec

    # A Location may be relative (RFC 9110, section 10.2.2). To complete it would
    # put into it whatever Host the client claimed.
    autocorrect_location_header = False
