"""Routing from memory: what an AppMap recalls is what Werkzeug would answer, whatever came before."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import Map, RequestRedirect, Rule, UnicodeConverter
from werkzeug.test import EnvironBuilder

from greenlane import App, request, url_for
from greenlane.app.routing import AppMap

PATHS = (
    "/",
    "/a",
    "/a/",
    "/a/b",
    "/a/b/",
    "/<x>",
    "/<int:x>",
    "/a/<x>",
    "/a/<path:x>",
    "/<x>/b",
    "//a",
    "/é",
)
HOSTS = (
    "localhost",
    "LOCALHOST:80",
    "example.com:8000",
    "a..b",
    "-" * 70,
    "no host",
    "",
    "ex ample",
    "é.com",
)
METHODS = ("GET", "POST", "PUT")

rules = st.fixed_dictionaries(
    {
        "string": st.sampled_from(PATHS),
        "methods": st.none() | st.sets(st.sampled_from(METHODS)),
    },
    optional={
        "defaults": st.sampled_from([{}, {"x": 1}, {"y": "z"}]),
        "strict_slashes": st.booleans(),
        "merge_slashes": st.booleans(),
        "websocket": st.booleans(),
        "subdomain": st.sampled_from(["", "www"]),
        "redirect_to": st.just("/elsewhere"),
        "alias": st.booleans(),
        "build_only": st.booleans(),
        "endpoint": st.sampled_from("ef"),
    },
)
requests = st.fixed_dictionaries(
    {
        "path": st.sampled_from([*PATHS, "", "a", "/a//b", "//", "/b", "/1", "/a/b/c"]),
        "method": st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "get", "--"]),
        "host": st.none() | st.sampled_from(HOSTS),
        "upgrade": st.none() | st.sampled_from(["websocket", "h2c"]),
    }
)


def environ_of(path: str, method: str, host: str | None, upgrade: str | None) -> dict[str, Any]:
    environ = EnvironBuilder(query_string="q=1").get_environ()
    environ["PATH_INFO"], environ["REQUEST_METHOD"] = path.encode().decode("latin-1"), method
    del environ["HTTP_HOST"]
    if host is not None:
        environ["HTTP_HOST"] = host
    if upgrade is not None:
        environ["HTTP_UPGRADE"], environ["HTTP_CONNECTION"] = upgrade, "keep-alive, Upgrade"
    return environ


def failure(error: HTTPException | None) -> Any:
    if isinstance(error, RequestRedirect):
        return "redirect", error.new_url
    if isinstance(error, MethodNotAllowed):
        return "method", sorted(error.valid_methods or ())
    return type(error)


def by_werkzeug(url_map: Map, environ: dict[str, Any]) -> Any:
    try:
        rule, values = url_map.bind_to_environ(environ, subdomain="").match(return_rule=True)
    except HTTPException as error:
        return failure(error)
    except (LookupError, ValueError) as error:  # a redirect to an alias that cannot be built
        return type(error)
    return number_of(rule), values


def by_us(app: App, environ: dict[str, Any]) -> Any:
    try:
        with app.request_context(environ) as ctx:
            if ctx.request.url_rule is None:
                return failure(ctx.request.routing_exception)
            return number_of(ctx.request.url_rule), ctx.request.view_args
    except (LookupError, ValueError) as error:
        return type(error)


def number_of(rule: Rule) -> Any:
    return next(number for number, known in enumerate(rule.map.iter_rules()) if known is rule)


@settings(deadline=None, max_examples=200)
@given(st.lists(rules, min_size=1, max_size=6), st.lists(requests, max_size=12), st.data())
def test_what_is_recalled_is_what_werkzeug_answers(
    wanted: list[dict[str, Any]], sent: list[dict[str, Any]], data: st.DataObject
) -> None:
    """B33: rule, values, redirect, 404 and 405, for requests in any order, and rules that come later."""
    app, werkzeug = App("routes"), Map()
    for number, options in enumerate(wanted):
        options = {"endpoint": f"e{number}", **options}
        try:
            werkzeug.add(Rule(**options))
        except (LookupError, ValueError):  # a combination that Werkzeug has not
            continue
        app.url_map.add(Rule(**options))
        for request_ in sent:
            expected = by_werkzeug(werkzeug, environ_of(**request_))
            for _ in range(data.draw(st.integers(1, 3))):
                answer = by_us(app, environ_of(**request_))
                assert answer == expected
                if isinstance(answer[1] if isinstance(answer, tuple) else None, dict):
                    answer[1]["changed"] = "by the view"


def test_a_path_without_variable_parts_is_matched_once() -> None:
    """B33: and the view sees what it saw the first time."""
    app = App("routes")

    @app.route("/static", methods=["GET", "POST"], defaults={"page": 1})
    def static(page: int) -> dict[str, Any]:
        args: Any = request.view_args
        args["page"] += 1  # its own
        return {"page": page, "rule": str(request.url_rule), "args": args}

    @app.get("/<int:page>")
    def variable(page: int) -> str:
        return str(page)

    client = app.test_client()
    for _ in range(3):
        assert client.get("/static").json == {"page": 1, "rule": "/static", "args": {"page": 2}}
        assert client.get("/7").text == "7"
    recalled = [app.url_map.recall(environ_of(path, "GET", "localhost", None)) for path in ("/static", "/7")]
    assert recalled == [(app.url_map._rules[0], {"page": 1}), None]
    assert app.url_map.recall(environ_of("/static", "POST", "localhost", None)) is None


@pytest.mark.parametrize(
    "different",
    [
        {"path": "/<x>"},
        {"path": "//static"},
        {"path": "static"},
        {"path": "/static/"},
        {"method": "POST"},
        {"method": "get"},
        {"host": None},
        {"host": "a..b"},
        {"host": "x" * 64},
        {"upgrade": "h2c"},
        {"upgrade": "websocket"},
    ],
)
def test_a_request_that_differs_is_not_the_one_that_was_remembered(different: dict[str, Any]) -> None:
    """B33: in anything that Werkzeug looks at, and whichever comes first."""
    usual: dict[str, Any] = {"path": "/static", "method": "GET", "host": "localhost", "upgrade": None}
    wanted: list[dict[str, Any]] = [
        {"string": "/static", "methods": ["GET"], "endpoint": "s"},
        {"string": "/<x>", "endpoint": "x"},
    ]
    expected = [
        by_werkzeug(Map([Rule(**options) for options in wanted]), environ_of(**{**usual, **change}))
        for change in ({}, different)
    ]
    app = App("routes")
    for options in wanted:
        app.url_map.add(Rule(**options))
    for _ in range(3):
        assert by_us(app, environ_of(**usual)) == expected[0]
        assert by_us(app, environ_of(**{**usual, **different})) == expected[1]


def test_the_memory_has_a_bound() -> None:
    """B33: clients choose paths, methods and hosts; none of them fills it."""
    app = App("routes")
    app.add_url_rule("/", view_func=lambda: "", endpoint="root")
    app.url_map.add(Rule("/any", endpoint="any"))
    app.url_map.add(Rule("/<x>", endpoint="x", methods=["GET"]))
    for number in range(1_100):
        for path in ("/", "/any", f"/{number}", "/<x>"):
            by_us(app, environ_of(path, "GET", f"host{number}.example", None))
            by_us(app, environ_of(path, f"M{number}", f"host{number}.example", None))
    assert set(app.url_map._matches) == {("GET", "/")}
    assert len(app.url_map._hosts) <= 1_000


def test_urls_are_built_without_having_matched() -> None:
    """B32: the adapter is made when it is first asked for, for the request's own script name and host."""
    app = App("routes")

    @app.get("/static")
    def static() -> dict[str, Any]:
        return {"here": url_for("static"), "outside": url_for("static", _external=True)}

    client = app.test_client()
    for host in ("one.example", "two.example", "one.example"):
        reply = client.get("/static", base_url=f"https://{host}/mounted")
        assert reply.json == {"here": "/mounted/static", "outside": f"https://{host}/mounted/static"}


def test_rules_are_forgotten_with_their_map() -> None:
    """B33: a rule that is added later may take precedence over what was remembered."""
    url_map = AppMap([Rule("/a", endpoint="old", methods=["GET"])])
    environ = environ_of("/a", "GET", "localhost", None)
    url_map.remember(environ, url_map.bind_to_environ(environ, subdomain="").match(return_rule=True))
    assert url_map.recall(environ) is not None
    url_map.add(Rule("/a", endpoint="new", methods=["GET"]))
    assert url_map.recall(environ) is None


def test_a_context_that_is_pushed_twice_is_matched_once() -> None:
    """B33: a converter may count."""
    asked: list[str] = []

    class Asked(UnicodeConverter):
        def to_python(self, value: str) -> str:
            asked.append(value)
            return value

    app = App("routes")
    app.url_map.converters["asked"] = Asked
    app.add_url_rule("/<asked:name>", view_func=lambda name: name, endpoint="name")
    with app.test_request_context("/ada") as ctx, ctx:
        assert request.view_args == {"name": "ada"}
    assert asked == ["ada"]
