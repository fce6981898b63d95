"""`with client:` keeps the last request at hand, and nothing else ever does."""

from collections.abc import Callable, Iterable
from typing import Any

import gevent
import pytest
from gevent.event import Event
from werkzeug.test import EnvironBuilder, run_wsgi_app

from greenlane import (
    App,
    LocalManager,
    after_this_request,
    g,
    has_app_context,
    has_request_context,
    request,
    session,
    stream_with_context,
)
from greenlane.app import app_stack, counts, request_stack
from greenlane.app.contexts import PRESERVE


@pytest.fixture
def ended() -> list[str]:
    """The paths of the requests whose teardown functions ran, with the error if there was one."""
    return []


@pytest.fixture
def shop(app: App, ended: list[str]) -> App:
    """An App that says when its requests end."""

    @app.teardown_request
    def teardown(exc: BaseException | None) -> None:
        assert g.name == session["name"]
        ended.append(request.path if exc is None else f"{request.path} {exc!r}")

    app.teardown_appcontext(lambda exc: ended.append(f"app of {g.name}"))

    @app.get("/<name>")
    def view(name: str) -> Any:
        g.name = session["name"] = name
        if name == "broken":
            raise ValueError(name)
        if name == "streamed":
            return stream_with_context(iter([name, "more"]))
        return name

    return app


def test_the_last_request_stays_until_the_end_of_the_block(shop: App, ended: list[str]) -> None:
    """B37: request, session and g can be read after the response; teardown waits, and runs once."""
    client = shop.test_client()
    with client as same:
        assert same.get("/a?x=1").text == "a"
        assert (request.args["x"], session["name"], g.name) == ("1", "a", "a")
        assert ended == []
        with pytest.raises(RuntimeError, match="too late"):
            after_this_request(lambda response: response)
    assert ended == ["/a", "app of a"]
    assert not has_app_context()
    client.get("/b")
    assert not has_request_context()
    assert ended[2:] == ["/b", "app of b"]


def test_the_next_request_ends_the_kept_one(shop: App, ended: list[str]) -> None:
    """B34, B37: before it begins, so that it has a lane and a `g` of its own."""
    with shop.test_client() as client:
        client.get("/a")
        client.get("/b")
        assert ended == ["/a", "app of a"]
        assert (request.path, g.name) == ("/b", "b")
        (entry,) = dict(request_stack.__storage__).values()
        assert len(entry["stack"]) == 1
    assert ended[2:] == ["/b", "app of b"]


def test_any_push_ends_the_kept_request(shop: App, ended: list[str]) -> None:
    """B34: also one that has nothing to do with the client."""
    with shop.test_client() as client:
        client.get("/a")
        with shop.test_request_context("/pushed"):
            assert ended == ["/a", "app of a"]
            assert "name" not in g
            g.name = session["name"] = "pushed"
        assert not has_app_context()
    assert len(ended) == 4


def test_a_request_that_raised_is_kept(shop: App, ended: list[str]) -> None:
    """B37: the error comes out of the client, and the teardown functions still get it."""
    with shop.test_client() as client:
        with pytest.raises(ValueError, match="broken"):
            client.get("/broken")
        assert (request.path, g.name, ended) == ("/broken", "broken", [])
    assert ended == ["/broken ValueError('broken')", "app of broken"]
    ended.clear()
    shop.config["PROPAGATE_EXCEPTIONS"] = False
    shop.logger.disabled = True
    with shop.test_client() as client:
        assert client.get("/broken").status_code == 500
        assert (request.path, ended) == ("/broken", [])
    shop.logger.disabled = False
    assert ended == ["/broken ValueError('broken')", "app of broken"]


def test_redirects_keep_the_last(app: App) -> None:
    """B37: of a chain of redirects, the last request is at hand."""
    app.add_url_rule("/to", "to", lambda: "here")
    app.add_url_rule("/from", "from", lambda: app.redirect("/to"))
    with app.test_client() as client:
        assert client.get("/from", follow_redirects=True).text == "here"
        assert request.path == "/to"


def test_an_error_in_the_block_ends_the_request_too(shop: App, ended: list[str]) -> None:
    """B37: and is the one that comes out of the block."""

    def fails() -> None:
        with shop.test_client() as client:
            client.get("/a")
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert ended == ["/a", "app of a"]


def test_a_teardown_error_comes_out_of_the_block(app: App) -> None:
    """B37: when it ends the request, not before."""

    @app.teardown_request
    def teardown(exc: BaseException | None) -> None:
        raise ValueError("in teardown")

    app.add_url_rule("/", "index", lambda: "fine")

    def block() -> None:
        with app.test_client() as client:
            assert client.get("/").text == "fine"

    with pytest.raises(ValueError, match="in teardown"):
        block()
    assert not has_app_context()


def test_a_teardown_error_is_not_the_next_requests(app: App, ended: list[str]) -> None:
    """B37: it comes out of the client before the next request is sent, and is not answered with a 500."""
    app.config["PROPAGATE_EXCEPTIONS"] = False

    @app.teardown_request
    def teardown(exc: BaseException | None) -> None:
        ended.append(request.path)
        if request.path == "/first":
            raise ValueError("in teardown")

    app.add_url_rule("/<name>", "view", lambda name: name)
    with app.test_client() as client:
        client.get("/first")
        with pytest.raises(ValueError, match="in teardown"):
            client.get("/second")
        assert (ended, has_request_context()) == (["/first"], False)
        assert client.get("/second").text == "second"
    assert ended == ["/first", "/second"]


def test_nested_blocks_of_one_client(shop: App) -> None:
    """B37: refused, and the outer block goes on."""
    client = shop.test_client()
    with client:
        client.get("/a")
        with pytest.raises(RuntimeError, match="another client"), client:
            pass
        assert request.path == "/a"
    with client:
        client.get("/b")
        assert request.path == "/b"


def test_two_clients_in_one_lane(shop: App, ended: list[str]) -> None:
    """B34, B37: one request at a time is current in a lane, the last one."""
    with shop.test_client() as first, shop.test_client() as second:
        first.get("/first")
        second.get("/second")
        assert (request.path, ended) == ("/second", ["/first", "app of first"])
        first.get("/again")
        assert (request.path, ended[2:]) == ("/again", ["/second", "app of second"])
    assert ended[4:] == ["/again", "app of again"]


def test_a_client_in_two_greenlets(shop: App, ended: list[str]) -> None:
    """B37: only what the block's own greenlet sends is kept, while another's request overlaps."""
    inside, go = Event(), Event()

    @shop.get("/slow")
    def slow() -> str:
        g.name = session["name"] = "slow"
        inside.set()
        assert go.wait(10)
        return g.name  # type: ignore[no-any-return]

    with shop.test_client() as client:

        def elsewhere() -> tuple[str, bool]:
            return client.get("/slow").text, has_request_context()

        worker = gevent.spawn(elsewhere)
        assert inside.wait(10)
        client.get("/here")
        assert (request.path, g.name) == ("/here", "here")
        go.set()
        assert worker.get(timeout=10) == ("slow", False)
        assert (request.path, g.name, ended) == ("/here", "here", ["/slow", "app of slow"])
        with pytest.raises(RuntimeError, match="another client"):
            gevent.spawn(client.__enter__).get(timeout=10)


def test_a_request_inside_a_kept_one(shop: App, ended: list[str]) -> None:
    """B35, B37: a view that uses the same client gets its own request back, and the outer one is kept."""

    @shop.get("/outer")
    def outer() -> str:
        g.name = session["name"] = "outer"
        assert client.get("/inner").text == "inner"
        assert (request.path, g.name) == ("/outer", "outer")
        return "done"

    with shop.test_client() as client:
        assert client.get("/outer").text == "done"
        assert (request.path, ended) == ("/outer", ["/inner", "app of inner"])


def test_inside_an_application_context(shop: App, ended: list[str]) -> None:
    """B35, B37: the request uses the one that is there, and leaves it there."""
    with shop.app_context() as outer:
        with shop.test_client() as client:
            client.get("/a")
            assert app_stack.top is outer
            assert (request.path, g.name) == ("/a", "a")
        assert ended == ["/a"]
        assert app_stack.top is outer
    assert ended == ["/a", "app of a"]


def test_a_stream_that_is_read_in_the_block(shop: App, ended: list[str]) -> None:
    """B37, B57: teardown waits for both, whichever comes last."""
    with shop.test_client() as client:
        response = client.get("/streamed")
        assert request.path == "/streamed"
        assert response.text == "streamedmore"
        assert (request.path, g.name, ended) == ("/streamed", "streamed", [])
    assert ended == ["/streamed", "app of streamed"]
    ended.clear()
    with shop.test_client() as client:
        response = client.get("/streamed")
    assert (has_request_context(), ended) == (False, [])
    assert response.text == "streamedmore"
    assert ended == ["/streamed", "app of streamed"]


@pytest.mark.parametrize("buffered", [False, True])
def test_middleware_finds_nothing(shop: App, ended: list[str], buffered: bool) -> None:
    """B28, B37: neither a LocalManager nor any other code around the App meets the kept context."""
    found: list[bool] = []
    inner = LocalManager([request_stack, app_stack]).make_middleware(shop.wsgi_app)

    def middleware(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = inner(environ, start_response)
        found.append(has_request_context())
        return body

    shop.wsgi_app = middleware  # type: ignore[method-assign]
    with shop.test_client() as client:
        client.get("/a", buffered=buffered)
        assert (request.path, found) == ("/a", [False])
    assert ended == ["/a", "app of a"]


def test_middleware_that_asks_twice(shop: App, ended: list[str]) -> None:
    """B37: the last answer is kept, and the one before it ends all the same."""
    answer = shop.wsgi_app

    def again(environ: Any, start_response: Any) -> Any:
        assert b"".join(answer({**environ, "PATH_INFO": "/first"}, start_response)) == b"first"
        return answer(environ, start_response)

    shop.wsgi_app = again  # type: ignore[method-assign]
    client = shop.test_client()
    with client:
        assert client.get("/second").text == "second"
        assert request.path == "/second"
        assert ended == ["/first", "app of first"]
    assert ended == ["/first", "app of first", "/second", "app of second"]


def test_a_view_that_pops_its_context(app: App) -> None:
    """B36, B37: there is nothing to keep then."""

    @app.get("/")
    def view() -> str:
        assert request_stack.top is not None
        request_stack.top.pop()
        return "alone"

    with app.test_client() as client:
        assert client.get("/").text == "alone"
        assert not has_request_context()


def call(app: App, **environ: Any) -> None:
    body, _status, _headers = run_wsgi_app(app, {**EnvironBuilder("/a").get_environ(), **environ})
    assert b"".join(body) == b"a"


@pytest.mark.parametrize(
    "send",
    [
        lambda app: app.test_client().get("/a"),
        lambda app: app.test_client().get("/a", headers={PRESERVE: "1", "Greenlane-Preserve": "1"}),
        lambda app: call(app, **{f"HTTP_{PRESERVE.upper()}": "1", "HTTP_GREENLANE_PRESERVE": "1"}),
        lambda app: call(app, QUERY_STRING=f"{PRESERVE}=1", HTTP_COOKIE=f"{PRESERVE}=1"),
    ],
)
def test_nothing_is_kept_without_a_block(shop: App, ended: list[str], send: Callable[[App], object]) -> None:
    """B37: not by a server, and not for anything that a client can send."""
    pushed = counts.request_pushed
    send(shop)
    assert (has_request_context(), has_app_context()) == (False, False)
    assert ended == ["/a", "app of a"]
    assert counts.request_pushed == pushed + 1


def test_the_view_does_not_see_how_it_is_kept(app: App) -> None:
    """B37: so an environment that is passed on keeps nothing of the inner request."""
    app.add_url_rule("/", "index", lambda: str(PRESERVE in request.environ))
    with app.test_client() as client:
        assert client.get("/").text == "False"


def test_the_kept_request_of_a_killed_greenlet(shop: App, ended: list[str]) -> None:
    """B37: a kill ends the block like any error does."""
    kept = Event()

    def work() -> None:
        with shop.test_client() as client:
            client.get("/a")
            kept.set()
            Event().wait()

    worker = gevent.spawn(work)
    assert kept.wait(10)
    worker.kill()
    assert ended == ["/a", "app of a"]
