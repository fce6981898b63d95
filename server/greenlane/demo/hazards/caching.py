"""A page that depends on a cookie, and does not say so: a cache in front of it hands it to everybody.

The session is hand-written, since the App's own says ``Vary: Cookie`` by itself. The nonce is
in the cookie alone: an address with a nonce of each visitor's own would be stored for each.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

from greenlane.app import Request
from greenlane.demo.hazards.hazard import Exercise, Hazard, everywhere
from greenlane.demo.hazards.sharing import OneLocal
from greenlane.demo.parameters import ParameterError, Parameters

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from werkzeug.wrappers import Response as BaseResponse


class _Page(OneLocal):
    """A page for whom the cookie names, made anew for each request."""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Probe with the session's nonce, and say how the page may be kept."""
        session = Request(environ).cookies.get("nonce")
        if session is None:
            raise ParameterError("request.cookies", "bring no nonce, which is who asks for this page")
        query = f"{environ.get('QUERY_STRING', '')}&nonce={quote(session)}"
        probe = self.cell.probe(self, Parameters.of(Request({**environ, "QUERY_STRING": query})))
        try:
            response = self.cell.reply(probe.run())
        finally:
            self.end()
        self.allow(response)
        return response(environ, start_response)

    @abstractmethod
    def allow(self, response: "BaseResponse") -> None:
        """Say to caches what they may do with the page."""


class ForEverybody(_Page):
    """Lets caches keep the page for a minute, and does not say that it depends on the cookie."""

    def allow(self, response: "BaseResponse") -> None:
        """Allow what is right for the pages that are the same for all."""
        response.headers["Cache-Control"] = "public, max-age=60"


class ForItsVisitor(_Page):
    """Says that the page depends on the cookie, and that only its visitor's own browser may keep it."""

    def allow(self, response: "BaseResponse") -> None:
        """Allow no more than is right for a page of one visitor's."""
        response.headers["Cache-Control"] = "private, max-age=60"
        response.headers["Vary"] = "Cookie"


class CachedCookie(Hazard):
    """Requests are kept apart on the server, which is asked by one of them only."""

    name = "cached-cookie"
    summary = "A page that is made for a session's cookie goes through a cache without saying so."
    shows = "every checkpoint has the nonce of the visitor who came first to that address"
    cause = (
        "A cache chooses among what it has by the address and the request fields that Vary names. Without "
        "Vary: Cookie two visitors ask for the same page. Frameworks add it when the session is used, "
        "and some ways to use it were overlooked."
    )
    incidents = (
        "https://nvd.nist.gov/vuln/detail/CVE-2023-30861",
        "https://nvd.nist.gov/vuln/detail/CVE-2026-27205",
    )
    exercise: ClassVar[Exercise] = Exercise("cached")
    own_server = "cached-cookie"
    not_applicable = everywhere("what is mixed up is in a cache, which the server is behind")
    broken = ForEverybody
    fixed = ForItsVisitor
