"""Streamed bodies that push contexts themselves: nothing of theirs meets the next request."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder

from greenlane import App, Response, g, has_app_context, has_request_context, request
from greenlane.app import app_stack


def call(app: App, path: str = "/") -> Iterable[bytes]:
    """Call ``app`` as a server does, and return the body unread."""
    written: list[bytes] = []
    return app(EnvironBuilder(path).get_environ(), lambda *head: written.append)


def close(body: Iterable[bytes]) -> None:
    body.close()  # type: ignore[attr-defined]


def clean() -> bool:
    return not has_request_context() and not has_app_context()


def leave_app_context(app: App) -> None:
    app.app_context().push()
    g.mark = "left"


def leave_request_context(app: App) -> None:
    app.test_request_context("/left").push()


def leave_several(app: App) -> None:
    leave_app_context(app)
    leave_request_context(App("other"))
    leave_request_context(app)


leaving = pytest.mark.parametrize("leave", [leave_app_context, leave_request_context, leave_several])


@leaving
@pytest.mark.parametrize("when", ["first", "end", "close"])
def test_what_a_body_leaves_is_taken_off(app: App, leave: Callable[[App], None], when: str) -> None:
    """B36, B57: named when the body is closed, and gone before the connection's next request."""

    @app.get("/")
    def view() -> Iterator[str]:
        def generate() -> Iterator[str]:
            try:
                if when == "first":
                    leave(app)
                yield "a"
                yield "b"
                if when == "end":
                    leave(app)
            finally:
                if when == "close":
                    leave(app)

        return generate()

    app.add_url_rule("/next", "next", lambda: str("mark" in g))
    body = iter(call(app))
    assert clean()
    assert next(body) == b"a"
    if when == "end":
        assert list(body) == [b"b"]
    with pytest.raises(AssertionError, match=r"Context .* was left behind by a streamed body"):
        close(body)
    assert clean()
    assert b"".join(call(app, "/next")) == b"False"


def test_a_block_around_a_yield(app: App) -> None:
    """B57: a plain generator may keep a context of its own pushed until it is closed."""
    ended: list[str] = []
    app.teardown_appcontext(lambda exc: ended.append(g.get("mark", "view")))

    @app.get("/")
    def view() -> Iterator[str]:
        def generate() -> Iterator[str]:
            with app.app_context():
                g.mark = "body"
                for _ in range(3):
                    yield g.mark

        return generate()

    body = iter(call(app))
    assert [next(body), next(body)] == [b"body", b"body"]
    close(body)
    assert (ended, clean()) == (["view", "body"], True)


def test_what_others_pushed_stays(app: App) -> None:
    """B57: the body is read and closed where other contexts have been pushed meanwhile."""
    app.add_url_rule("/", "index", lambda: iter(["a", "b"]))
    body = iter(call(app))
    with app.test_request_context("/outer"), App("second").app_context() as inner:
        assert next(body) == b"a"
        close(body)
        assert app_stack.top is inner
        assert request.path == "/outer"


def test_an_error_in_the_body_comes_first(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """B57: and what was left is logged."""

    @app.get("/")
    def view() -> Iterator[str]:
        def generate() -> Iterator[str]:
            try:
                leave_app_context(app)
                yield "a"
            finally:
                raise ValueError("in close")

        return generate()

    body = iter(call(app))
    next(body)
    with pytest.raises(ValueError, match="in close"):
        close(body)
    assert clean()
    assert "was left behind by a streamed body" in caplog.text


def test_only_streams_are_watched(app: App) -> None:
    """B57: a body that is at hand is returned as it is, and so is a file."""
    kinds: dict[str, Any] = {
        "/text": lambda: "x",
        "/list": lambda: Response(["x", "y"]),
        "/file": lambda: Response(iter([b"x"]), direct_passthrough=True),
        "/stream": lambda: iter(["x"]),
    }
    for path, view in kinds.items():
        app.add_url_rule(path, path[1:], view)
    watched = {path for path in kinds if type(call(app, path)).__name__ == "TidyBody"}
    assert watched == {"/stream"}
