"""A caching proxy: as little of RFC 9111 as shows whether replies say for whom they are.

It stores what it may (section 3): replies to GET with status 200 and a lifetime, that are neither
``no-store`` nor ``private``; and, more careful than it must be, none with Set-Cookie. Among what
it has for an address it chooses by the request's fields that ``Vary`` names (section 4.1), and tells
the ``Age`` (section 5.1). All else passes. Waits on gevent's sockets; knows nothing of what is in a reply.
"""

import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from geventhttpclient import HTTPClient
from geventhttpclient.url import URL
from werkzeug.datastructures import Headers, RequestCacheControl, ResponseCacheControl
from werkzeug.http import parse_cache_control_header, parse_set_header
from werkzeug.wrappers import Request, Response

from crosstalk.matrix.inprocess import serving

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ADDRESSES: Final = 1_000
"""Addresses whose replies are kept; beyond that, the one that was stored first is dropped."""

TIMEOUT: Final = 60.0
"""Seconds that the upstream may take to connect, or between two pieces of a reply."""

CONNECTIONS: Final = 200
"""Connections to the upstream, at most."""

VIA: Final = "1.1 crosstalk"

_OF_THE_CONNECTION: Final = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade")
)
"""Fields that end with a connection (RFC 9110, section 7.6.1), besides those that Connection names."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A reply that is kept.

    Attributes:
        asked: the request's fields that Vary named, as they were.
        status: such as ``200 OK``.
        headers: without those of the connection.
        body: whole.
        born: when it was made, by the monotonic clock: its Age, if it came with one, is earlier.
        lifetime: seconds that it may be used.

    """

    asked: Mapping[str, str | None]
    status: str
    headers: Headers
    body: bytes
    born: float
    lifetime: int

    def fits(self, request: Request, now: float) -> bool:
        """Whether it may answer ``request``: it is fresh, and was made for such a request."""
        return now - self.born < self.lifetime and all(
            request.headers.get(name) == value for name, value in self.asked.items()
        )

    def response(self, now: float) -> Response:
        """Return it, with its age."""
        headers = Headers(self.headers)
        headers["Age"] = str(int(now - self.born))
        return Response(self.body, self.status, headers)


@dataclass(slots=True)
class Cache:
    """The replies that are kept, by their address."""

    _replies: OrderedDict[str, list[Stored]] = field(default_factory=OrderedDict)

    def find(self, request: Request, now: float) -> Response | None:
        """Return a reply that may answer ``request``, if there is one."""
        asked = _asked(request)
        if request.method != "GET" or asked.no_cache or asked.no_store or "Range" in request.headers:
            return None
        for stored in self._replies.get(_address(request), ()):
            if stored.fits(request, now):
                return stored.response(now)
        return None

    def store(self, request: Request, response: Response, now: float) -> None:
        """Keep ``response``, if it is one that may answer other requests."""
        lifetime = _lifetime(request, response)
        varies = [name.lower() for name in parse_set_header(response.headers.get("Vary"))]
        if not lifetime or "*" in varies:
            return
        stored = Stored(
            {name: request.headers.get(name) for name in varies},
            response.status,
            Headers(response.headers),
            response.get_data(),
            now - _whole(response.headers.get("Age")),
            lifetime,
        )
        address = _address(request)
        others = [each for each in self._replies.pop(address, []) if not each.fits(request, now)]
        self._replies[address] = [*(each for each in others if now - each.born < each.lifetime), stored]
        if len(self._replies) > ADDRESSES:
            self._replies.popitem(last=False)


def _lifetime(request: Request, response: Response) -> int:
    """Return the seconds for which a shared cache may keep it (RFC 9111, sections 3 and 4.2.1); 0 for not."""
    said = parse_cache_control_header(_lower(response.headers), cls=ResponseCacheControl)
    if (
        request.method != "GET"
        or response.status_code != 200
        or _asked(request).no_store
        or said.no_store
        or said.private is not None
        or said.no_cache is not None
        or "Authorization" in request.headers
        or "Range" in request.headers
        or "Set-Cookie" in response.headers
    ):
        return 0
    lifetime = said.max_age if said.s_maxage is None else said.s_maxage
    return max(0, lifetime or 0)


def _asked(request: Request) -> RequestCacheControl:
    return parse_cache_control_header(_lower(request.headers), cls=RequestCacheControl)


def _lower(headers: Headers) -> str:
    """Return Cache-Control, whose names are the same in any case (RFC 9111, section 5.2)."""
    return headers.get("Cache-Control", "").lower()


def _address(request: Request) -> str:
    return f"{request.host} {request.environ['RAW_URI']}"


def _whole(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() and text.isascii() else 0


class CachingProxy:
    """A WSGI application that passes requests to an upstream, and keeps what it may.

    Args:
        upstream: its address, such as ``http://127.0.0.1:8000``.

    """

    def __init__(self, upstream: str) -> None:
        self._client = HTTPClient.from_url(
            upstream, concurrency=CONNECTIONS, connection_timeout=TIMEOUT, network_timeout=TIMEOUT
        )
        self._prefix = URL(upstream).path.rstrip("/")
        self._cache = Cache()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer from what is kept, or from the upstream."""
        request = Request(environ)
        response = self._cache.find(request, time.monotonic())
        if response is None:
            try:
                response = self._fetch(request)
            except (OSError, ValueError) as error:  # ValueError: its reply is no HTTP
                response = Response(f"the upstream does not answer: {error}\n", 502)
            else:
                self._cache.store(request, response, time.monotonic())
        return response(environ, start_response)

    def close(self) -> None:
        """Close the connections to the upstream."""
        self._client.close()

    def _fetch(self, request: Request) -> Response:
        headers = _passed_on(Headers(request.headers))
        headers.pop("Host", None)  # the client names the upstream
        target = self._prefix + request.environ["RAW_URI"]
        with self._client.request(request.method, target, request.get_data(), dict(headers)) as reply:
            passed = _passed_on(Headers(reply.items()))
            return Response(bytes(reply.read()), reply.status_code, passed)


def _passed_on(headers: Headers) -> Headers:
    ends = _OF_THE_CONNECTION | {name.lower() for name in parse_set_header(headers.get("Connection"))}
    passed = Headers([(name, value) for name, value in headers if name.lower() not in ends])
    passed.add("Via", VIA)
    return passed


@contextmanager
def caching(upstream: str) -> Iterator[str]:
    """Serve a caching proxy before ``upstream`` in this process, and give its address."""
    proxy = CachingProxy(upstream)
    try:
        with serving(proxy) as address:
            yield address
    finally:
        proxy.close()
