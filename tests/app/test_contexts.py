"""The contexts: what is current from push to pop, and what happens out of order."""

from collections.abc import Callable
from functools import partial
from typing import Any

import gevent
import pytest
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import RequestRedirect

from greenlane import (
    App,
    Response,
    current_app,
    g,
    get_ident,
    has_app_context,
    has_request_context,
    request,
    session,
)
from greenlane.app import app_stack, request_stack
from greenlane.app.globals import Globals


def test_two_stacks(app: App) -> None:
    """B26: an application context alone binds current_app and g; a request binds all four."""
    with app.app_context():
        assert current_app.name == "shop"
        g.x = 1
        assert not has_request_context()
        with pytest.raises(RuntimeError):
            request.path  # noqa: B018
    with app.test_request_context("/here"):
        assert (request.path, current_app.name, "x" in g, len(session)) == ("/here", "shop", False, 0)
    assert not has_app_context()


@pytest.mark.parametrize(
    ("use", "first_line", "advice"),
    [
        (lambda: request.path, "Working outside of request context.", "app.test_request_context("),
        (lambda: session["x"], "Working outside of request context.", "app.test_request_context("),
        (lambda: current_app.name, "Working outside of application context.", "app.app_context()"),
        (lambda: g.x, "Working outside of application context.", "app.app_context()"),
    ],
)
def test_outside_of_a_context(use: Callable[[], Any], first_line: str, advice: str) -> None:
    """B27: the first line says what is missing, the rest what to do."""
    with pytest.raises(RuntimeError) as caught:
        use()
    lines = str(caught.value).splitlines()
    assert lines[0] == first_line
    assert advice in "\n".join(lines[1:])


def test_storage_shape(app: App) -> None:
    """B13: one entry under the ident while a request runs, none after."""
    with app.test_request_context() as ctx:
        assert dict(request_stack.__storage__) == {get_ident(): {"stack": [ctx]}}
        assert dict(app_stack.__storage__) == {get_ident(): {"stack": ctx.implicit_app_contexts}}
    assert dict(request_stack.__storage__) == dict(app_stack.__storage__) == {}


def test_request_context_fields(app: App) -> None:
    """B32: what a request context holds."""
    with app.test_request_context("/x") as ctx:
        assert ctx.app is app
        assert ctx.request.path == "/x"
        assert ctx.url_adapter is not None
        assert ctx.session == {}
        assert ctx.flashes is None
        assert ctx.after_request_functions == []
        assert ctx.preserved is False
        assert ctx.implicit_app_contexts == [app_stack.top]


def test_after_request_functions_of_one_request(app: App) -> None:
    """B32: the context's own functions run in order, before the App's, for this request only."""

    def add_header(name: str, response: Response) -> Response:
        response.headers.add("X-Order", name)
        return response

    app.after_request(partial(add_header, "app"))

    @app.get("/")
    def view() -> str:
        ctx = request_stack.top
        assert ctx is not None
        for name in "first", "second":
            ctx.after_request_functions.append(partial(add_header, name))
        return ""

    client = app.test_client()
    for _ in range(2):
        assert client.get("/").headers.getlist("X-Order") == ["first", "second", "app"]


def test_match_request_sets_rule_and_arguments(app: App) -> None:
    """B33: a URL that matches gives rule, endpoint and view arguments."""
    app.add_url_rule("/page/<int:number>", "page", lambda number: "")
    with app.test_request_context("/page/7"):
        assert request.url_rule is not None
        assert request.url_rule.rule == "/page/<int:number>"
        assert (request.endpoint, request.view_args) == ("page", {"number": 7})


@pytest.mark.parametrize(
    ("path", "method", "error"),
    [("/none", "GET", NotFound), ("/dir/", "POST", MethodNotAllowed), ("/dir", "GET", RequestRedirect)],
)
def test_match_request_keeps_the_error_for_dispatch(
    app: App, path: str, method: str, error: type[Exception]
) -> None:
    """B33: 404, 405 and redirects are stored at the push, and raised only at dispatch."""
    app.add_url_rule("/dir/", "directory", lambda: "")
    with app.test_request_context(path, method=method) as ctx:
        assert isinstance(request.routing_exception, error)
        assert request.url_rule is None
        with pytest.raises(error):
            app.dispatch_request(ctx)


def test_push_ends_a_preserved_context(app: App) -> None:
    """B34: a context that was kept does not survive the next push."""
    kept = app.test_request_context("/kept")
    kept.push()
    kept.preserved = True
    with app.test_request_context("/next") as ctx:
        assert dict(request_stack.__storage__) == {get_ident(): {"stack": [ctx]}}
        assert dict(app_stack.__storage__) == {get_ident(): {"stack": ctx.implicit_app_contexts}}
    assert not has_request_context()


def test_push_brings_an_application_context(app: App) -> None:
    """B35: when there is none, another App's, or one that a live request uses."""
    other = App("other")
    with app.app_context(), other.test_request_context() as foreign:
        assert foreign.implicit_app_contexts == [app_stack.top]
        assert current_app.name == "other"
    with app.app_context() as free:
        with app.test_request_context() as first:
            assert first.implicit_app_contexts == [None]
            assert app_stack.top is free
            with app.test_request_context() as nested, app.test_request_context() as deeper:
                used = [free, *nested.implicit_app_contexts, *deeper.implicit_app_contexts]
                assert len({id(ctx) for ctx in used}) == 3
                assert app_stack.top is used[-1]
            with other.test_request_context() as foreign:
                assert foreign.implicit_app_contexts == [app_stack.top]
                assert current_app.name == "other"
            assert app_stack.top is free
        with app.test_request_context() as later:
            assert later.implicit_app_contexts == [None]


def test_pushing_a_request_context_again_shares_its_g(app: App) -> None:
    """B35: the same request pushed twice is one request."""
    ended: list[str] = []
    app.teardown_request(lambda exc: ended.append("request"))
    with app.test_request_context() as ctx:
        g.x = 1
        with ctx:
            assert g.x == 1
            assert ctx.implicit_app_contexts == [app_stack.top, None]
        assert ended == []
        assert g.x == 1
    assert ended == ["request"]


def test_pop_order(app: App) -> None:
    """B36: teardown functions, request stack, then the implicit application context."""
    order: list[tuple[str, bool, bool]] = []
    app.teardown_request(lambda exc: order.append(("request", has_request_context(), has_app_context())))
    app.teardown_appcontext(lambda exc: order.append(("app", has_request_context(), has_app_context())))
    ctx = app.test_request_context()
    ctx.push()
    ctx.pop()
    assert order == [("request", True, True), ("app", False, True)]
    assert not has_app_context()


def test_popping_a_request_context_out_of_order(app: App) -> None:
    """B36: it raises, names both, and changes nothing."""
    outer, inner = app.test_request_context("/outer"), app.test_request_context("/inner")
    with outer, inner:
        with pytest.raises(AssertionError, match=r"GET '/outer'.* cannot be popped: .*GET '/inner'"):
            outer.pop()
        assert request.path == "/inner"
    with pytest.raises(AssertionError, match=r"GET '/outer'.* cannot be popped: .* None"):
        outer.pop()


def test_popping_an_application_context_out_of_order(app: App) -> None:
    """B36: neither from under another one, nor from under a request that uses it."""
    outer, inner = app.app_context(), App("other").app_context()
    with outer, inner, pytest.raises(AssertionError, match=r"of 'shop' .* cannot be popped: .*of 'other'"):
        outer.pop()
    with outer, app.test_request_context("/r") as ctx:
        with pytest.raises(AssertionError, match=r"AppContext of 'shop' .* cannot .*GET '/r'.* stands on it"):
            outer.pop()
        with (
            inner,
            pytest.raises(AssertionError, match=r"GET '/r'.* cannot .*AppContext of 'other' .* after it"),
        ):
            ctx.pop()
    assert not has_app_context()


def test_each_app_counts_its_own_contexts(app: App) -> None:
    other = App("other")
    with other.app_context(), app.test_request_context("/"):
        assert (app.counts.request_pushed, app.counts.app_pushed) == (1, 1)
        assert (other.counts.request_pushed, other.counts.app_pushed) == (0, 1)
        assert (app.counts.request_popped, other.counts.app_popped) == (0, 0)
    assert (app.counts.request_popped, app.counts.app_popped) == (1, 1)
    assert (other.counts.request_popped, other.counts.app_popped) == (0, 1)


def test_application_context_counts_its_pushes(app: App) -> None:
    """B39: pushed twice, its teardown functions run at the second pop."""
    ended: list[BaseException | None] = []
    app.teardown_appcontext(ended.append)
    with app.app_context() as ctx:
        g.x = 1
        with ctx:
            assert g.x == 1
        assert ended == []
    assert ended == [None]


def test_nested_application_contexts() -> None:
    """B47: DEBUG False, True, False at stack depth 1, 2, 1; nothing stays."""
    first, second = App("first"), App("second")
    second.debug = True
    seen = []

    def look() -> None:
        (entry,) = dict(app_stack.__storage__).values()
        seen.append((current_app.config["DEBUG"], len(entry["stack"])))

    with first.app_context():
        look()
        with second.app_context():
            look()
        look()
    assert seen == [(False, 1), (True, 2), (False, 1)]
    assert dict(app_stack.__storage__) == {}


def test_contexts_from_an_environ(app: App) -> None:
    """B48: test_request_context and request_context bind the request, until the block ends."""
    with app.test_request_context("/a?b=c", base_url="http://example.org/base"):
        assert request.url == "http://example.org/base/a?b=c"
        environ = request.environ
    with app.request_context(environ):
        assert request.url == "http://example.org/base/a?b=c"
    with pytest.raises(RuntimeError):
        request.url  # noqa: B018


def test_g_namespace(app: App) -> None:
    """B40: get, pop, setdefault, in, iteration, repr."""
    with app.app_context():
        g.x = 1
        assert (g.get("x"), g.get("y"), g.get("y", 2)) == (1, None, 2)
        assert g.setdefault("z", 3) == g.z == 3
        assert "x" in g
        assert list(g) == ["x", "z"]
        assert g.pop("x") == 1
        assert g.pop("x", None) is None
        with pytest.raises(KeyError):
            g.pop("x")
        with pytest.raises(AttributeError, match="'x'"):
            g.x  # noqa: B018
        del g.z
        with pytest.raises(AttributeError, match="z"):
            del g.z
        assert list(g) == []
        assert repr(g) == "<greenlane.g of 'shop'>"
    assert repr(Globals("other")) == "<greenlane.g of 'other'>"


def test_a_killed_greenlet_leaves_no_context(app: App) -> None:
    """B31: contexts pushed by `with` end also when their greenlet is killed."""
    started = gevent.event.Event()
    ended: list[BaseException | None] = []
    app.teardown_appcontext(ended.append)

    def work() -> None:
        with app.app_context():
            started.set()
            gevent.event.Event().wait()

    worker = gevent.spawn(work)
    assert started.wait(10)
    worker.kill()
    assert [type(error) for error in ended] == [gevent.GreenletExit]
