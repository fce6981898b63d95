"""What clients send: values through the proxy, and bad input that is never a server error."""

import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder, run_wsgi_app

from greenlane import App, request


def test_arguments_through_the_proxy(app: App) -> None:
    """B44: default, converted and bad values."""
    for query, page in (("", 1), ("?page=7", 7), ("?page=seven", 1)):
        with app.test_request_context(f"/{query}"):
            assert request.args.get("page", 1, type=int) == page


def test_everything_else_through_the_proxy(app: App) -> None:
    """B44: headers, form, JSON, files."""
    with app.test_request_context(headers={"X-Name": "ada"}):
        assert request.headers["x-name"] == "ada"
        assert request.headers.get("X-Age", 36, type=int) == 36
    with app.test_request_context(method="POST", data={"n": "5", "file": (io.BytesIO(b"content"), "a.txt")}):
        assert request.form.get("n", type=int) == 5
        assert request.files["file"].filename == "a.txt"
        assert request.files["file"].read() == b"content"
    with app.test_request_context(method="POST", json={"a": [1, None]}):
        assert request.json == {"a": [1, None]}


def test_a_query_that_is_not_utf8(app: App) -> None:
    """B44: undecodable bytes in the query are bad input."""
    app.testing = False
    app.add_url_rule("/", "index", lambda: dict(request.args))
    assert app.test_client().get("/", environ_overrides={"QUERY_STRING": "a=\x80"}).status_code == 400
    assert app.test_client().get("/?a=%80").status_code == 200


def test_uploaded_files_are_closed_with_the_request(app: App) -> None:
    """B44: an upload does not stay open after its request."""
    with app.test_request_context(method="POST", data={"file": (io.BytesIO(b"content"), "a.txt")}):
        stream = request.files["file"].stream
    assert stream.closed


def read_everything(app: App) -> App:
    """Give ``app`` views that read the request in every way, outside of testing mode."""
    app.testing = False
    app.config["MAX_CONTENT_LENGTH"] = 10_000

    @app.route("/json", methods=["POST"])
    def read_json() -> Any:
        return {"json": request.json}

    @app.route("/form", methods=["GET", "POST"])
    def read_form() -> Any:
        return {
            "form": request.form,
            "files": list(request.files),
            "args": request.args,
            "name": request.form["x"],
        }

    @app.route("/", defaults={"path": ""}, methods=["GET", "POST"])
    @app.route("/<path:path>", methods=["GET", "POST"])
    def read_all(path: str) -> Any:
        return [
            path,
            request.url,
            request.host,
            request.cookies,
            request.args,
            request.form,
            request.user_agent.string,
        ]

    return app


@pytest.fixture
def reading(app: App) -> App:
    return read_everything(app)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"a": 1}', 200),
        (b"{broken", 400),
        (b"", 400),
        (b"\xff\xfe\xfa", 400),
        (b"[" * 9_000, 400),
        (b"1" * 9_000, 400),
        (b'"' + b"x" * 20_000 + b'"', 413),
    ],
)
def test_bad_json(reading: App, body: bytes, code: int) -> None:
    """B44: malformed, undecodable, too deep: 400. Too long: 413. Never 500."""
    reply = reading.test_client().post("/json", data=body, content_type="application/json")
    assert reply.status_code == code


def test_json_of_another_type_and_missing_form_field(reading: App) -> None:
    """B44: JSON that does not say so is 415, and a missing form field is 400."""
    client = reading.test_client()
    assert client.post("/json", data=b"{}", content_type="text/plain").status_code == 415
    assert client.post("/form", data={"y": "1"}).status_code == 400


def test_body_longer_than_allowed(reading: App) -> None:
    """B44: the limit holds for forms and for uploads."""
    client = reading.test_client()
    assert client.post("/form", data={"x": "y" * 20_000}).status_code == 413
    assert client.post("/form", data={"x": (io.BytesIO(b"y" * 20_000), "a")}).status_code == 413


FRAMES = {
    "application/json": (b'"', b'"'),
    "application/x-www-form-urlencoded": (b"x=", b""),
    "multipart/form-data; boundary=b": (
        b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n',
        b"\r\n--b--\r\n",
    ),
}


@pytest.mark.parametrize(("length", "code"), [(9_999, 200), (10_000, 200), (10_001, 413), (200_000, 413)])
@pytest.mark.parametrize("kind", FRAMES)
def test_body_of_unknown_length(reading: App, kind: str, length: int, code: int) -> None:
    """B44: a chunked body up to the limit is read whole, and a longer one is 413, never cut off."""
    before, after = FRAMES[kind]
    value = "y" * (length - len(before) - len(after))
    reply = reading.test_client().post(
        "/json" if "json" in kind else "/form",
        input_stream=io.BytesIO(before + value.encode() + after),
        content_type=kind,
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )
    assert reply.status_code == code
    if code == 200:
        assert value in (reply.json or {}).values()


class Broken(io.BytesIO):
    """A body that breaks off as a server's input does."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def read(self, size: int | None = -1, /) -> bytes:
        raise self._error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError("gone"), 400),
        (ConnectionResetError(), 400),
        (ValueError("no chunk"), 400),
        (TimeoutError(), 408),
    ],
    ids=repr,
)
@pytest.mark.parametrize("limit", [None, 10_000])
def test_body_that_breaks_off(
    reading: App, caplog: pytest.LogCaptureFixture, error: Exception, code: int, limit: int | None
) -> None:
    """B44: the client's error, of which no traceback is logged: anybody could fill the log."""
    reading.config["MAX_CONTENT_LENGTH"] = limit
    for path, kind in (("/form", "application/x-www-form-urlencoded"), ("/json", "application/json")):
        reply = reading.test_client().post(
            path,
            input_stream=Broken(error),
            content_type=kind,
            environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": "10"},
        )
        assert reply.status_code == code
    assert caplog.text == ""


def test_form_without_its_boundary(reading: App) -> None:
    """B44: a multipart body that cannot be taken apart is bad input."""
    client = reading.test_client()
    for content_type in (
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=b",
    ):
        assert client.post("/form", data=b"--a\r\n", content_type=content_type).status_code == 400


latin = st.binary(max_size=40).map(lambda raw: raw.decode("latin-1"))


@settings(deadline=None)
@given(
    path=latin,
    query=latin,
    host=latin
    | st.sampled_from(["", "a:b", "[::1", "\u00fc.example", "x" * 70 + ".org", "a..b", "a:99999999"]),
    cookie=latin,
    kind=latin
    | st.sampled_from(
        [
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=\u00e9",
            "application/json; charset=no",
        ]
    ),
    length=st.sampled_from(["0", "5", "-5", "x", "", "99", "1e3"]),
    body=st.binary(max_size=30),
    where=st.sampled_from(["/json", "/form", "/"]),
)
def test_no_request_is_a_server_error(
    path: str, query: str, host: str, cookie: str, kind: str, length: str, body: bytes, where: str
) -> None:
    """B44: bytes that mean nothing are a client error at worst, whatever part of the request has them."""
    app = App("fuzzed")
    app.secret_key = "for tests only"
    read_everything(app)
    environ = EnvironBuilder("/", method="POST").get_environ()
    environ |= {
        "PATH_INFO": where if where != "/" else f"/{path}",
        "QUERY_STRING": query,
        "HTTP_HOST": host,
        "HTTP_COOKIE": cookie,
        "CONTENT_TYPE": kind,
        "CONTENT_LENGTH": length,
        "wsgi.input": io.BytesIO(body),
    }
    _, status, _ = run_wsgi_app(app, environ, buffered=True)
    assert int(status[:3]) < 500
