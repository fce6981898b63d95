"""Request and Response: Werkzeug's, with what routing adds and bad input kept a client's error.

They know nothing of contexts or of the App: a request is complete by itself.
"""

import io
import sys
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any, cast

from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import (
    BadRequest,
    ClientDisconnected,
    HTTPException,
    RequestEntityTooLarge,
    RequestTimeout,
)
from werkzeug.routing import Rule
from werkzeug.utils import cached_property
from werkzeug.wrappers import Request as WerkzeugRequest
from werkzeug.wrappers import Response as WerkzeugResponse

from greenlane.app import jsoncodec

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


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

    @cached_property
    def args(self) -> MultiDict[str, str]:
        """The query, taken apart.

        Raises:
            BadRequest: it is not UTF-8. Werkzeug raises UnicodeDecodeError, which
                would be a server error.

        """
        try:
            return super().args
        except UnicodeDecodeError:
            raise BadRequest("The query string is not UTF-8.") from None

    @cached_property
    def stream(self) -> IO[bytes]:
        """The body. Reading it raises what `TerminatedBody.readinto` does.

        Raises:
            RequestEntityTooLarge: it is longer than ``max_content_length``; at once
                when the client announced its length, else when reading gets there.

        """
        announced = super().stream
        if "wsgi.input_terminated" not in self.environ:
            return announced
        # Werkzeug cuts such a body off at the limit, and read() takes the part for the whole.
        return cast(IO[bytes], TerminatedBody(self.environ["wsgi.input"], self.max_content_length))


class TerminatedBody(io.RawIOBase):
    """A body whose end only the server knows: what goes wrong before it is the client's error.

    Args:
        stream: the body, which ends by itself (``wsgi.input_terminated``).
        limit: the most bytes it may have; None for any number.

    """

    def __init__(self, stream: IO[bytes], limit: int | None) -> None:
        self._stream = stream
        self._left = sys.maxsize if limit is None else limit

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read into ``buffer`` and return how many bytes were read; 0 at the end.

        Raises:
            RequestEntityTooLarge: there is a byte more than allowed.
            RequestTimeout: the client stalled.
            ClientDisconnected: the client hung up, or sent what is no body.

        """
        view = memoryview(buffer).cast("B")
        try:
            # One more than allowed: without it, a body of exactly the limit looks like a longer one.
            data = self._stream.read(min(len(view), self._left + 1))
        except TimeoutError as error:
            raise RequestTimeout from error
        except (OSError, ValueError) as error:
            raise ClientDisconnected from error
        self._left -= len(data)
        if self._left < 0:
            raise RequestEntityTooLarge
        view[: len(data)] = data
        return len(data)


class Response(WerkzeugResponse):
    """The answer, HTML unless it says otherwise."""

    default_mimetype = "text/html"
    json_module = jsoncodec

    # A Location may be relative (RFC 9110, section 10.2.2). To complete it would
    # put into it whatever Host the client claimed.
    autocorrect_location_header = False
