"""A pooled connection that a cancelled call has left with its reply unread.

The data goes to a server and comes back over a connection, which many requests use in turn.
"""

import os
import weakref
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Final, Never

import gevent
from gevent.lock import BoundedSemaphore
from werkzeug.exceptions import ServiceUnavailable

from greenlane.app import Request
from greenlane.demo.hazards.hazard import Cell, Exercise, Hazard, Variant, everywhere
from greenlane.demo.hazards.poisoned_resp import Connection, LineServer
from greenlane.demo.keeper import FIELDS, Keeper, Reading
from greenlane.demo.pages import json_response, not_stored
from greenlane.demo.parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

POOL_SIZE: Final = 32
"""Connections of one variant: a request has one for itself alone, and others wait for one."""


class Pool:
    """Connections to one server, which requests take in turn; the last one used is the next one taken."""

    def __init__(self) -> None:
        self.places = BoundedSemaphore(POOL_SIZE)
        self.free: list[Connection] = []
        self._server: LineServer | None = None
        weakref.finalize(self, _close, self.free)

    def take(self) -> Connection:
        """Return a connection that is free, or a new one."""
        return self.free.pop() if self.free else Connection(self._url())

    def _url(self) -> str:
        if url := os.environ.get("REDIS_URL"):
            return url
        if self._server is None:
            self._server = LineServer()
        return self._server.url


def _close(connections: list[Connection]) -> None:
    for connection in connections:
        connection.close()


class _Echoed(Keeper):
    """What a server says when it is asked: both fields go to it and come back, in one call."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sent: dict[str, str] = {}

    def write(self, field: str, value: str) -> None:
        """Note what to send."""
        self._sent[field] = value

    def read(self) -> Reading:
        """Send it, and return what the reply says."""
        if not self._sent:
            return dict.fromkeys(FIELDS)
        reply = self._connection.call("ECHO", " ".join(self._sent.values()))
        return dict(zip(FIELDS, reply.split(" "), strict=True))

    def release(self) -> None:
        """Keep nothing: the connection goes back to where it came from."""


class _Pooled(Variant):
    """Takes a connection from a pool for each request."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.pool = Pool()

    @abstractmethod
    def connection(self) -> AbstractContextManager[Connection]:
        """Lend a connection of the pool's."""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Probe over a pooled connection; a doomed request is cancelled in its first call."""
        parameters = Parameters.of(Request(environ))
        cancelling = gevent.Timeout(0)
        try:
            with self.pool.places, self.connection() as connection:
                probe = self.cell.probe(keeper := _Echoed(connection), parameters)
                if parameters.fate:
                    probe.write()
                    _read_until(cancelling, keeper)
                response = self.cell.reply(probe.run(), channel=f"connection {connection.number}")
        except gevent.Timeout as caught:
            if caught is not cancelling:
                raise
            response = not_stored(json_response({"doomed": "cancel"}, status=503))
        except ValueError as error:
            raise ServiceUnavailable(f"REDIS_URL cannot be used: {error}") from None
        except OSError as error:
            raise ServiceUnavailable(f"The server of REDIS_URL does not answer: {error}") from None
        return response(environ, start_response)


def _read_until(cancelling: gevent.Timeout, keeper: Keeper) -> Never:
    with cancelling:
        while True:  # a reply that was there at once was no cancelled call
            keeper.read()


class GivenBack(_Pooled):
    """Gives every connection back, whatever became of the call."""

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection, and have it back in any case: none may be lost."""
        connection = self.pool.take()
        try:
            yield connection
        finally:
            self.pool.free.append(connection)


class ClosedWhenCancelled(_Pooled):
    """Closes a connection whose call did not come to its end, and gives the others back."""

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection, and have it back when nothing is left on it."""
        connection = self.pool.take()
        try:
            yield connection
        except BaseException:  # a timeout and a kill are no Exception
            connection.close()
            raise
        self.pool.free.append(connection)


class PoisonedConnection(Hazard):
    """The one that showed people the titles of other people's conversations."""

    name = "poisoned-connection"
    summary = (
        "A call is cancelled between its sending and its reply, and the connection goes back to the pool."
    )
    shows = "the first checkpoint reads what the connection's previous user sent"
    cause = (
        "The server has answered, and nobody has read it. The next call on that connection sends its "
        "question and reads the answer to the previous one: off by one for ever after, without an error."
    )
    incidents = (
        "https://openai.com/index/march-20-chatgpt-outage/",
        "https://github.com/redis/redis-py/issues/2624",
        "https://github.com/redis/redis-py/issues/2665",
    )
    exercise = Exercise("kept-alive", fate="cancel", share=0.1)
    not_applicable = everywhere("what is mixed up is on a socket, wherever the request keeps its own data")
    broken = GivenBack
    fixed = ClosedWhenCancelled
