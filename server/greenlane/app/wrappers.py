"""Request and Response: Werkzeug's, with what routing adds and bad input kept a client's error.

They know nothing of contexts or of the App: a request is complete by itself.
"""

import io
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, Any, cast

from werkzeug.datastructures import Headers, ImmutableMultiDict, MultiDict
from werkzeug.exceptions import (
    BadRequest,
    ClientDisconnected,
    HTTPException,
    RequestEntityTooLarge,
    RequestTimeout,
)
from werkzeug.routing import Rule
from werkzeug.sansio.http import parse_cookie
from werkzeug.utils import cached_property
from werkzeug.wrappers import Request as WerkzeugRequest
from werkzeug.wrappers import Response as WerkzeugResponse

from greenlane.app import jsoncodec

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from _typeshed.wsgi import WSGIEnvironment


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
    def cookies(self) -> ImmutableMultiDict[str, str]:
        """The cookies. Taken from where the server puts them: Werkzeug goes through all headers first."""
        cookies = parse_cookie(self.environ.get("HTTP_COOKIE", ""), cls=self.dict_storage_class)
        return cast("ImmutableMultiDict[str, str]", cookies)

    def close(self) -> None:
        """Close the files that came with the request, if they were looked at."""
        if "files" in self.__dict__:
            super().close()

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
    """The answer, HTML unless it says otherwise.

    Most are a text and nothing more. Making such a response and sending it go a short
    way, to where Werkzeug's whole way leads: tests compare the two. A subclass that
    replaces a step of the whole way always goes that.
    """

    default_mimetype = "text/html"
    json_module = jsoncodec

    # A Location may be relative (RFC 9110, section 10.2.2). To complete it would
    # put into it whatever Host the client claimed.
    autocorrect_location_header = False

    _has_short_ways = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._has_short_ways = all(getattr(cls, name) == getattr(Response, name) for name in _STEPS)

    def __init__(
        self,
        response: Iterable[bytes] | bytes | Iterable[str] | str | None = None,
        status: int | str | HTTPStatus | None = None,
        headers: Mapping[str, str | Iterable[str]] | Iterable[tuple[str, str]] | None = None,
        mimetype: str | None = None,
        content_type: str | None = None,
        direct_passthrough: bool = False,
    ) -> None:
        body = response.encode() if type(response) is str else response
        wanted = self.default_mimetype if mimetype is None else mimetype
        if (
            type(body) is not bytes
            or not (status is None and headers is None and content_type is None)
            or direct_passthrough
            or not wanted
            or not self._has_short_ways
        ):
            super().__init__(response, status, headers, mimetype, content_type, direct_passthrough)
            return
        state, media_type = _blank(type(self), self.default_status, wanted)  # type: ignore[arg-type]
        self.__dict__.update(state)
        self._on_close = []
        self.response = [body]
        self.headers = Headers()
        self.headers.add("Content-Type", media_type)
        self.headers.add("Content-Length", str(len(body)))

    def get_wsgi_response(
        self, environ: "WSGIEnvironment"
    ) -> tuple[Iterable[bytes], str, list[tuple[str, str]]]:
        """Return the body, the status and the headers, as WSGI wants them.

        A body that is one piece, with nothing to do when it has been sent, is that
        piece in a list, of which a server knows at once that it is all.
        """
        body, status = self.response, self.status_code
        if (
            type(body) is list
            and len(body) == 1
            and type(body[0]) is bytes
            and self._has_short_ways
            and not self._on_close
            and status >= 200
            and status not in (204, 304)
            and environ["REQUEST_METHOD"] != "HEAD"
        ):
            names = {name.lower() for name, _ in self.headers}
            if "content-length" in names and names.isdisjoint(_LOCATIONS):
                return [body[0]], self.status, self.headers.to_wsgi_list()
        return super().get_wsgi_response(environ)


_STEPS = (
    *("automatically_set_content_length", "autocorrect_location_header", "set_data", "status", "status_code"),
    *("close", "get_app_iter", "get_wsgi_headers", "get_wsgi_response", "iter_encoded"),
)
"""What the short ways leave out, or take as it is here."""

_LOCATIONS = frozenset({"location", "content-location"})
"""Headers that Werkzeug rewrites when it sends them."""


@lru_cache(maxsize=64)
def _blank(cls: type[Response], default_status: int, mimetype: str) -> tuple[dict[str, Any], str]:
    """Return the state that all responses of a kind begin with, and their Content-Type."""
    blank = cls.__new__(cls)
    WerkzeugResponse.__init__(blank, b"", mimetype=mimetype)
    state = {name: value for name, value in vars(blank).items() if name not in _OWN_STATE}
    return state, blank.headers["Content-Type"]


_OWN_STATE = {"headers", "response", "_on_close"}
"""What each response has for itself."""
