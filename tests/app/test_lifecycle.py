"""The life of a request: whatever goes wrong in it, nothing stays for the next one.

The requests of a test run in one greenlet, like those of a keep-alive connection.
"""

import gc
import logging
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import gevent
import pytest
from gevent.event import Event
from werkzeug.test import EnvironBuilder, run_wsgi_app

from greenlane import (
    App,
    Request,
    Response,
    abort,
    g,
    has_app_context,
    has_request_context,
    request,
    session,
)
from greenlane.app.sessions import SecureCookieSessionInterface


def call(app: App, path: str = "/") -> tuple[str, str]:
    """Call ``app`` as a server does; return status and body."""
    body, status, _ = run_wsgi_app(app, EnvironBuilder(path).get_environ(), buffered=True)
    return status, b"".join(body).decode()


def test_call_goes_through_wsgi_app(app: App) -> None:
    """B30: middleware around wsgi_app takes effect, and app keeps its attributes."""
    app.add_url_rule("/", "index", lambda: request.environ["test.wrapped"])
    inner = app.wsgi_app

    def middleware(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["test.wrapped"] = "wrapped"
        return inner(environ, start_response)

    app.wsgi_app = middleware  # type: ignore[method-assign]
    assert call(app) == ("200 OK", "wrapped")
    assert "index" in app.view_functions


def test_the_life_of_a_request(app: App) -> None:
    """B31, B56: hooks, view, response, teardown, in this order."""
    log: list[str] = []
    app.before_request(lambda: log.append("before"))

    @app.after_request
    def after(response: Response) -> Response:
        log.append("after")
        return response

    app.teardown_request(lambda exc: log.append(f"teardown request {exc}"))
    app.teardown_appcontext(lambda exc: log.append(f"teardown app {exc}"))

    @app.get("/")
    def view() -> str:
        log.append("view")
        return "done"

    assert call(app) == ("200 OK", "done")
    assert log == ["before", "view", "after", "teardown request None", "teardown app None"]
    assert not has_app_context()


@pytest.mark.parametrize("kind", [gevent.GreenletExit, gevent.Timeout, KeyboardInterrupt, SystemExit])
def test_what_is_no_exception_passes_through_teardown(app: App, kind: type[BaseException]) -> None:
    """B31: also on BaseException the teardown functions run, with the error, and the lane is clean."""
    ended: list[BaseException | None] = []
    app.testing = False
    app.teardown_request(ended.append)
    app.teardown_appcontext(ended.append)

    @app.get("/")
    def view() -> str:
        raise kind

    with pytest.raises(kind) as caught:
        call(app)
    assert ended == [caught.value, caught.value]
    assert not has_request_context()
    assert not has_app_context()


def test_killed_between_write_and_read(app: App) -> None:
    """B31: a view killed at a switch leaves nothing to the connection's next request."""
    written = Event()
    ended: list[BaseException | None] = []
    app.teardown_request(ended.append)

    @app.get("/slow")
    def slow() -> str:
        g.mark = session["mark"] = "slow"
        written.set()
        Event().wait()
        return "never"

    @app.get("/next")
    def following() -> str:
        return str(("mark" in g, len(session)))

    def connection() -> tuple[str, str]:
        try:
            call(app, "/slow")
        except gevent.GreenletExit:
            return call(app, "/next")
        raise AssertionError("the view was not killed")

    worker = gevent.spawn(connection)
    assert written.wait(10)
    worker.kill()
    assert worker.value == ("200 OK", "(False, 0)")
    assert [type(error) for error in ended] == [gevent.GreenletExit, type(None)]


def test_a_timeout_around_the_switch(app: App) -> None:
    """B31: gevent.Timeout inside a view ends it like a kill does."""

    @app.get("/")
    def view() -> str:
        with gevent.Timeout(0.01):
            Event().wait()
        return "never"

    with pytest.raises(gevent.Timeout):
        call(app)
    assert not has_request_context()


def test_every_teardown_function_runs(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """B31, B36: the first error comes out when all have run; the others are logged."""
    ran: list[str] = []

    def failing(name: str) -> Callable[[BaseException | None], None]:
        def teardown(exc: BaseException | None) -> None:
            ran.append(name)
            raise ValueError(name)

        return teardown

    app.teardown_appcontext(failing("app"))
    app.teardown_request(failing("second"))
    app.teardown_request(failing("first"))
    app.add_url_rule("/", "index", lambda: "")
    with pytest.raises(ValueError, match=r"^first$"):
        call(app)
    assert ran == ["first", "second", "app"]
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["second", "app"]
    assert not has_app_context()


def test_a_teardown_error_does_not_hide_the_first(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """B31: an error that is on its way stays the one that arrives."""

    @app.teardown_request
    def teardown(exc: BaseException | None) -> None:
        raise ValueError("in teardown")

    @app.get("/")
    def view() -> str:
        raise KeyError("in view")

    with pytest.raises(KeyError, match="in view"):
        call(app)
    assert "in teardown" in caplog.text


def test_a_kill_in_teardown_overtakes(app: App) -> None:
    """B31: a greenlet killed while a teardown function waits does end, when all have run."""
    waiting = Event()
    ran: list[str] = []
    app.teardown_request(lambda exc: ran.append("last"))

    @app.teardown_request
    def teardown(exc: BaseException | None) -> None:
        waiting.set()
        Event().wait()

    @app.get("/")
    def view() -> str:
        raise KeyError("in view")

    worker = gevent.spawn(call, app)
    assert waiting.wait(10)
    worker.kill()
    assert ran == ["last"]
    assert isinstance(worker.value, gevent.GreenletExit)


class FailingSave(SecureCookieSessionInterface):
    """Opens sessions and cannot save them."""

    def save_session(self, *args: Any) -> None:
        raise ValueError("cannot save")


class FailingOpen(SecureCookieSessionInterface):
    """Cannot open sessions."""

    def open_session(self, *args: Any) -> None:
        raise ValueError("cannot open")


@pytest.mark.parametrize("broken", ["before", "after", "save", "open", "view", "response", "handler"])
def test_a_failure_anywhere_is_a_clean_500(app: App, broken: str, caplog: pytest.LogCaptureFixture) -> None:
    """B31: whichever part fails, the client gets a plain 500, the log all of it, the lane nothing."""
    app.testing = False
    app.debug = True
    ended: list[str] = []

    def fail(*args: Any) -> Any:
        raise ValueError("secret detail")

    app.add_url_rule("/", "index", {"view": fail, "response": object}.get(broken, lambda: "fine"))
    app.teardown_request(lambda exc: ended.append(type(exc).__name__))
    if broken == "before":
        app.before_request(fail)
    elif broken == "after":
        app.after_request(fail)
    elif broken == "handler":
        app.before_request(fail)
        app.register_error_handler(500, fail)
    elif broken in ("save", "open"):
        app.session_interface = FailingSave() if broken == "save" else FailingOpen()
    status, body = call(app)
    assert status == "500 INTERNAL SERVER ERROR"
    assert "Internal Server Error" in body
    assert "Traceback" not in body
    assert "secret detail" not in body
    assert "Exception on / [GET]" in caplog.text
    assert "Traceback" in caplog.text
    assert ended == ["TypeError" if broken == "response" else "ValueError"]
    assert not has_request_context()


def test_testing_raises_and_propagate_decides(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """B31: unhandled exceptions are raised when TESTING, unless PROPAGATE_EXCEPTIONS says otherwise."""

    @app.get("/")
    def view() -> str:
        raise ValueError("here")

    with pytest.raises(ValueError, match="here"):
        call(app)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    assert call(app)[0] == "500 INTERNAL SERVER ERROR"
    app.testing, app.config["PROPAGATE_EXCEPTIONS"] = False, True
    with pytest.raises(ValueError, match="here"):
        call(app)
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1


def test_a_request_class_that_fails(app: App) -> None:
    """B31: a request that cannot even be made leaves nothing."""

    class Broken(Request):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            raise ValueError("no request")

    app.request_class = Broken
    with pytest.raises(ValueError, match="no request"):
        call(app)
    assert not has_app_context()


def test_a_with_block_that_cannot_be_entered(app: App) -> None:
    """B31: `with` pops what its failed push has left."""
    app.session_interface = FailingOpen()
    with pytest.raises(ValueError, match="cannot open"), app.test_request_context():
        pass
    assert not has_request_context()


@pytest.mark.parametrize("path", ["/found", "/missing", "/folder", "/aborts", "/fails", "/is-handled"])
def test_a_request_is_freed_when_it_ends(path: str) -> None:
    """B31: without waiting for the garbage collector, also when it ends in an error."""
    app, kept = App("shop"), []

    class Watched(Request):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            kept.append(weakref.ref(self))

    app.request_class = Watched
    app.add_url_rule("/found", view_func=lambda: "here", endpoint="found")
    app.add_url_rule("/folder/", "folder", lambda: "here")
    app.add_url_rule("/aborts", "aborts", lambda: abort(403))
    app.add_url_rule("/fails", "fails", lambda: 1 // 0)
    app.add_url_rule("/is-handled", "is_handled", lambda: dict[str, str]()["missing"])
    app.register_error_handler(KeyError, lambda _error: "handled")
    app.logger.disabled = True  # pytest keeps what is logged, and with it the error
    gc.collect()
    gc.disable()
    try:
        call(app, path)
        assert [request() for request in kept] == [None]
    finally:
        gc.enable()
        app.logger.disabled = False
