"""Requests that overlap in one thread, each of which must see only its own objects."""

from typing import Any

import gevent
import pytest
from gevent.event import Event
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client as WSGIClient

from greenlane import (
    App,
    current_app,
    g,
    has_app_context,
    has_request_context,
    release_local,
    request,
    session,
)
from greenlane.app import app_stack, request_stack


def spawn_all(*jobs: Any) -> list[Any]:
    greenlets = [gevent.spawn(job) for job in jobs]
    gevent.joinall(greenlets, timeout=20, raise_error=True)
    return [greenlet.value for greenlet in greenlets]


def names_read_back(app: App, meet: Any, clients: int) -> list[tuple[str, Any]]:
    """Let ``clients`` requests each write their name everywhere, meet, and read it back."""
    read: list[tuple[str, Any]] = []

    @app.get("/<name>")
    def view(name: str) -> str:
        g.name = name
        session["name"] = name
        request.environ["test.name"] = name
        meet.wait()
        back = (
            request.args["name"],
            (request.view_args or {})["name"],
            request.environ["test.name"],
            g.name,
            session["name"],
            current_app.name,
        )
        read.append((name, back))
        return ""

    def one(name: str) -> None:
        app.test_client().get(f"/{name}?name={name}")

    greenlets = [gevent.spawn(one, f"n{number}") for number in range(clients)]
    gevent.joinall(greenlets, timeout=20)
    return read


def test_overlapping_requests_read_their_own_objects(app: App, meeting: Any) -> None:
    """B26, B41, B43: every proxy gives each of 50 overlapping requests its own object."""
    meet = meeting(50)
    read = names_read_back(app, meet, 50)
    assert len(set(meet.arrived)) == len(read) == 50
    assert all(back == (name, name, name, name, name, "shop") for name, back in read)


def test_the_same_requests_mix_on_a_broken_ident(
    app: App, meeting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can fail: with one ident for all greenlets, requests read each other."""
    app.logger.disabled = True
    with monkeypatch.context() as broken:
        for stack in (request_stack, app_stack):
            broken.setattr(stack, "__ident_func__", lambda: "everybody")
        read = names_read_back(app, meeting(5), 5)
        for stack in (request_stack, app_stack):
            release_local(stack)
    app.logger.disabled = False
    assert any(back[0] != name for name, back in read)


def test_one_request_object_per_request(app: App, meeting: Any) -> None:
    """B43: overlapping requests have request, session and g objects of their own."""
    meet = meeting(3)
    objects: list[tuple[Any, ...]] = []

    @app.get("/")
    def view() -> str:
        meet.wait()
        proxies: tuple[Any, ...] = (request, session, g)
        objects.append(tuple(proxy._get_current_object() for proxy in proxies))
        return ""

    spawn_all(*[lambda: app.test_client().get("/")] * 3)
    assert len({id(one) for triple in objects for one in triple}) == 9


def test_g_does_not_outlive_its_request(app: App) -> None:
    """B41: what one request puts into g, neither the next nor an overlapping one finds."""
    written, checked = Event(), Event()
    found: list[tuple[str, bool]] = []

    @app.get("/<name>")
    def view(name: str) -> str:
        found.append((name, "mark" in g))
        g.mark = name
        if name == "first":
            written.set()
            assert checked.wait(10)
            assert g.mark == "first"
        return ""

    def connection() -> None:  # one greenlet, like a keep-alive connection
        client = app.test_client()
        client.get("/first")
        client.get("/second")

    def other() -> None:
        assert written.wait(10)
        app.test_client().get("/other")
        checked.set()

    spawn_all(connection, other)
    assert found == [("first", False), ("other", False), ("second", False)]


def test_nested_request_has_its_own_g(app: App, meeting: Any) -> None:
    """B35: a request to the same App from inside a view shares nothing, under overlap too."""
    meet = meeting(2)
    seen: list[tuple[str, ...]] = []

    @app.get("/inner/<name>")
    def inner(name: str) -> str:
        assert "name" not in g
        g.name = f"inner {name}"
        session["name"] = g.name
        meet.wait()
        return f"{g.name} {request.path} {session['name']}"

    @app.get("/outer/<name>")
    def outer(name: str) -> str:
        g.name = name
        mine = request._get_current_object()  # type: ignore[attr-defined]
        text = app.test_client().get(f"/inner/{name}").text
        assert request._get_current_object() is mine  # type: ignore[attr-defined]
        assert "name" not in session
        seen.append((name, text, g.name, request.path))
        return ""

    spawn_all(*[lambda name=name: app.test_client().get(f"/outer/{name}") for name in ("a", "b")])
    assert len(set(meet.arrived)) == 2
    assert sorted(seen) == [
        ("a", "inner a /inner/a inner a", "a", "/outer/a"),
        ("b", "inner b /inner/b inner b", "b", "/outer/b"),
    ]


def test_a_child_greenlet_starts_empty(app: App) -> None:
    """B19: a spawned greenlet sees no request, and cannot pop its parent's."""

    @app.get("/")
    def view() -> str:
        ctx = request_stack.top

        def child() -> tuple[bool, bool]:
            assert ctx is not None
            with pytest.raises(AssertionError, match=r"RequestContext GET '/'.* is None"):
                ctx.pop()
            with pytest.raises(AssertionError, match=r"another lane, and on top of this one is None"):
                ctx.end()
            with pytest.raises(RuntimeError, match="another lane"):
                ctx.push()
            return has_request_context(), has_app_context()

        assert gevent.spawn(child).get(timeout=10) == (False, False)
        assert request_stack.top is ctx
        return request.path

    assert app.test_client().get("/").text == "/"


def test_two_apps_under_one_dispatcher(app: App, meeting: Any) -> None:
    """B46: under overlapping mixed load each view sees its own App and mount point."""
    other = App("second")
    meet = meeting(10)

    @app.get("/index")
    def index() -> str:
        meet.wait()
        return f"{current_app.name} {request.script_root} {request.path}"

    @other.get("/index2")
    def index2() -> str:
        meet.wait()
        return f"{current_app.name} {request.script_root} {request.path}"

    site = DispatcherMiddleware(app, {"/sec": other})
    paths = ["/index", "/sec/index2"] * 5
    texts = spawn_all(*[lambda path=path: WSGIClient(site).get(path).text for path in paths])
    assert texts == ["shop  /index", "second /sec /index2"] * 5


def test_sessions_of_overlapping_clients(app: App, meeting: Any) -> None:
    """B42: two requests with one cookie share its session, and another client has none of it."""
    meet = meeting(3)

    @app.get("/login/<name>")
    def login(name: str) -> str:
        session["name"] = name
        return ""

    @app.get("/whoami")
    def whoami() -> str:
        meet.wait()
        return str(session.get("name"))

    ada, stranger = app.test_client(), app.test_client()
    ada.get("/login/ada")

    def same_cookie() -> str:
        cookie = ada.get_cookie("session")
        assert cookie is not None
        return (
            app.test_client(use_cookies=False)
            .get("/whoami", headers={"Cookie": f"session={cookie.value}"})
            .text
        )

    texts = spawn_all(lambda: ada.get("/whoami").text, same_cookie, lambda: stranger.get("/whoami").text)
    assert texts == ["ada", "ada", "None"]
