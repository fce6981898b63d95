"""Sessions: a dict that follows a client from request to request.

The default interface keeps the whole session in the client's cookie, signed with
itsdangerous: the client can read it but not change it. The server keeps nothing,
so there is nothing that two clients could share. Knows of an App only its
configuration.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from itsdangerous import BadData, URLSafeTimedSerializer
from werkzeug.datastructures import CallbackDict

from greenlane.app.signing import session_serializer

if TYPE_CHECKING:
    from greenlane.app.app import App
    from greenlane.app.wrappers import Request, Response


class SessionMixin(MutableMapping[str, Any]):
    """What a session has beyond a dict.

    Attributes:
        modified: it changed and must be saved. Only changes of the session itself
            are noticed: after changing a list inside it, set this.
        accessed: the request looked at it, in whatever way. The request context
            sets this whenever the ``session`` proxy is used, so that ``in``,
            ``len`` and iteration count like reading a value.

    """

    modified = True
    accessed = False

    @property
    def permanent(self) -> bool:
        """Whether it outlives the browser, for PERMANENT_SESSION_LIFETIME."""
        return bool(self.get("_permanent", False))

    @permanent.setter
    def permanent(self, value: bool) -> None:
        self["_permanent"] = bool(value)


class SecureCookieSession(CallbackDict[str, Any], SessionMixin):
    """A session kept in a signed cookie; notices its own changes."""

    modified = False

    def __init__(self, initial: Mapping[str, Any] | None = None) -> None:
        super().__init__(initial, SecureCookieSession._on_update)

    def _on_update(self) -> None:
        self.modified = True


class NullSession(SecureCookieSession):
    """The session without a secret key: empty, readable, and refuses to be written."""

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(
            "The session cannot be written, because its cookie could not be signed: no secret key is set. "
            "Set app.secret_key (or the SECRET_KEY setting) to a long random value that only the server "
            "knows, for example the output of: python -c 'import secrets; print(secrets.token_hex())'"
        )

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = update = setdefault = _refuse


class SessionInterface(ABC):
    """How sessions are opened and saved; assign one to ``app.session_interface``.

    Requests of one session may run at the same time. Each opens a session object
    of its own; with the signed cookie, the reply that arrives last wins.
    """

    null_session_class: type[SessionMixin] = NullSession

    def make_null_session(self, app: "App") -> SessionMixin:
        """Make what stands for the session when :meth:`open_session` returns None."""
        return self.null_session_class()

    def is_null_session(self, obj: object) -> bool:
        """Whether ``obj`` is a null session, which is never saved."""
        return isinstance(obj, self.null_session_class)

    def may_wait(self, app: "App", request: "Request") -> bool:
        """Whether opening may wait until the session is used, and be left out when it never is.

        Only where nobody can tell: where neither :meth:`open_session` nor, for a
        session that nobody touched, :meth:`save_session` does anything that shows.
        By default it may not.
        """
        return False

    @abstractmethod
    def open_session(self, app: "App", request: "Request") -> SessionMixin | None:
        """Open the session of ``request``, once, when its context is pushed or later: see :meth:`may_wait`.

        Returns:
            The session, or None when sessions cannot work, for example for want
            of a secret key.

        """

    @abstractmethod
    def save_session(self, app: "App", session: SessionMixin, response: "Response") -> None:
        """Save ``session``, after all hooks and before the context is popped."""


class SecureCookieSessionInterface(SessionInterface):
    """Keeps the session in a cookie, signed with the App's secret key and a time."""

    salt = "greenlane.session"
    session_class = SecureCookieSession

    def signing_serializer(self, app: "App") -> URLSafeTimedSerializer | None:
        """Return what signs and verifies the cookies; None without a secret key.

        itsdangerous signs with the last key of a list and verifies with any. All
        requests share one, as long as the keys stay.
        """
        if not app.secret_key:
            return None
        return session_serializer((*(app.config["SECRET_KEY_FALLBACKS"] or ()), app.secret_key), self.salt)

    def cookie_attributes(self, app: "App") -> dict[str, Any]:
        """Return the cookie's attributes. Deleting it takes the same ones as setting it."""
        config = app.config
        return {
            "domain": config["SESSION_COOKIE_DOMAIN"],
            "path": config["SESSION_COOKIE_PATH"] or config["APPLICATION_ROOT"],
            "secure": config["SESSION_COOKIE_SECURE"],
            "httponly": config["SESSION_COOKIE_HTTPONLY"],
            "samesite": config["SESSION_COOKIE_SAMESITE"],
            "partitioned": config["SESSION_COOKIE_PARTITIONED"],
        }

    def may_wait(self, app: "App", request: "Request") -> bool:
        """Whether the client sent no cookie, so that its session is empty and will be left alone.

        One that sent some may have a permanent session, to be set again on each reply. A
        subclass says for itself: it may do more than is known here.
        """
        return type(self) is SecureCookieSessionInterface and "HTTP_COOKIE" not in request.environ

    def open_session(self, app: "App", request: "Request") -> SessionMixin | None:
        """Read the session from the cookie.

        A cookie that was changed, has expired or never was one of ours gives an
        empty session: the client is a stranger, not an error.
        """
        serializer = self.signing_serializer(app)
        if serializer is None:
            return None
        cookie = request.cookies.get(app.config["SESSION_COOKIE_NAME"])
        if not cookie:
            return self.session_class()
        lifetime = int(app.permanent_session_lifetime.total_seconds())
        try:
            content = serializer.loads(cookie, max_age=lifetime)
        except BadData:
            return self.session_class()
        # Another program may sign something else with the same key and salt.
        return self.session_class(content if isinstance(content, dict) else None)

    def save_session(self, app: "App", session: SessionMixin, response: "Response") -> None:
        """Set the cookie when the session changed, delete it when it became empty.

        A permanent session's cookie is set again on every reply, so that its
        lifetime runs from the last visit (SESSION_REFRESH_EACH_REQUEST).

        A reply that carries the cookie always says ``Vary: Cookie``: a cache that
        kept it for everybody would give one client's session to the others.

        Raises:
            TypeError: the session holds a value that cannot be written.

        """
        refresh = session.permanent and app.config["SESSION_REFRESH_EACH_REQUEST"]
        if not (session.modified or refresh):
            return
        name = app.config["SESSION_COOKIE_NAME"]
        attributes = self.cookie_attributes(app)
        vary_on_cookie(response)
        if not session:
            response.delete_cookie(name, **attributes)
            return
        serializer = self.signing_serializer(app)
        if serializer is None:
            raise RuntimeError("The secret key was taken away while a session was open.")
        expires = datetime.now(UTC) + app.permanent_session_lifetime if session.permanent else None
        response.set_cookie(name, serializer.dumps(dict(session)), expires=expires, **attributes)


def vary_on_cookie(response: "Response") -> None:
    """Let ``response`` say that it depends on the cookie, whatever else it depends on."""
    values = response.headers.getlist("Vary")
    if not values:
        response.headers.add("Vary", "Cookie")  # what follows would write the same, from a parsed set
    elif values != ["Cookie"]:
        response.vary.add("Cookie")
