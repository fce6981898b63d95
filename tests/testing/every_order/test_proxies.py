"""Three requests of four steps each: whatever the order, each reads its own through the four proxies.

The number of orders is that of the ways to merge three rows of four steps: 12! / (4!)^3.
"""

from collections.abc import Callable
from functools import cache
from math import factorial
from typing import TYPE_CHECKING, Any

from greenlane.app import App, after_this_request, current_app, g, request, session
from greenlane.testing import interleave

if TYPE_CHECKING:
    from tests.testing.every_order.conftest import EveryOrder, Ledger, Pause

NAMES = ("ada", "bob", "cyd")
THREE_OF_FOUR = factorial(12) // factorial(4) ** 3


def test_there_are_34650_orders() -> None:
    assert THREE_OF_FOUR == 34_650


def test_g(app: App, ledger: "Ledger", every_order: "EveryOrder", pause: "Pause") -> None:
    """B41, B54: what a request writes into g at each step, it alone reads, at each later step."""

    @app.get("/<name>")
    def view(name: str) -> str:
        for step in range(4):
            assert g.get("step") == (step - 1 if step else None)
            g.name, g.step = name, step
            if step < 3:
                pause()
            assert (g.name, g.step, current_app.name) == (name, step, "shop")
        return f"{g.name}"

    visitors = [interleave.request(app, f"/{name}") for name in NAMES]

    def program() -> Any:
        ledger.clear()
        responses = yield visitors
        assert [response.text for response in responses] == list(NAMES)
        ledger.check()

    every_order.holds(program, orders=THREE_OF_FOUR)


def test_request(app: App, ledger: "Ledger", every_order: "EveryOrder", pause: "Pause") -> None:
    """B43, B44: args, headers, form and URL values, each of them first read at another step."""

    @app.post("/<name>")
    def view(name: str) -> str:
        proxy: Any = request
        mine = proxy._get_current_object()
        reads: list[Callable[[], object]] = [
            lambda: (request.path, request.view_args) == (f"/{name}", {"name": name}),
            lambda: request.args["name"] == name,
            lambda: request.headers["X-Name"] == name,
            lambda: request.form["name"] == name,
        ]
        for step in range(4):
            assert all(read() for read in reads[: step + 1])
            assert proxy._get_current_object() is mine
            if step < 3:
                pause()
        return f"{request.form['name']} {request.args.get('page', 1, type=int)}"

    visitors = [
        interleave.request(
            app,
            f"/{name}?name={name}&page={page}",
            method="POST",
            data={"name": name},
            headers={"X-Name": name},
        )
        for page, name in enumerate(NAMES)
    ]

    def program() -> Any:
        ledger.clear()
        responses = yield visitors
        assert [response.text for response in responses] == ["ada 0", "bob 1", "cyd 2"]
        ledger.check()

    every_order.holds(program, orders=THREE_OF_FOUR)


def test_session(app: App, ledger: "Ledger", every_order: "EveryOrder", pause: "Pause") -> None:
    """B42: each client logs in and comes back with its signed cookie: its own session, each time."""

    @app.get("/login/<name>")
    def login(name: str) -> str:
        assert not session
        session["name"] = name
        pause()
        return str(session["name"])

    @app.get("/back/<name>")
    def back(name: str) -> str:
        visits = 0
        for _step in range(2):
            assert (session["name"], session.get("visits", 0)) == (name, visits)
            session["visits"] = visits = visits + 1
            pause()
        return f"{session['name']} {session['visits']}"

    logins = [interleave.request(app, f"/login/{name}") for name in NAMES]

    @cache  # making a request takes longer than answering it
    def back_with(cookie: str, name: str) -> Callable[[], Any]:
        return interleave.request(app, f"/back/{name}", headers={"Cookie": cookie})

    def client(number: int) -> tuple[str, str]:
        first = logins[number]()
        cookie = first.headers["Set-Cookie"].partition(";")[0]
        second = back_with(cookie, NAMES[number])()
        assert first.headers["Vary"] == second.headers["Vary"] == "Cookie"
        return first.text, second.text

    def program() -> Any:
        ledger.clear()
        texts = yield [lambda number=number: client(number) for number in range(3)]
        assert texts == [(name, f"{name} 2") for name in NAMES]
        ledger.check()

    every_order.holds(program, orders=THREE_OF_FOUR)


def test_nested_contexts(
    app: App, make_app: Callable[[str], App], ledger: "Ledger", every_order: "EveryOrder", pause: "Pause"
) -> None:
    """B35, B46, B47: inside a view, a request to the same App, one to another App, and a bare context."""
    other = make_app("second")

    @app.get("/inner/<name>")
    @other.get("/inner/<name>")
    def inner(name: str) -> str:
        assert "name" not in g
        g.name = f"inner {name}"
        pause()
        return f"{current_app.name} {g.name} {request.path}"

    @app.get("/<name>")
    def outer(name: str) -> str:
        g.name = name
        pause()
        if name == "cyd":
            with other.app_context():
                assert "name" not in g
                g.name = "context"
                pause()
                text = f"{current_app.name} {g.name} {request.path}"
        else:
            text = interleave.request(app if name == "ada" else other, f"/inner/{name}")().text
        assert (current_app.name, g.name, request.path) == ("shop", name, f"/{name}")
        pause()
        assert (current_app.name, g.name, request.path) == ("shop", name, f"/{name}")
        return text

    visitors = [interleave.request(app, f"/{name}") for name in NAMES]

    def program() -> Any:
        ledger.clear()
        responses = yield visitors
        assert [response.text for response in responses] == [
            "shop inner ada /inner/ada",
            "second inner bob /inner/bob",
            "second context /cyd",
        ]
        ledger.check()
        assert sorted(ledger.ended) == ["/ada", "/bob", "/cyd", "/inner/ada"]

    every_order.holds(program, orders=THREE_OF_FOUR)


def test_errors(app: App, ledger: "Ledger", every_order: "EveryOrder", pause: "Pause") -> None:
    """B31, B36, B38, B56: a view fails, an error handler waits, and so does every hook; each sees its own."""
    app.config["PROPAGATE_EXCEPTIONS"] = False
    seen: list[tuple[str, str]] = []

    class BrokenError(Exception):
        pass

    def own() -> str:
        assert g.name == (request.view_args or {})["name"]
        return str(g.name)

    @app.before_request
    def remember() -> None:
        g.name = name = request.path[1:]

        @after_this_request
        def sign_own(response: Any) -> Any:
            assert name == own()
            response.headers["X-Once"] = response.headers.get("X-Once", "") + name
            return response

    @app.get("/<name>")
    def view(name: str) -> str:
        if name == "ada":
            raise BrokenError(name)
        if name == "bob":
            raise ZeroDivisionError(name)
        pause()
        return own()

    @app.errorhandler(BrokenError)
    def broken(error: Exception) -> tuple[str, int]:
        pause()
        assert str(error) == own()
        return f"broken {own()}", 409

    @app.errorhandler(500)
    def failed(error: Any) -> tuple[str, int]:
        pause()
        assert str(error.original_exception) == own()
        return f"failed {own()}", 500

    @app.after_request
    def sign(response: Any) -> Any:
        pause()
        response.headers["X-Name"] = own()
        return response

    @app.teardown_request
    def end(error: BaseException | None) -> None:
        pause()
        seen.append((own(), type(error).__name__))

    visitors = [interleave.request(app, f"/{name}") for name in NAMES]

    def program() -> Any:
        ledger.clear()
        seen.clear()
        responses = yield visitors
        told = [(response.status_code, response.text) for response in responses]
        assert told == [(409, "broken ada"), (500, "failed bob"), (200, "cyd")]
        for header in ("X-Name", "X-Once"):
            assert [response.headers[header] for response in responses] == list(NAMES)
        assert sorted(seen) == [("ada", "NoneType"), ("bob", "ZeroDivisionError"), ("cyd", "NoneType")]
        ledger.check()

    every_order.holds(program, orders=THREE_OF_FOUR)
