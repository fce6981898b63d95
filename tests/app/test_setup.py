"""What is registered before the first request: routes, hooks, error handlers, settings."""

from typing import Any

import pytest
from werkzeug.exceptions import HTTPException, InternalServerError, NotFound

from greenlane import App, Response, abort, current_app, g, request
from greenlane.app import Config
from greenlane.app.config import DEFAULTS


def text(app: App, path: str, method: str = "GET") -> str:
    return app.test_client().open(path, method=method).text


def test_routes(app: App) -> None:
    """B33: decorator and add_url_rule, endpoints, defaults, converters."""

    @app.route("/pages/", defaults={"number": 1})
    @app.route("/pages/<int:number>")
    def page(number: int) -> str:
        return f"{request.endpoint} {number}"

    @app.route("/named", endpoint="other")
    def named() -> str:
        return request.endpoint or ""

    app.add_url_rule("/later", "later")
    app.view_functions["later"] = lambda: "later"
    assert (text(app, "/pages/"), text(app, "/pages/7")) == ("page 1", "page 7")
    assert (text(app, "/named"), text(app, "/later")) == ("other", "later")
    assert set(app.view_functions) == {"page", "other", "later"}


def test_methods(app: App) -> None:
    """B33: shortcuts for methods, HEAD with GET, OPTIONS by itself, 405 with Allow."""
    for shortcut in (app.get, app.post, app.put, app.patch, app.delete):
        shortcut("/thing", endpoint=shortcut.__name__)(lambda: request.method)
    client = app.test_client()
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        assert text(app, "/thing", method) == method
    assert (client.head("/thing").status_code, client.head("/thing").data) == (200, b"")
    options = client.options("/thing")
    assert options.allow.as_set() == {"get", "head", "options", "post", "put", "patch", "delete"}
    app.got_first_request = False
    app.get("/only")(lambda: "")
    refused = client.post("/only")
    assert (refused.status_code, refused.allow.as_set()) == (405, {"get", "head", "options"})


def test_options_of_ones_own(app: App) -> None:
    """B33: a view that lists OPTIONS answers it itself."""
    app.add_url_rule("/", "index", lambda: f"mine: {request.method}", methods=["GET", "OPTIONS"])
    assert text(app, "/", "OPTIONS") == "mine: OPTIONS"


def test_options_by_demand(app: App) -> None:
    """B33: provide_automatic_options says who answers OPTIONS, if anybody."""
    app.add_url_rule("/no", "no", lambda: "", provide_automatic_options=False)
    app.add_url_rule("/yes", "yes", lambda: "mine", provide_automatic_options=True, methods=["OPTIONS"])
    client = app.test_client()
    assert (client.options("/no").status_code, client.options("/no").allow.as_set()) == (405, {"get", "head"})
    assert (client.options("/yes").text, client.options("/yes").allow.as_set()) == ("", {"options"})


def test_one_method_of_an_object_for_two_rules(app: App) -> None:
    """B33: a bound method is the same view each time that it is taken from its object."""

    class Pages:
        def page(self, number: int = 1) -> str:
            return str(number)

    pages = Pages()
    app.add_url_rule("/", view_func=pages.page)
    app.add_url_rule("/<int:number>", view_func=pages.page)
    assert (text(app, "/"), text(app, "/7")) == ("1", "7")


def test_slashes(app: App) -> None:
    """B33: a missing slash is redirected, unless the rule says not to mind."""
    app.add_url_rule("/dir/", "directory", lambda: "dir")
    app.add_url_rule("/loose/", "loose", lambda: "loose", strict_slashes=False)
    client = app.test_client()
    assert (client.get("/dir?a=1").status_code, client.get("/dir?a=1").location) == (
        308,
        "http://localhost/dir/?a=1",
    )
    assert client.get("/dir", follow_redirects=True).text == "dir"
    assert client.get("/loose").text == "loose"


def test_mistakes_in_routes(app: App) -> None:
    """B33: each is refused where it is made, with what to do."""
    app.add_url_rule("/a", "same", abs)
    with pytest.raises(AssertionError, match="'same' belongs to another view function"):
        app.add_url_rule("/b", "same", all)
    app.add_url_rule("/c", "same", abs)
    assert [rule.rule for rule in app.url_map.iter_rules("same")] == ["/a", "/c"]
    with pytest.raises(TypeError, match="list of names"):
        app.route("/d", methods="GET")(abs)
    with pytest.raises(TypeError, match="endpoint or a view_func"):
        app.add_url_rule("/e")


def test_registering_after_the_first_request(app: App) -> None:
    """B56: routes, hooks and handlers that come too late are refused by name."""
    app.test_client().get("/")
    too_late: list[tuple[Any, tuple[Any, ...], str]] = [
        (app.add_url_rule, ("/", "index", abs), "add_url_rule"),
        (app.route("/"), (abs,), "add_url_rule"),
        (app.before_request, (abs,), "before_request"),
        (app.after_request, (abs,), "after_request"),
        (app.teardown_request, (abs,), "teardown_request"),
        (app.teardown_appcontext, (abs,), "teardown_appcontext"),
        (app.errorhandler(404), (abs,), "register_error_handler"),
    ]
    for register, arguments, name in too_late:
        with pytest.raises(AssertionError, match=rf"{name}\(\) came too late: 'shop' has already handled"):
            register(*arguments)


def test_hook_order(app: App) -> None:
    """B56: before in order, after and teardown in reverse; each sees its own g."""
    for name in ("1", "2"):

        def before(name: str = name) -> None:
            g.log = [*g.get("log", []), f"before {name}"]

        def after(response: Response, name: str = name) -> Response:
            response.headers.add("X-Log", f"after {name}")
            return response

        def teardown(exc: BaseException | None, name: str = name) -> None:
            ended.append((name, current_app.name, exc))

        app.before_request(before)
        app.after_request(after)
        app.teardown_request(teardown)
        app.teardown_appcontext(teardown)
    ended: list[tuple[str, str, BaseException | None]] = []
    app.add_url_rule("/", "index", lambda: list(g.log))
    reply = app.test_client().get("/")
    assert reply.json == ["before 1", "before 2"]
    assert reply.headers.getlist("X-Log") == ["after 2", "after 1"]
    assert [name for name, _, _ in ended] == ["2", "1", "2", "1"]


def test_before_request_answers(app: App) -> None:
    """B56: what before_request returns is the answer; the view is not called, also for a 404."""
    app.before_request(lambda: ("closed", 503) if "closed" in request.args else None)
    app.add_url_rule("/", "index", lambda: "open")
    assert text(app, "/") == "open"
    assert text(app, "/?closed") == "closed"
    assert app.test_client().get("/nothing?closed").status_code == 503


def test_after_request_replaces(app: App) -> None:
    """B56: after_request may answer with another response, for errors too."""
    app.after_request(lambda response: Response(f"was {response.status_code}"))
    assert text(app, "/nothing") == "was 404"


def test_error_handlers_by_code_and_class(app: App) -> None:
    """B56: the code first, then the nearest class; what no handler knows stays as it is."""

    class BaseError(Exception):
        pass

    class DerivedError(BaseError):
        pass

    class Teapot(HTTPException):
        code = 418

    def fail(error: Exception) -> Any:
        raise error

    errors = {
        "base": BaseError("b"),
        "derived": DerivedError("d"),
        "teapot": Teapot("t"),
        "missing": NotFound(),
    }
    for name, error in errors.items():
        app.add_url_rule(f"/{name}", name, lambda error=error: fail(error))
    app.errorhandler(BaseError)(lambda error: f"base {error}")
    app.errorhandler(404)(lambda error: ("by code", error.code))
    app.register_error_handler(HTTPException, lambda error: (f"http {error.code}", error.code))
    replies = {name: text(app, f"/{name}") for name in errors}
    assert replies == {"base": "base b", "derived": "base d", "teapot": "http 418", "missing": "by code"}
    assert text(app, "/base", "POST") == "http 405"


def test_the_handler_of_500_gets_the_original(app: App) -> None:
    """B56: an error that nobody handles comes as an InternalServerError that holds it."""
    app.testing = False
    seen: list[Any] = []

    @app.get("/")
    def view() -> str:
        raise ValueError("mine")

    @app.errorhandler(500)
    def handle(error: InternalServerError) -> Any:
        seen.append(error.original_exception)
        return "sorry", 500

    reply = app.test_client().get("/")
    assert (reply.status_code, reply.text) == (500, "sorry")
    assert [str(error) for error in seen] == ["mine"]


def test_what_is_not_an_error(app: App) -> None:
    """B56: a handler of every HTTP error sees neither redirects to the canonical URL nor abort(response)."""
    app.register_error_handler(HTTPException, lambda error: "caught")
    app.add_url_rule("/dir/", "directory", lambda: "dir")
    app.add_url_rule("/enough", "enough", lambda: abort(Response("enough", 202)))
    assert app.test_client().get("/dir").status_code == 308
    assert text(app, "/enough") == "enough"
    assert text(app, "/nothing") == "caught"


@pytest.mark.parametrize(
    ("key", "error"), [(299, ValueError), ("404", TypeError), (BaseException, TypeError)]
)
def test_mistakes_in_error_handlers(app: App, key: Any, error: type[Exception]) -> None:
    """B56: a handler for what is neither a code nor an exception is refused."""
    with pytest.raises(error):
        app.register_error_handler(key, abs)


def test_settings_with_attributes(app: App) -> None:
    """B56: testing, debug and the secret key are settings."""
    assert (app.testing, app.debug, app.secret_key) == (True, False, "for tests only")
    app.testing, app.debug, app.secret_key = False, True, b"x"
    assert (app.config["TESTING"], app.config["DEBUG"], app.config["SECRET_KEY"]) == (False, True, b"x")
    app.config["PERMANENT_SESSION_LIFETIME"] = 60
    assert app.permanent_session_lifetime.total_seconds() == 60
    assert repr(app) == "<App 'shop'>"
    assert app.logger.name == "shop"


class Settings:
    """Settings as attributes."""

    DEBUG = True
    passed_over = 1


def test_filling_a_config(monkeypatch: pytest.MonkeyPatch) -> None:
    """B56: from a mapping, an object or its name, and the environment; only names in capitals."""
    config = Config(DEFAULTS)
    config.from_mapping({"A": 1, "b": 2}, C=3)
    config.from_object(Settings)
    assert (config["A"], config["C"], config["DEBUG"]) == (1, 3, True)
    assert not {"b", "passed_over"} & set(config)
    config.from_object("greenlane.app.config")
    assert config["DEFAULTS"] is DEFAULTS
    with pytest.raises(ImportError):
        config.from_object("greenlane.app.nothing")
    monkeypatch.setenv("GREENLANE_SECRET_KEY", "not json")
    monkeypatch.setenv("GREENLANE_LIMIT", "5")
    monkeypatch.setenv("GREENLANE_DB__HOST", '"here"')
    monkeypatch.setenv("GREENLANE_DB__PORT", "1")
    monkeypatch.setenv("OTHER_X", "1")
    config.from_prefixed_env()
    assert (config["SECRET_KEY"], config["LIMIT"]) == ("not json", 5)
    assert config["DB"] == {"HOST": "here", "PORT": 1}
    assert "X" not in config
    config.from_prefixed_env("OTHER")
    assert config["X"] == 1


def test_a_config_does_not_show_its_values() -> None:
    """B56: secrets stay out of logs."""
    assert "hush" not in repr(Config(SECRET_KEY="hush"))
