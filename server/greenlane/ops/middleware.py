"""Ops: a WSGI application with `/metrics` and `/healthz` in front of it.

Rule: what it reports must be exact whatever the application does: a request is
in flight from its call until its response is closed, also when it raises, is
killed or never iterated. Must not import the demonstration.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import TYPE_CHECKING, Any
from wsgiref.util import FileWrapper

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from greenlane.app.globals import app_stack, request_stack
from greenlane.context import Local, LocalStack
from greenlane.ops.metrics import OpsCollector
from greenlane.ops.process import count_greenlets_from_now

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from prometheus_client.registry import Collector

    from greenlane.wsgi import WSGIServer

_PLAIN = "text/plain; charset=utf-8"


class Ops:
    """WSGI middleware that answers `/metrics` and `/healthz` itself and counts what passes.

    `/metrics` is in Prometheus' text format; `/healthz` is 200 `ok`, or 503
    `draining` once the attached server has begun to stop.

    Args:
        wsgi_app: the application behind it.
        locals: more locals to watch, by the name they are reported under. The
            two stacks of `greenlane.app` are always watched, as `request_stack`
            and `app_stack`.

    Attributes:
        requests: how many requests reached the application.
        in_flight: how many of them are not finished.
        peak_in_flight: the largest `in_flight` so far.

    """

    def __init__(
        self,
        wsgi_app: "WSGIApplication",
        *,
        locals: "Mapping[str, Local | LocalStack[Any]] | None" = None,  # noqa: A002 - the word for it
    ) -> None:
        self.requests = 0
        self.in_flight = 0
        self.peak_in_flight = 0
        self._wsgi_app = wsgi_app
        self._server: WSGIServer | None = None
        self._locals: dict[str, Local | LocalStack[Any]] = {}
        self.watch("request_stack", request_stack)
        self.watch("app_stack", app_stack)
        for name, local in (locals or {}).items():
            self.watch(name, local)
        self._registry = CollectorRegistry()
        self._registry.register(OpsCollector(self, self._locals))
        count_greenlets_from_now()

    def watch(self, name: str, local: "Local | LocalStack[Any]") -> None:
        """Report how many idents have data in `local`, as `greenlane_local_entries{local="<name>"}`.

        Raises:
            ValueError: another local is watched under that name.

        """
        if self._locals.setdefault(name, local) is not local:
            raise ValueError(f"another local is watched as {name!r}")

    def register(self, collector: "Collector") -> None:
        """Report what `collector` collects too: an application's own figures."""
        self._registry.register(collector)

    def attach(self, server: "WSGIServer") -> None:
        """Report the connections of `server` and, in `/healthz`, whether it drains."""
        self._server = server

    @property
    def connections_accepted(self) -> int:
        """How many connections the attached server has accepted; 0 without one."""
        return self._server.connections_accepted if self._server else 0

    @property
    def draining(self) -> bool:
        """Whether the attached server has begun to stop."""
        return self._server is not None and self._server.draining

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer, or pass the request on and count it (PEP 3333)."""
        path = environ.get("PATH_INFO")
        if path == "/metrics":
            return self._answer(environ, start_response, "200 OK", self._metrics, CONTENT_TYPE_LATEST)
        if path == "/healthz":
            status, body = (
                ("503 Service Unavailable", b"draining\n") if self.draining else ("200 OK", b"ok\n")
            )
            return self._answer(environ, start_response, status, lambda: body, _PLAIN)
        self.requests += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            response = self._wsgi_app(environ, start_response)
        except BaseException:
            self._finish()
            raise
        kind = _CountedSized if isinstance(response, Sized) else _Counted
        counted = kind(response, self._finish)
        if isinstance(response, FileWrapper):
            # It stays what it is, since a server must recognize it to let the kernel send the file.
            response.close = counted.close
            return response
        return counted

    def _finish(self) -> None:
        self.in_flight -= 1

    def _metrics(self) -> bytes:
        return generate_latest(self._registry)

    @staticmethod
    def _answer(
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        status: str,
        make_body: Callable[[], bytes],
        content_type: str,
    ) -> list[bytes]:
        headers = [("Cache-Control", "no-store")]
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            body = make_body()
        else:
            status, body, content_type = "405 Method Not Allowed", b"Method Not Allowed\n", _PLAIN
            headers.append(("Allow", "GET, HEAD"))
        headers += [("Content-Type", content_type), ("Content-Length", str(len(body)))]
        start_response(status, headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


class _Counted:
    """A response iterable that says once when it is closed."""

    def __init__(self, response: Iterable[bytes], finish: Callable[[], None]) -> None:
        self._response = response
        self._close: Callable[[], None] | None = getattr(response, "close", None)
        self._finish: Callable[[], None] | None = finish

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
