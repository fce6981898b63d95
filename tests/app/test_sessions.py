"""Sessions: the signed cookie, what it may hold, and when a reply depends on it."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from itsdangerous import URLSafeTimedSerializer
from werkzeug.test import TestResponse

from greenlane import App, Request, Response, copy_current_request_context, request, session
from greenlane.app import taggedjson
from greenlane.app.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin

keys = st.text() | st.integers() | st.tuples(st.text(), st.integers()) | st.binary() | st.none()
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes(timezones=st.none() | st.just(UTC))
    | st.uuids()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(keys, inner),
    max_leaves=15,
)
tags = st.sampled_from([" t", " b", " d", " u", " m", " "])


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types all the way down (1 == True == 1.0)."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        if len(one) != len(other):
            return False
        pairs = zip(one.items(), other.items(), strict=True)
        return all(same(a, b) for pair in pairs for a, b in zip(*pair, strict=True))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@settings(deadline=None)
@given(st.dictionaries(st.text() | tags, values) | st.dictionaries(tags, values, max_size=1))
def test_values_survive_the_round_trip(content: dict[str, Any]) -> None:
    """B42: tuples, bytes, datetimes, UUIDs, odd keys and look-alike tags come back as they went."""
    assert same(taggedjson.loads(taggedjson.dumps(content)), content)


def test_values_survive_from_request_to_request(app: App) -> None:
    """B42: what one request stores, the client's next one reads."""
    stored = {
        "tuple": (1, "two"),
        "bytes": b"\x00\xff",
        "time": datetime(2024, 2, 29, 12, 30, 0, 250, tzinfo=UTC),
        "uuid": UUID(int=7),
    }

    @app.get("/store")
    def store() -> str:
        session.update(stored)
        return ""

    app.add_url_rule("/read", "read", lambda: str(dict(session) == stored))
    client = app.test_client()
    client.get("/store")
    assert client.get("/read").text == "True"


def test_a_value_that_cannot_be_stored(app: App) -> None:
    """B42: the error names its type."""

    @app.get("/")
    def view() -> str:
        session["x"] = object()
        return ""

    with pytest.raises(TypeError, match="object is not JSON serializable"):
        app.test_client().get("/")


def reply_to(app: App, use: Callable[[], object], **cookie: str) -> TestResponse:
    def view() -> str:
        use()
        return ""

    app.add_url_rule("/", "index", view)
    client = app.test_client()
    with client.session_transaction() as stored:
        stored.update(cookie)
    return client.get("/")


@pytest.mark.parametrize(
    "use",
    [
        lambda: session.get("x"),
        lambda: "x" in session,
        lambda: len(session),
        lambda: list(session),
        lambda: bool(session),
        lambda: session == {},
        lambda: session.permanent,
        lambda: session.items(),
    ],
)
def test_vary_when_the_session_was_touched(app: App, use: Callable[[], object]) -> None:
    """B42: a reply says `Vary: Cookie` however the session was looked at, with or without a cookie."""
    reply = reply_to(app, use, x="1")
    assert reply.vary.as_set() == {"cookie"}
    assert "Set-Cookie" not in reply.headers


def test_no_vary_when_it_was_not(app: App) -> None:
    """B42: a page that does not look at the session may be cached for everybody."""
    reply = reply_to(app, lambda: request.path, x="1")
    assert "Vary" not in reply.headers
    assert "Set-Cookie" not in reply.headers


def test_vary_also_on_an_error(app: App) -> None:
    """B42: the reply to an error depends on the cookie just the same."""
    app.testing = False

    @app.after_request
    def fail(response: Any) -> Any:
        raise ValueError

    reply = reply_to(app, lambda: "x" in session)
    assert (reply.status_code, reply.vary.as_set()) == (500, {"cookie"})


def test_cookie_attributes(app: App) -> None:
    """B42: HttpOnly and SameSite=Lax by default; Secure and the others by setting."""
    app.add_url_rule("/", "index", lambda: str(session.update(x=1)))
    flags = app.test_client().get("/").headers["Set-Cookie"].split("; ")[1:]
    assert flags == ["HttpOnly", "Path=/", "SameSite=Lax"]
    app.config.from_mapping(
        SESSION_COOKIE_NAME="sid",
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_HTTPONLY=False,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_DOMAIN="example.org",
        SESSION_COOKIE_PATH="/app",
    )
    name, *flags = app.test_client().get("/").headers["Set-Cookie"].split("; ")
    assert name.startswith("sid=")
    assert flags == ["Domain=example.org", "Secure", "Path=/app", "SameSite=Strict"]


def test_a_permanent_session_is_refreshed(app: App) -> None:
    """B42: its cookie has an expiry and is sent with every reply, which then varies by it."""
    app.permanent_session_lifetime = timedelta(days=3)

    @app.get("/login")
    def login() -> str:
        session.permanent = True
        session["user"] = "ada"
        return ""

    app.add_url_rule("/other", "other", lambda: "")
    client = app.test_client()
    client.get("/login")
    reply = client.get("/other")
    cookie = client.get_cookie("session")
    assert cookie is not None
    assert cookie.expires is not None
    assert timedelta(days=2) < cookie.expires - datetime.now(UTC) <= timedelta(days=3)
    assert reply.vary.as_set() == {"cookie"}
    app.config["SESSION_REFRESH_EACH_REQUEST"] = False
    assert "Set-Cookie" not in client.get("/other").headers


def test_the_cookie_is_deleted_with_the_last_value(app: App) -> None:
    """B42: an emptied session leaves no cookie, and its deletion varies by the cookie."""

    @app.get("/out")
    def out() -> str:
        session.clear()
        return ""

    client = app.test_client()
    with client.session_transaction() as stored:
        stored["user"] = "ada"
    reply = client.get("/out")
    assert "Max-Age=0" in reply.headers["Set-Cookie"]
    assert reply.vary.as_set() == {"cookie"}
    assert client.get_cookie("session") is None


def session_of(app: App, cookie: str) -> dict[str, Any]:
    with app.test_request_context(headers={"Cookie": f"session={cookie}"}):
        return dict(session)


def test_a_cookie_that_was_changed_gives_an_empty_session(app: App) -> None:
    """B42: one character changed, anywhere in the cookie, and it is nobody's."""
    signed = app.session_interface.signing_serializer(app).dumps({"user": "ada"})  # type: ignore[attr-defined]
    assert session_of(app, signed) == {"user": "ada"}
    for place in range(len(signed) - 1):  # of the last character, base64 ignores some bits
        other = "A" if signed[place] != "A" else "B"
        assert session_of(app, signed[:place] + other + signed[place + 1 :]) == {}


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_a_garbage_cookie_gives_an_empty_session(garbage: bytes) -> None:
    """B42: whatever the client sends as a cookie, it is an empty session and no error."""
    app = App("shop")
    app.secret_key = "for tests only"
    environ = {"HTTP_COOKIE": b"session=".decode() + garbage.decode("latin-1")}
    with app.test_request_context(environ_overrides=environ):
        assert dict(session) == {}


def test_an_expired_cookie_gives_an_empty_session(app: App) -> None:
    """B42: the server checks the lifetime; it does not rely on the client."""
    signed = app.session_interface.signing_serializer(app).dumps({"user": "ada"})  # type: ignore[attr-defined]
    app.permanent_session_lifetime = timedelta(seconds=-1)
    assert session_of(app, signed) == {}


@pytest.mark.parametrize("content", ["text", [["a", 1]], 5, None])
def test_a_cookie_that_holds_no_dict(app: App, content: object) -> None:
    """B42: something else signed with the same key is not a session."""
    signed = app.session_interface.signing_serializer(app).dumps(content)  # type: ignore[attr-defined]
    assert session_of(app, signed) == {}


def test_an_unreadable_tag_behind_a_valid_signature(app: App) -> None:
    """B42: nor is something that the serializer cannot read."""
    serializer = URLSafeTimedSerializer(
        "for tests only",
        salt=SecureCookieSessionInterface.salt,
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )
    assert session_of(app, serializer.dumps({"x": 1})) == {"x": 1}
    assert session_of(app, serializer.dumps({"x": {" d": "not a date"}})) == {}


def test_another_key_is_not_enough_and_fallbacks_are(app: App) -> None:
    """B42: after a change of keys the old one still opens sessions, if it is listed."""
    signed = app.session_interface.signing_serializer(app).dumps({"user": "ada"})  # type: ignore[attr-defined]
    app.config["SECRET_KEY_FALLBACKS"], app.secret_key = [app.secret_key], "another"
    assert session_of(app, signed) == {"user": "ada"}
    anew = app.session_interface.signing_serializer(app).dumps({"user": "ada"})  # type: ignore[attr-defined]
    app.config["SECRET_KEY_FALLBACKS"] = None
    assert session_of(app, signed) == {}
    assert session_of(app, anew) == {"user": "ada"}


@pytest.mark.parametrize(
    "write",
    [
        lambda null: null.__setitem__("x", 1),
        lambda null: null.__delitem__("x"),
        lambda null: null.update(x=1),
        lambda null: null.setdefault("x", 1),
        lambda null: null.pop("x", None),
        lambda null: null.popitem(),
        lambda null: null.clear(),
        lambda null: null.__ior__({"x": 1}),
        lambda null: setattr(null, "permanent", True),
    ],
)
def test_without_a_secret_key(app: App, write: Callable[[Any], object]) -> None:
    """B42: the session can be read, and writing it says how to set a key."""
    app.secret_key = None
    with app.test_request_context():
        assert (session.get("x"), len(session), "x" in session, session.permanent) == (None, 0, False, False)
        with pytest.raises(RuntimeError, match=r"Set app\.secret_key"):
            write(session)


def test_the_null_session_sets_no_cookie(app: App) -> None:
    """B42: without a key no reply carries a session cookie."""
    app.secret_key = None
    app.add_url_rule("/", "index", lambda: str(len(session)))
    assert "Set-Cookie" not in app.test_client().get("/").headers


def test_a_session_notices_its_changes() -> None:
    """B42: modified is set by every way of writing, and not by reading."""
    changes: list[Callable[[SecureCookieSession], object]] = [
        lambda s: s.update(y=1),
        lambda s: s.pop("x"),
        lambda s: s.setdefault("y", 1),
        lambda s: s.__setitem__("x", 2),
    ]
    for change in changes:
        one = SecureCookieSession({"x": 1})
        assert (one.get("x"), one.modified) == (1, False)
        change(one)
        assert one.modified


def test_another_session_interface(app: App) -> None:
    """B42: a session kept elsewhere takes the same way."""
    kept: dict[str, Any] = {}

    class Kept(dict[str, Any], SessionMixin):
        pass

    class KeptOnServer(SecureCookieSessionInterface):
        def open_session(self, app: App, request: Any) -> Kept:
            return Kept(kept)

        def save_session(self, app: App, session: Any, response: Any) -> None:
            kept.update(session)

    app.session_interface = KeptOnServer()

    @app.get("/")
    def view() -> str:
        session["count"] = session.get("count", 0) + 1
        return str(session["count"])

    client = app.test_client()
    replies = [client.get("/") for _ in range(2)]
    assert [reply.text for reply in replies] == ["1", "2"]
    assert replies[0].vary.as_set() == {"cookie"}


class Counting(SecureCookieSessionInterface):
    """Tells what it was asked to do, and may wait as the class above it does."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def may_wait(self, app: App, request: Request) -> bool:
        return SecureCookieSessionInterface().may_wait(app, request)

    def open_session(self, app: App, request: Request) -> SessionMixin | None:
        self.calls.append("open")
        return super().open_session(app, request)

    def save_session(self, app: App, session: SessionMixin, response: Response) -> None:
        self.calls.append("save")
        super().save_session(app, session, response)


def test_a_session_that_nobody_uses_is_not_opened(app: App) -> None:
    """B42: when the client sent no cookie; and it is opened once when somebody uses it."""
    app.session_interface = interface = Counting()
    app.add_url_rule("/plain", view_func=lambda: "", endpoint="plain")
    app.add_url_rule("/used", view_func=lambda: f"{len(session)} {'x' in session}", endpoint="used")
    app.add_url_rule("/set", view_func=lambda: str(session.update(x=1)), endpoint="set")
    client = app.test_client()
    assert "Vary" not in client.get("/plain").headers
    assert interface.calls == []
    assert client.get("/used").headers["Vary"] == "Cookie"
    assert interface.calls == ["open", "save"]
    client.get("/set")
    assert client.get("/used").text == "1 True"
    del interface.calls[:]
    assert "Vary" not in client.get("/plain").headers  # it came with a cookie, which might be permanent
    assert interface.calls == ["open", "save"]


def test_another_interface_opens_and_saves_every_session(app: App) -> None:
    """B42: nobody knows what it does besides."""

    class Other(SecureCookieSessionInterface):
        def open_session(self, app: App, request: Request) -> SessionMixin | None:
            return self.session_class({"opened": True})

    app.session_interface = Other()
    with app.test_request_context() as ctx:
        assert dict(ctx.opened_session or {}) == {"opened": True}
        assert not (ctx.opened_session and ctx.opened_session.accessed)


def test_a_carried_request_has_the_session_that_waited(app: App) -> None:
    """B58: it is opened for both, so what the greenlet writes is saved with the reply."""

    @app.get("/")
    def view() -> str:
        @copy_current_request_context
        def write() -> None:
            session["by"] = "greenlet"

        gevent.spawn(write).get(timeout=10)
        return str(session["by"])

    reply = app.test_client().get("/")
    assert reply.text == "greenlet"
    assert session_of(app, reply.headers["Set-Cookie"].split("=", 1)[1].split(";")[0]) == {"by": "greenlet"}
