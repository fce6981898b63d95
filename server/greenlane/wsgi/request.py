"""One request, read as far as the end of its head: what the exchange is given.

Rule: this is the whole of what an exchange knows about a request, so that heads
can be parsed and bodies be read in other ways without touching it. Imports
nothing of ours.
"""

from typing import Protocol
from wsgiref.types import WSGIEnvironment


class BodyView(Protocol):
    """A request's body, as the connection sees it (the application sees `wsgi.input`)."""

    @property
    def failure(self) -> Exception | None:
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


class Request:
    """One request, from its first byte to the end of its head.

    Args:
        environ: the WSGI environment (PEP 3333), with `wsgi.input`.
        body: the same input, for the connection's own use.
        line: the request line as it came, for the access log.
        method: such as `GET`.
        http_1_1: false for an HTTP/1.0 client, which knows no chunks.
        keep_alive: whether the client would use the connection again.

    """

    __slots__ = ("body", "environ", "http_1_1", "keep_alive", "line", "method")

    def __init__(
        self,
        environ: WSGIEnvironment,
        body: BodyView,
        line: bytes,
        method: str,
        http_1_1: bool,
        keep_alive: bool,
    ) -> None:
        self.environ = environ
        self.body = body
        self.line = line
        self.method = method
        self.http_1_1 = http_1_1
        self.keep_alive = keep_alive
