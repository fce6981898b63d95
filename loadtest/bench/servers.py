"""Which servers are measured, and the command that starts each.

Rule: one process that serves, on one core, access log off, and otherwise each server's defaults but for what
`settings` says. That sentence is printed beside the figures. Imports nothing of ours.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
APPS = Path(__file__).with_name("apps")
ENVIRONMENTS = ROOT / ".bench"

GREENLANE = "greenlane"
"""The server that the others are compared with."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a server is to do: serve ``app`` (MODULE:NAME) on ``port`` of 127.0.0.1.

    Attributes:
        connections: how many at once, where the defaults are too few; 0 for the defaults.

    """

    app: str
    port: int
    connections: int = 0

    @property
    def module(self) -> str:
        """The application's module."""
        return self.app.partition(":")[0]

    @property
    def name(self) -> str:
        """The application's name in its module."""
        return self.app.partition(":")[2]


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server as it is measured.

    Attributes:
        name: how the command line and the report call it.
        title: how a table calls it.
        settings: what differs from its defaults, for the reader.
        environment: the folder and the lock that it is installed from; "" for the repository's ``.venv``.
        command: what starts it.
        holds_many: it can hold 19,000 requests in flight on one thread.
        only: the only workloads it runs; empty for all.
        cannot: workloads in which it has no figure, with the reason.
        optional: it may be missing, with the reason.

    """

    name: str
    title: str
    settings: str
    environment: str
    command: Callable[[Start], list[str]]
    holds_many: bool = False
    only: tuple[str, ...] = ()
    cannot: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False

    def runs(self, workload: str) -> bool:
        """Return whether it is measured under ``workload``."""
        return workload not in self.cannot and (not self.only or workload in self.only)


def program(environment: str, name: str) -> str:
    """Return the path of a program in a peer's environment."""
    return str(ENVIRONMENTS / environment / "bin" / name)


def _greenlane(start: Start, *options: str) -> list[str]:
    many = ["--max-connections", str(start.connections), "--backlog", "20000"] if start.connections else []
    port = str(start.port)
    return [sys.executable, "-m", "greenlane", "run", "--port", port, *options, *many, start.app]


def _greenlane_silent(start: Start) -> list[str]:
    return _greenlane(start, "--access-log", "off")


def _greenlane_logging(start: Start) -> list[str]:
    return _greenlane(start, "--access-log", "common")


def _pywsgi(start: Start, *options: str) -> list[str]:
    backlog = "20000" if start.connections else "256"  # 256 is gevent's default
    script = str(APPS / "pywsgi.py")
    return [program("gevent", "python"), script, start.app, str(start.port), backlog, *options]


def _pywsgi_nodelay(start: Start) -> list[str]:
    return _pywsgi(start, "nodelay")


def _gunicorn(start: Start, *options: str) -> list[str]:
    return [
        *(program("gunicorn", "gunicorn"), "--workers", "1", "--http-parser", "fast"),
        *("--no-control-socket", "--log-level", "warning", "--bind", f"127.0.0.1:{start.port}"),
        *(*options, start.app),
    ]


def _gunicorn_gevent(start: Start) -> list[str]:
    many = ("--worker-connections", "20000", "--backlog", "20000") if start.connections else ()
    return _gunicorn(start, "--worker-class", "gevent", *many)


def _gunicorn_gthread(start: Start) -> list[str]:
    return _gunicorn(start, "--worker-class", "gthread", "--threads", "8")


def _granian(start: Start) -> list[str]:
    return [
        *(program("granian", "granian"), "--interface", "wsgi", "--http", "1", "--no-ws", "--no-log"),
        *("--workers", "1", "--blocking-threads", "1", "--runtime-threads", "1"),
        *("--host", "127.0.0.1", "--port", str(start.port), start.app),
    ]


def _waitress(start: Start) -> list[str]:
    return [
        *(program("waitress", "waitress-serve"), "--host", "127.0.0.1", "--port", str(start.port)),
        start.app,
    ]


def _uwsgi(start: Start) -> list[str]:
    return [
        *(program("uwsgi", "uwsgi"), "--master", "--die-on-term", "--disable-logging", "--need-app"),
        *("--http", f"127.0.0.1:{start.port}", "--http-keepalive", "--listen", "1000"),
        *("--gevent", "1000", "--gevent-early-monkey-patch"),
        *("--home", str(ENVIRONMENTS / "uwsgi"), "--chdir", str(APPS)),
        *("--module", f"{start.module}:{start.name}"),
    ]


_CLOSES_UNSAID = {"close": "it closes without saying so, which wrk counts as failed"}
"""That a reply to `Connection: close` repeats it is only a SHOULD (RFC 9112, 9.6), but wrk relies on it."""

SERVERS = (
    Server(
        name=GREENLANE,
        title="Greenlane",
        settings="defaults: every check, limit and timeout on",
        environment="",
        command=_greenlane_silent,
        holds_many=True,
    ),
    Server(
        name="greenlane-log",
        title="Greenlane, access log on",
        settings="its access log written to a file",
        environment="",
        command=_greenlane_logging,
        only=("hello",),
    ),
    Server(
        name="pywsgi",
        title="gevent.pywsgi",
        settings="defaults",
        environment="gevent",
        command=_pywsgi,
        cannot=_CLOSES_UNSAID,
        holds_many=True,
    ),
    Server(
        name="pywsgi-nodelay",
        title="gevent.pywsgi, TCP_NODELAY",
        settings="TCP_NODELAY set on each accepted connection",
        environment="gevent",
        command=_pywsgi_nodelay,
        cannot=_CLOSES_UNSAID,
        holds_many=True,
    ),
    Server(
        name="gunicorn-gevent",
        title="gunicorn gevent",
        settings="1 worker, its C parser required (`--http-parser fast`, gunicorn_h1c)",
        environment="gunicorn",
        command=_gunicorn_gevent,
        holds_many=True,
    ),
    Server(
        name="gunicorn-gthread",
        title="gunicorn gthread",
        settings="1 worker of 8 threads, its C parser required",
        environment="gunicorn",
        command=_gunicorn_gthread,
    ),
    Server(
        name="granian",
        title="granian",
        settings="WSGI, HTTP/1 only, 1 worker, 1 blocking thread, 1 runtime thread",
        environment="granian",
        command=_granian,
    ),
    Server(
        name="waitress",
        title="waitress",
        settings="defaults: 4 threads",
        environment="waitress",
        command=_waitress,
    ),
    Server(
        name="uwsgi",
        title="uWSGI gevent",
        settings="1 worker of 1,000 greenlets behind its HTTP router: its HTTP/1.1 socket fails with gevent",
        environment="uwsgi",
        command=_uwsgi,
        cannot=_CLOSES_UNSAID,
        optional=True,
    ),
)

BY_NAME = {server.name: server for server in SERVERS}
