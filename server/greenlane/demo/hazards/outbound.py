"""A client of another service, with a cookie jar, that all requests use.

The other service is here too, on a free port of loopback: it says which cookies it was sent.
"""

import json
import weakref
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import requests
from gevent.monkey import is_module_patched
from requests.adapters import HTTPAdapter
from werkzeug.exceptions import ServiceUnavailable

from greenlane.app import Request, Response
from greenlane.demo.hazards.hazard import Cell, Hazard, Variant, everywhere
from greenlane.demo.keeper import FIELDS, Keeper, Reading
from greenlane.demo.parameters import Parameters
from greenlane.wsgi import Settings, WSGIServer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

CONNECTIONS: Final = 1_000
"""Connections that the shared session keeps: it warns of each that it cannot keep."""

TIMEOUT: Final = 30.0
"""Seconds that the other service may take."""


class OtherService:
    """Signs people in by cookies: ``/sign-in?first=a`` sets one, ``/me`` answers with those it is sent.

    It listens as long as somebody holds this object.

    Attributes:
        url: where it is.

    """

    def __init__(self) -> None:
        settings = Settings(max_connections=4 * CONNECTIONS, access_log="off")
        server = WSGIServer(("127.0.0.1", 0), _answer, settings=settings)
        server.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        # close() and not stop(), which would wait: its connections end with those who hold them.
        weakref.finalize(self, server.close)


def _answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
    request = Request(environ)
    response = Response(json.dumps(request.cookies), content_type="application/json")
    if request.path == "/sign-in":
        for name, value in request.args.items():
            response.set_cookie(name, value, httponly=True)
    return response(environ, start_response)


class _InCookies(Keeper):
    """What the other service is told, and what it knows then by the cookies it is sent."""

    def __init__(self, session: requests.Session, url: str) -> None:
        self._session = session
        self._url = url

    def write(self, field: str, value: str) -> None:
        """Sign in: the session keeps the cookie that comes back."""
        self._get("/sign-in", {field: value})

    def read(self) -> Reading:
        """Ask who we are."""
        cookies = self._get("/me", {}).json()
        return {field: cookies.get(field) for field in FIELDS}

    def release(self) -> None:
        """Keep nothing: the session is the variant's."""

    def _get(self, path: str, query: dict[str, str]) -> requests.Response:
        response = self._session.get(self._url + path, params=query, timeout=TIMEOUT)
        response.raise_for_status()
        return response


class _Client(Variant):
    """Speaks to the other service for each request."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self._service: OtherService | None = None

    @contextmanager
    @abstractmethod
    def session(self) -> Iterator[requests.Session]:
        """Lend a session."""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Probe what the other service is told on this request's behalf."""
        parameters = Parameters.of(Request(environ))
        if not is_module_patched("socket"):
            raise ServiceUnavailable("This needs a monkey-patched process: here it would wait for itself.")
        if self._service is None:
            self._service = OtherService()
        try:
            with self.session() as session:
                report = self.cell.probe(_InCookies(session, self._service.url), parameters).run()
        except requests.RequestException as error:
            raise ServiceUnavailable(f"The other service does not answer: {error}") from None
        return self.cell.reply(report)(environ, start_response)


class OneSession(_Client):
    """One session for all requests, so that connections are used again."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self._session = requests.Session()
        self._session.trust_env = False  # loopback needs no proxy
        self._session.mount("http://", HTTPAdapter(pool_maxsize=CONNECTIONS))
        weakref.finalize(self, self._session.close)

    @contextmanager
    def session(self) -> Iterator[requests.Session]:
        """Lend the session, with all the cookies that it has come by."""
        yield self._session


class SessionEach(_Client):
    """A session for each request, with a cookie jar of its own."""

    @contextmanager
    def session(self) -> Iterator[requests.Session]:
        """Lend a new session."""
        with requests.Session() as session:
            session.trust_env = False
            yield session


class SharedClient(Hazard):
    """Sharing the connections is what is wanted, and the cookies come with them."""

    name = "shared-client"
    summary = "One session of an HTTP client, with one cookie jar, speaks to another service for everybody."
    shows = "a checkpoint reads what the other service knows of whoever signed in last"
    cause = (
        "A session is shared because it keeps connections. It keeps cookies too: what the other service "
        "sets for one visitor is sent with the next one's request. It finds the right account, of the "
        "wrong person."
    )
    incidents = (
        "https://github.com/psf/requests/issues/2766",
        "https://github.com/psf/requests/issues/4941",
    )
    not_applicable = everywhere("the data is in a cookie jar, wherever the request keeps its own")
    broken = OneSession
    fixed = SessionEach
