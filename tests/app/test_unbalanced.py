"""A request that does not leave the stacks as it found them: what it left goes, and what it took is named.

The requests of a test run in one greenlet, like those of a keep-alive connection.
"""

from collections.abc import Callable

import pytest
from werkzeug.test import EnvironBuilder, run_wsgi_app

from greenlane import App, g, has_app_context, has_request_context, request
from greenlane.app import app_stack, request_stack


def call(app: App, path: str = "/") -> tuple[str, str]:
    """Call ``app`` as a server does; return status and body."""
    body, status, _ = run_wsgi_app(app, EnvironBuilder(path).get_environ(), buffered=True)
    return status, b"".join(body).decode()


def leave_app_context(app: App) -> None:
    app.app_context().push()


def leave_request_context(app: App) -> None:
    app.test_request_context("/left").push()


def leave_both(app: App) -> None:
    leave_request_context(app)
    leave_app_context(App("left"))


def push_own_context_again(app: App) -> None:
    assert app_stack.top is not None
    app_stack.top.push()


@pytest.mark.parametrize(
    "leave", [leave_app_context, leave_request_context, leave_both, push_own_context_again]
)
@pytest.mark.parametrize("where", ["view", "teardown_request", "teardown_appcontext"])
def test_what_is_left_on_top_is_taken_off(app: App, leave: Callable[[App], None], where: str) -> None:
    """B36: contexts that nobody popped are named, and gone before the connection's next request."""
    armed = True

    def once(exc: BaseException | None = None) -> None:
        nonlocal armed
        if armed and (where == "view" or request_stack.top is None or request.path == "/"):
            armed = False
            leave(app)

    if where != "view":
        getattr(app, where)(once)

    @app.get("/")
    def view() -> str:
        if where == "view":
            once()
        return ""

    app.add_url_rule("/next", "next", lambda: str("mark" in g))
    with pytest.raises(AssertionError, match=r"was left on top of <(RequestContext GET '/'|AppContext)"):
        call(app)
    assert not has_request_context()
    assert not has_app_context()
    assert call(app, "/next") == ("200 OK", "False")


def test_a_teardown_function_that_always_leaves_something(app: App) -> None:
    """B36: what teardown functions leave is taken off without their own teardown, so it ends."""
    app.teardown_request(lambda exc: leave_request_context(app))
    app.add_url_rule("/", "index", lambda: "")
    with pytest.raises(AssertionError, match=r"'/left'.* was left on top"):
        call(app)
    assert not has_app_context()


@pytest.mark.parametrize("registers", ["teardown_request", "teardown_appcontext"])
def test_what_a_teardown_function_leaves_is_not_what_the_next_one_sees(app: App, registers: str) -> None:
    """B36: to the next one, somebody else's g would look like nothing to give back."""
    seen: list[object] = []
    getattr(app, registers)(lambda exc: seen.append(g.get("mark")))
    getattr(app, registers)(lambda exc: app.app_context().push())

    @app.get("/")
    def view() -> str:
        g.mark = "its own"
        return ""

    with pytest.raises(AssertionError, match="was left on top"):
        call(app)
    assert seen == ["its own"]


def test_a_view_that_pops_its_own_context(app: App) -> None:
    """B36: its teardown functions run once, there and then."""
    ended: list[str] = []
    app.teardown_request(lambda exc: ended.append("request"))

    @app.get("/")
    def view() -> str:
        ctx = request_stack.top
        assert ctx is not None
        ctx.pop()
        return "alone"

    assert call(app) == ("200 OK", "alone")
    assert ended == ["request"]


def test_a_teardown_function_that_pops_its_context(app: App) -> None:
    """B36: a context that is ending already is not popped twice."""
    ended: list[str] = []

    @app.teardown_request
    def teardown(exc: BaseException | None) -> None:
        ended.append("request")
        assert request_stack.top is not None
        request_stack.top.pop()

    @app.teardown_appcontext
    def teardown_app(exc: BaseException | None) -> None:
        ended.append("app")
        assert app_stack.top is not None
        with pytest.raises(AssertionError, match=r"cannot be popped"):
            app_stack.top.pop()

    app.add_url_rule("/", "index", lambda: "fine")
    assert call(app) == ("200 OK", "fine")
    assert ended == ["request", "app"]


def test_a_stack_released_under_a_request(app: App) -> None:
    """B36: a LocalManager that releases the stack too early is named, and nothing else is popped."""
    ended: list[str] = []
    app.teardown_appcontext(lambda exc: ended.append("app"))

    @app.get("/")
    def view() -> str:
        request_stack.__release_local__()
        return ""

    with pytest.raises(AssertionError, match=r"GET '/'.* was gone before its end: on top is None"):
        call(app)
    assert ended == ["app"]
    assert not has_app_context()
