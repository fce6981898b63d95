"""Ops: a WSGI application with `/metrics`, `/healthz` and `/live` in front of it.

Rule: what it reports must be exact whatever the application does: a request is
in flight from its call until its response is closed, also when it raises, is
killed or never iterated. Must not import the demonstration.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any
from wsgiref.util import FileWrapper

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest

from greenlane.app.appcontext import Counts, counts
from greenlane.app.globals import app_stack, request_stack
from greenlane.context import Local, LocalStack
from greenlane.ops.live import Live
from greenlane.ops.metrics import OpsCollector
from greenlane.ops.process import count_greenlets_from_now
from greenlane.ops.replies import reply

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from prometheus_client.registry import Collector

    from greenlane.wsgi import WSGIServer


class Ops:
    """WSGI middleware that answers `/metrics`, `/healthz` and `/live` itself and counts what passes.

    `/metrics` is in Prometheus' text format; `/healthz` is 200 `ok`, or 503
    `draining` once the attached server has begun to stop; `/live` is a stream of
    the same figures, for a page to draw.

    Args:
        wsgi_app: the application behind it.
        locals: more locals to watch, by the name they are reported under. The
            two stacks of `greenlane.app` are always watched, as `request_stack`
            and `app_stack`.
        counts: whose contexts it tells of: by default those of the whole process.

    Attributes:
        requests: how many requests reached the application.
        flying: those of them that are not finished, the oldest first: by their number, when each
            began (on the monotonic clock, in seconds), its method and its path (PEP 3333).
        locals: the locals that are watched, by name.
        peak_in_flight: the largest `in_flight` so far.
        live: what streams `/live`.

    """

    def __init__(
        self,
        wsgi_app: "WSGIApplication",
        *,
        locals: "Mapping[str, Local | LocalStack[Any]] | None" = None,  # noqa: A002 - the word for it
        counts: Counts = counts,
    ) -> None:
        self.requests = 0
        self.flying: dict[int, tuple[float, str, str]] = {}
        self.peak_in_flight = 0
        self.counts = counts
        self._wsgi_app = wsgi_app
        self._server: WSGIServer | None = None
        self._beside: list[WSGIServer] = []
        self._accepted_beside = 0
        self.locals: dict[str, Local | LocalStack[Any]] = {}
        self.watch("request_stack", request_stack)
        self.watch("app_stack", app_stack)
        for name, local in (locals or {}).items():
            self.watch(name, local)
        self._registry = CollectorRegistry()
        self._registry.register(OpsCollector(self))
        ProcessCollector(registry=self._registry)
        self.live = Live(self)
        self._own = {"/metrics": self._metrics, "/healthz": self._health, "/live": self.live.answer}
        count_greenlets_from_now()

    def watch(self, name: str, local: "Local | LocalStack[Any]") -> None:
        """Report how many idents have data in `local`, as `greenlane_local_entries{local="<name>"}`.

        Raises:
            ValueError: another local is watched under that name.

        """
        if self.locals.setdefault(name, local) is not local:
            raise ValueError(f"another local is watched as {name!r}")

    @contextmanager
    def watching(self, name: str, local: "Local | LocalStack[Any]") -> Iterator[None]:
        """Report `local` as `watch` does, until the `with` ends: then the name is free again.

        Raises:
            ValueError: a local is watched under that name, be it the same.

        """
        if name in self.locals:
            raise ValueError(f"a local is watched as {name!r} already")
        self.locals[name] = local
        try:
            yield
        finally:
            del self.locals[name]

    def register(self, collector: "Collector") -> None:
        """Report what `collector` collects too: an application's own figures."""
        self._registry.register(collector)

    def attach(self, server: "WSGIServer") -> None:
        """Report the connections of `server` and, in `/healthz`, whether it drains."""
        self._server = server

    @property
    def in_flight(self) -> int:
        """How many requests have reached the application and are not finished."""
        return len(self.flying)

    @property
    def connections(self) -> int:
        """How many connections of the attached server, and of those beside it, are open; 0 without any."""
        return sum(server.connections for server in self._servers)

    @property
    def connections_accepted(self) -> int:
        """How many connections they have accepted, and those that were beside it before."""
        return self._accepted_beside + sum(server.connections_accepted for server in self._servers)

    @property
    def _servers(self) -> "list[WSGIServer]":
        return [*([self._server] if self._server else []), *self._beside]

    @property
    def draining(self) -> bool:
        """Whether the attached server has begun to stop."""
        return self._server is not None and self._server.draining

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer, or pass the request on and count it (PEP 3333)."""
        own = self._own.get(environ.get("PATH_INFO", ""))
        if own is not None:
            return _answer(own, environ, start_response)
        return self._counted(self._wsgi_app, environ, start_response)

    def counting(self, wsgi_app: "WSGIApplication") -> "WSGIApplication":
        """Return `wsgi_app` with its requests counted here too, for what is served at another address."""
        return partial(self._counted, wsgi_app)

    @contextmanager
    def beside(self, server: "WSGIServer") -> Iterator[None]:
        """Report the connections of `server` too, until the `with` ends."""
        self._beside.append(server)
        try:
            yield
        finally:
            self._beside.remove(server)
            self._accepted_beside += server.connections_accepted

    def _counted(
        self, wsgi_app: "WSGIApplication", environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        self.requests += 1
        flying = self.flying
        flying[self.requests] = (monotonic(), environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""))
        if len(flying) > self.peak_in_flight:
            self.peak_in_flight = len(flying)
        finish = partial(flying.pop, self.requests)
        try:
            response = wsgi_app(environ, start_response)
        except BaseException:
            finish()
            raise
        kind = _CountedSized if isinstance(response, Sized) else _Counted
        counted = kind(response, finish)
        if isinstance(response, FileWrapper):
            # It stays what it is, since a server must recognize it to let the kernel send the file.
            response.close = counted.close
            return response
        return counted

    def _metrics(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        text = generate_latest(self._registry)
        return reply(environ, start_response, text, content_type=CONTENT_TYPE_LATEST)

    def _health(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if self.draining:
            return reply(environ, start_response, b"draining\n", status="503 Service Unavailable")
        return reply(environ, start_response, b"ok\n")


def _answer(
    own: "WSGIApplication", environ: "WSGIEnvironment", start_response: "StartResponse"
) -> Iterable[bytes]:
    if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
        return own(environ, start_response)
    return reply(
        environ,
        start_response,
        b"Method Not Allowed\n",
        status="405 Method Not Allowed",
        more=[("Allow", "GET, HEAD")],
    )


class _Counted:
    """A response iterable that says once when it is closed."""

    def __init__(self, response: Iterable[bytes], finish: Callable[[], object]) -> None:
        self._response = response
        self._close: Callable[[], None] | None = getattr(response, "close", None)
        self._finish: Callable[[], object] | None = finish

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._response)

    def close(self) -> None:
        finish, self._finish = self._finish, None
        try:
            if self._close is not None:
                self._close()
        finally:
            if finish is not None:
                finish()


class _CountedSized(_Counted):
    """One whose length is known, which lets a server tell the length of the body (PEP 3333)."""

    def __len__(self) -> int:
        return len(self._response)  # type: ignore[arg-type]  # chosen only for what has a length
