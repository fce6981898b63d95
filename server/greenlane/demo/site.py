"""The site: the demonstration as one WSGI application, from its App to its outermost middleware.

Must not import ``greenlane.cli``.
"""

import os
import secrets
from typing import TYPE_CHECKING, Any, Final

from werkzeug.middleware.shared_data import SharedDataMiddleware

from greenlane.app import App
from greenlane.demo.database import open_database, told_in_a_line
from greenlane.demo.front import FrontPage
from greenlane.demo.notes import NotesPage
from greenlane.demo.orders.page import OrdersPage
from greenlane.demo.probing import with_probes
from greenlane.demo.race import RacePage
from greenlane.ops import Ops

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_POLICY: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}

#: Sent with every reply of the App. Everything a page needs comes from this server, and no page has code
#: in it. What ``Ops`` answers is for programs, and says itself that it is not to be taken for a page.
SECURITY_HEADERS: Final = (
    # https://www.w3.org/TR/CSP3/
    ("Content-Security-Policy", "; ".join(f"{name} {value}" for name, value in _POLICY.items())),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)


def create_demo(*, secret_key: str | None = None, database_url: str | None = None) -> Ops:
    """Make the demonstration: its App, wrapped in ``/metrics``, ``/healthz`` and ``/live``.

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
    app = App(__name__)
    app.secret_key = secret_key or os.environ.get("SECRET_KEY") or _random_key(app)
    ops = with_probes(app).ops
    races = RacePage(ops)
    races.mount(app)
    OrdersPage().mount(app)
    FrontPage(races).mount(app)
    _mount_notes(app, ops, database_url or os.environ.get("DATABASE_URL"))
    # Asked anew each time, which costs a reply without a body: modules of two versions do not go together.
    with_files = SharedDataMiddleware(
        app.wsgi_app, {"/static": ("greenlane.demo", "static")}, cache_timeout=0
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
    """Wrap ``app`` so that :data:`SECURITY_HEADERS` go out with all its replies."""

    def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            return start_response(status, [*headers, *SECURITY_HEADERS], *error)

        return app(environ, start)

    return application
