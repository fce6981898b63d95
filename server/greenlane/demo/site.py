"""The site: the demonstration as one WSGI application, from its App to its outermost middleware.

Must not import ``greenlane.cli``.
"""

import os
import secrets
from typing import TYPE_CHECKING, Any

from werkzeug.middleware.shared_data import SharedDataMiddleware

from greenlane.app import App
from greenlane.context import LocalManager
from greenlane.demo.database import open_database, told_in_a_line
from greenlane.demo.hazards.mount import HazardSite, LeftCollector
from greenlane.demo.notes import NotesPage
from greenlane.demo.parameters import MAX_CONTENT_LENGTH
from greenlane.demo.probe import Kit, Turns
from greenlane.demo.strategies import KeptInLocal, make_strategies
from greenlane.demo.switching import Switcher
from greenlane.demo.views import Views
from greenlane.ops import Ops

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Sent with every reply. Everything a page needs comes from this server.
SECURITY_HEADERS = (
    (
        "Content-Security-Policy",
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)


def create_demo(*, secret_key: str | None = None, database_url: str | None = None) -> Ops:
    """Make the demonstration: its App, wrapped in ``/metrics`` and ``/healthz``.

    May be called several times in a process; each demonstration has its own state.

    Args:
        secret_key: signs the session cookies. Without it the environment's
            ``SECRET_KEY`` is used, and without that a random one, which the log
            says: sessions then end with the process.
        database_url: where the notes are kept. Without it the environment's
            ``DATABASE_URL`` is used, and without that a file of SQLite in a folder
            of its own, which goes when the demonstration or the process does (one
            that is killed leaves it).

    Returns:
        The WSGI application to serve.

    Raises:
        NoDatabase: the database cannot be used.

    """
    strategies = make_strategies()
    kept_in_locals = {
        name: strategy.local for name, strategy in strategies.items() if isinstance(strategy, KeptInLocal)
    }
    app = App(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_CONTENT_LENGTH
    app.secret_key = secret_key or os.environ.get("SECRET_KEY") or _random_key(app)
    ops = Ops(app, locals=kept_in_locals)
    kit = Kit(Switcher(), Turns(), in_flight=lambda: ops.in_flight)
    Views(strategies, kit).mount(app)
    hazards = HazardSite(kit)
    hazards.mount(app)
    ops.register(LeftCollector(hazards))
    _mount_notes(app, ops, database_url or os.environ.get("DATABASE_URL"))
    released = LocalManager([kept_in_locals["local"]]).make_middleware(app.wsgi_app)
    with_files = SharedDataMiddleware(
        hazards.wrap(released), {"/static": ("greenlane.demo", "static")}, cache_timeout=300
    )
    app.wsgi_app = _with_security_headers(with_files)  # type: ignore[assignment]  # wrapping is what it is for
    return ops


def _random_key(app: App) -> str:
    app.logger.info("SECRET_KEY is not set: made a random one, so sessions end with this process")
    return secrets.token_hex(32)


def _mount_notes(app: App, ops: Ops, url: str | None) -> None:
    with told_in_a_line():
        NotesPage(open_database(url), in_flight=lambda: ops.in_flight).mount(app)


def _with_security_headers(app: "WSGIApplication") -> "WSGIApplication":
    """Wrap ``app`` so that :data:`SECURITY_HEADERS` go out with every reply, static files included."""

    def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            return start_response(status, [*headers, *SECURITY_HEADERS], *error)

        return app(environ, start)

    return application
