"""What a parser hands over: one request, read as far as the end of its head.

Rule: this is the whole of what the exchange and the connection know about a
request, so that a parser can be replaced without touching either. Must not
import a parser.
"""

from dataclasses import dataclass
from typing import Protocol
from wsgiref.types import WSGIEnvironment


class Body(Protocol):
    """A request's body, as the connection sees it (the application sees `wsgi.input`)."""

    failure: Exception | None
    """What reading it raised, when the client hung up, stalled or sent nonsense."""

    @property
    def awaits_continue(self) -> bool:
        """Whether the client holds it back until it is told `100 Continue`, which it was not."""

    @property
    def unread(self) -> int | None:
        """Bytes still to be read; None when a chunked body does not tell."""

    def withhold_continue(self) -> None:
        """Send no `100 Continue` from now on: the response has begun."""

    def discard(self, limit: int) -> bool:
        """Read at most `limit` bytes and throw them away; whether that was all of it."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request, from its first byte to the end of its head.

    Args:
        environ: the WSGI environment (PEP 3333), with `wsgi.input`.
        body: the same input, for the connection's own use.
        line: the request line as it came, for the access log.
        method: `GET`, `POST` and so on.
        http_1_1: false for an HTTP/1.0 client, which knows no chunks.
        keep_alive: whether the client would use the connection again.

    """

    environ: WSGIEnvironment
    body: Body
    line: str
    method: str
    http_1_1: bool
    keep_alive: bool
