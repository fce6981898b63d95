"""What views may return, and the functions that make responses and URLs."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from werkzeug.exceptions import Forbidden, NotFound, UnsupportedMediaType
from werkzeug.routing import BuildError
from werkzeug.wrappers import Response as PlainResponse

from greenlane import (
    App,
    Response,
    abort,
    current_app,
    jsonify,
    make_response,
    redirect,
    request,
    url_for,
)


def stream() -> Iterator[str]:
    yield "a"
    yield "b"


def wsgi_application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("203 Non-Authoritative Information", [("X-From", environ["PATH_INFO"])])
    return [b"wsgi"]


@pytest.mark.parametrize(
    ("make", "status", "body"),
    [
        (lambda: "text", 200, b"text"),
        (lambda: "", 200, b""),
        (lambda: b"bytes", 200, b"bytes"),
        (lambda: bytearray(b"bytes"), 200, b"bytes"),
        (lambda: {"a": 1}, 200, b'{"a":1}\n'),
        (lambda: [1, {"b": None}], 200, b'[1,{"b":null}]\n'),
        (stream, 200, b"ab"),
        (lambda: iter([b"a", b"b"]), 200, b"ab"),
        (lambda: Response("made", 201), 201, b"made"),
        (lambda: PlainResponse("plain", 202), 202, b"plain"),
        (lambda: wsgi_application, 203, b"wsgi"),
        (lambda: NotFound("gone"), 404, None),
        (lambda: ("text", 201), 201, b"text"),
        (lambda: ("text", "299 Fine"), 299, b"text"),
        (lambda: ({"a": 1}, 201), 201, b'{"a":1}\n'),
        (lambda: (Response("made"), 418), 418, b"made"),
        (lambda: (stream(), 206), 206, b"ab"),
        (lambda: ("text", None), 200, b"text"),
    ],
)
def test_what_a_view_may_return(app: App, make: Callable[[], Any], status: int, body: bytes | None) -> None:
    """B31: each kind of value becomes the response it looks like."""
    app.add_url_rule("/", "index", make)
    reply = app.test_client().get("/")
    assert reply.status_code == status
    assert body is None or reply.data == body


@pytest.mark.parametrize(
    "make",
    [
        lambda: ("text", {"X-A": "1", "Content-Type": "text/plain"}),
        lambda: ("text", [("X-A", "1"), ("Content-Type", "text/plain")]),
        lambda: ("text", 200, {"X-A": "1", "Content-Type": "text/plain"}),
        lambda: (Response("text", headers={"X-A": "0"}), {"X-A": "1", "Content-Type": "text/plain"}),
    ],
)
def test_headers_beside_the_body(app: App, make: Callable[[], Any]) -> None:
    """B31: headers in a tuple replace those of the body."""
    app.add_url_rule("/", "index", make)
    reply = app.test_client().get("/")
    assert (reply.text, reply.headers.getlist("X-A"), reply.content_type) == ("text", ["1"], "text/plain")


@pytest.mark.parametrize("body", ["text", {"a": 1}, PlainResponse("made", headers={"X-A": "0"})])
@pytest.mark.parametrize("headers", [[("X-A", "1"), ("X-A", "2")], {"X-A": ["1", "2"]}])
def test_a_header_more_than_once(app: App, body: Any, headers: Any) -> None:
    """B31: two cookies are two headers, whatever kind of body they stand beside."""
    app.add_url_rule("/", "index", lambda: (body, headers))
    assert app.test_client().get("/").headers.getlist("X-A") == ["1", "2"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: None, "The view function for 'shown' returned None, or ended without"),
        (lambda: (None, 200), "The view function for 'shown' returned None"),
        (lambda: 5, "The view function for 'shown' returned a int. A view returns a str"),
        (lambda: {1, 2}, "The view function for 'shown' returned a set"),
        (lambda: ("a", 1, {}, 4), "The view function for 'shown' returned a tuple of 4 items"),
        (lambda: (), "The view function for 'shown' returned a tuple of 0 items"),
        (lambda: object, "The view function for 'shown' returned <class 'object'>, which failed"),
    ],
)
def test_what_a_view_may_not_return(app: App, make: Callable[[], Any], message: str) -> None:
    """B31: the error names the view and what it returned."""
    app.add_url_rule("/", "shown", make)
    with pytest.raises(TypeError) as caught:
        app.test_client().get("/")
    assert str(caught.value).startswith(message)


def test_response_class_of_the_app(app: App) -> None:
    """B31: every answer is of the App's own response class."""

    class Mine(Response):
        default_mimetype = "text/x-mine"

    app.response_class = Mine
    app.add_url_rule("/text", "text", lambda: "x")
    app.add_url_rule("/redirect", "redirect", lambda: redirect("/text"))
    assert app.test_client().get("/text").mimetype == "text/x-mine"
    with app.test_request_context():
        assert all(type(made) is Mine for made in (make_response(PlainResponse()), redirect("/"), jsonify()))


def test_make_response(app: App) -> None:
    """B31: make_response takes what a view may return, and returns it to be added to."""
    with app.test_request_context():
        assert make_response().data == b""
        assert make_response("x").data == b"x"
        assert make_response("x", 201).status_code == 201
        assert make_response("x", 201, {"X-A": "1"}).headers["X-A"] == "1"
        with pytest.raises(TypeError):
            make_response(None)
    with app.app_context():
        assert make_response({"a": 1}).json == {"a": 1}


def test_jsonify(app: App) -> None:
    """B31: one value, several, keywords or none."""
    with app.app_context():
        assert jsonify().json is None
        assert jsonify({"a": 1}).json == {"a": 1}
        assert jsonify(1, 2).json == [1, 2]
        assert jsonify(a=1, b=2).json == {"a": 1, "b": 2}
        assert jsonify([]).mimetype == "application/json"
        with pytest.raises(TypeError):
            jsonify(1, a=1)


def test_json_of_types_beyond_json(app: App) -> None:
    """B31: dates, UUIDs, Decimals, dataclasses and markup have a form; others are refused."""

    @dataclass
    class Point:
        x: int

    class Markup:
        def __html__(self) -> str:
            return "<b>"

    value = [datetime(2024, 2, 29, tzinfo=UTC), uuid.UUID(int=1), Decimal("1.50"), Point(1), Markup()]
    expected = ["Thu, 29 Feb 2024 00:00:00 GMT", str(uuid.UUID(int=1)), "1.50", {"x": 1}, "<b>"]
    with app.app_context():
        assert jsonify(value).json == expected
        with pytest.raises(TypeError, match="set is not JSON serializable"):
            jsonify({1})


def test_abort(app: App) -> None:
    """B56: by code with a description, or with a response."""
    app.add_url_rule("/code", "code", lambda: abort(403, "not yours"))
    app.add_url_rule("/response", "response", lambda: abort(Response("made", 418)))
    client = app.test_client()
    reply = client.get("/code")
    assert (reply.status_code, "not yours" in reply.text) == (403, True)
    assert (client.get("/response").status_code, client.get("/response").text) == (418, "made")
    with pytest.raises(Forbidden):
        abort(403)


def test_redirect(app: App) -> None:
    """B31: a relative Location stays relative: no Host that the client claimed gets into it."""
    app.add_url_rule("/", "index", lambda: redirect("/there", 303))
    reply = app.test_client().get("/", headers={"Host": "evil.example"})
    assert (reply.status_code, reply.location) == (303, "/there")
    assert redirect("/there").status_code == 302


@pytest.fixture
def site(app: App) -> App:
    app.add_url_rule("/", "index", lambda: "")
    app.add_url_rule("/page/<int:number>", "page", lambda number: "")
    app.add_url_rule("/page", "add", lambda: "", methods=["POST"])
    app.add_url_rule("/page/all", "add", methods=["GET"])
    return app


def test_url_for_inside_a_request(site: App) -> None:
    """B33: relative to the host, unless a scheme or an external URL is asked for."""
    with site.test_request_context(base_url="http://example.org/base"):
        assert url_for("index") == "/base/"
        assert url_for("page", number=7) == "/base/page/7"
        assert url_for("page", number=7, q="a b", r=[1, 2]) == "/base/page/7?q=a+b&r=1&r=2"
        assert url_for("index", _anchor="x y&z") == "/base/#x%20y&z"
        assert url_for("index", _external=True) == "http://example.org/base/"
        assert url_for("index", _scheme="https") == "https://example.org/base/"
        assert url_for("add", _method="POST") == "/base/page"
        assert url_for("add", _method="GET") == "/base/page/all"
        with pytest.raises(ValueError, match="_scheme"):
            url_for("index", _scheme="https", _external=False)
        with pytest.raises(BuildError):
            url_for("page")


def test_url_for_outside_of_a_request(site: App) -> None:
    """B33: external, from the settings; without SERVER_NAME the error says so."""
    with site.app_context(), pytest.raises(RuntimeError, match="SERVER_NAME"):
        url_for("index")
    site.config.update(SERVER_NAME="example.org", APPLICATION_ROOT="/base", PREFERRED_URL_SCHEME="https")
    with site.app_context():
        assert url_for("page", number=1) == "https://example.org/base/page/1"
        assert url_for("page", number=1, _external=False) == "/base/page/1"
    assert site.url_for("index") == "https://example.org/base/"
    with pytest.raises(RuntimeError, match="outside of application context"):
        url_for("index")


def test_url_for_another_app(site: App) -> None:
    """B46: inside a request of one App, another App's URLs are not built with that request."""
    other = App("other")
    other.config["SERVER_NAME"] = "other.example"
    other.add_url_rule("/there", "there")
    with site.test_request_context():
        assert other.url_for("there") == "http://other.example/there"
        with other.app_context():
            assert current_app.name == "other"
            assert url_for("there") == "http://other.example/there"


def test_server_name_does_not_limit_the_hosts(site: App) -> None:
    """B33: any Host is answered; external URLs use SERVER_NAME and not what the client claimed."""
    site.config["SERVER_NAME"] = "example.org"
    site.add_url_rule("/where", "where", lambda: url_for("index", _external=True))
    reply = site.test_client().get("/where", headers={"Host": "evil.example"})
    assert (reply.status_code, reply.text) == (200, "http://example.org/")


def test_a_stream_is_closed(app: App) -> None:
    """B31: the body iterator is closed with the response."""
    closed: list[bool] = []

    def body() -> Iterator[str]:
        try:
            yield request_path
        finally:
            closed.append(True)

    request_path = "x"
    app.add_url_rule("/", "index", body)
    with app.test_client().get("/") as reply:
        assert next(iter(reply.response)) == b"x"
        assert closed == []
    assert closed == [True]


def test_response_json_and_request_json_use_one_decoder() -> None:
    """B44: what the request refuses, the response refuses too."""
    app = App("json")
    with app.test_request_context(method="POST", data="[" * 9_000, content_type="application/json"):
        assert request.get_json(silent=True) is None
        with pytest.raises(UnsupportedMediaType):
            app.test_request_context(method="POST", data="x").request.json  # noqa: B018
