"""Connections: requests one after another in one greenlet, among other greenlets that do the same."""

from collections.abc import Callable
from math import factorial
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent

from greenlane.app import App, app_stack, g, request, request_stack, session
from greenlane.context import Local, LocalManager
from greenlane.testing import interleave

if TYPE_CHECKING:
    from tests.testing.every_order.conftest import EveryOrder, Ledger, Pause

# Two connections of four steps, in two requests, and one request of three steps.
CONNECTIONS = factorial(11) // (factorial(4) ** 2 * factorial(3))


def test_the_next_request_of_a_connection_finds_nothing(
    app: App, ledger: "Ledger", every_order: "EveryOrder", pause: "Pause"
) -> None:
    """B41, B36: neither after an answer nor after an error that nobody handled."""
    greenlets: dict[str, int] = {}

    @app.get("/<name>/<int:pauses>")
    def view(name: str, pauses: int) -> str:
        assert "name" not in g
        assert "name" not in session
        greenlets[request.path] = id(getcurrent())
        g.name = session["name"] = name
        for _step in range(pauses):
            pause()
            assert g.name == session["name"] == name == request.path.split("/")[1]
        if name == "failing":
            raise ZeroDivisionError
        return name

    paths = (("/ada/2", "/next/1"), ("/failing/1", "/after/2"), ("/bob/2",))
    visits = [[interleave.request(app, path) for path in row] for row in paths]

    def connection(requests: list[Callable[[], Any]]) -> list[str]:
        texts = []
        for visit in requests:
            try:
                texts.append(visit().text)
            except ZeroDivisionError:
                texts.append("failed")
            for stack in (request_stack, app_stack):
                assert getcurrent() not in stack.__storage__
        return texts

    def program() -> Any:
        ledger.clear()
        greenlets.clear()
        texts = yield [lambda row=row: connection(row) for row in visits]
        assert texts == [["ada", "next"], ["failed", "after"], ["bob"]]
        assert greenlets["/ada/2"] == greenlets["/next/1"]  # the lane was really the same
        ledger.check()

    every_order.holds(program, orders=CONNECTIONS)


def test_a_context_that_a_view_leaves_behind(
    app: App, ledger: "Ledger", every_order: "EveryOrder", pause: "Pause"
) -> None:
    """B36: what a view forgets to pop is taken off with an error, and the next request finds nothing."""

    @app.get("/forgetful")
    def forgetful() -> str:
        app.app_context().push()
        g.path = "left behind"
        pause()
        return str(g.path)

    @app.get("/<name>")
    def view(name: str) -> str:
        g.name = name
        pause()
        assert len(app_stack.contents()) == 1
        return str(g.name)

    forgets, ada, bob = (interleave.request(app, f"/{name}") for name in ("forgetful", "ada", "bob"))

    def connection() -> tuple[str, str]:
        try:
            text = forgets().text
        except AssertionError as error:
            text = "left" if "was left on top" in str(error) else str(error)
        return text, ada().text

    def program() -> Any:
        texts = yield [connection, bob, bob]
        assert texts[0] == ("left", "ada")
        assert texts[1].text == texts[2].text == "bob"

    every_order.holds(program)


def test_a_local_with_a_manager(every_order: "EveryOrder", pause: "Pause") -> None:
    """B28, B29: a Local in a bare WSGI application is released when the response is closed, or never came."""
    local = Local()

    def application(environ: Any, start_response: Any) -> list[bytes]:
        assert not hasattr(local, "path")
        local.path = environ["PATH_INFO"]
        pause()
        if local.path == "/failing":
            raise ZeroDivisionError
        start_response("200 OK", [])
        return [local.path.encode()]

    managed = LocalManager([local]).make_middleware(application)

    def slowly(environ: Any, start_response: Any) -> Any:
        """Wait between the answer and its end, as a server does that waits for a slow client."""
        body = managed(environ, start_response)
        pause()
        assert local.path == environ["PATH_INFO"]
        return body

    visits = {name: interleave.request(slowly, f"/{name}") for name in ("ada", "bob", "cyd", "failing")}

    def connection(first: str, second: str) -> str:
        try:
            visits[first]()
        except ZeroDivisionError:
            assert first == "failing"
        return visits[second]().text

    def program() -> Any:
        texts = yield [lambda: connection("failing", "ada"), lambda: connection("bob", "cyd"), visits["ada"]]
        assert texts[:2] == ["/ada", "/cyd"]
        assert not local.__storage__

    every_order.holds(program)
