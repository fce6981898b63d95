"""How every view answers: in which form, and how it says what is wrong."""

import json
from contextlib import AbstractContextManager

import pytest
from werkzeug.exceptions import MethodNotAllowed, NotFound

from greenlane.app import App
from greenlane.demo.pages import error_response, html_response, json_response, render, wants_json

LINES = "application/x-ndjson"
HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def asked(
    path: str = "/race", accept: str | None = None, base_url: str = "http://localhost"
) -> AbstractContextManager[object]:
    """A request that is in flight as long as the block lasts."""
    headers = {} if accept is None else {"Accept": accept}
    return App("tests").test_request_context(path, headers=headers, base_url=base_url)


@pytest.mark.parametrize(
    ("accept", "json_is"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("image/png", False),
        (HTML, False),
        ("text/html, application/json", False),
        ("application/json", True),
        (LINES, True),
        (f"{LINES}, */*;q=0.5", True),
        ("text/html;q=0.5, application/json", True),
    ],
)
def test_a_page_is_for_whoever_does_not_ask_for_json(accept: str | None, json_is: bool) -> None:
    with asked(accept=accept):
        assert wants_json() is json_is


@pytest.mark.parametrize(
    ("path", "json_is"),
    [
        ("/probe", True),
        ("/probe/", True),
        ("/probe/nothing", True),
        ("/hazards/", True),
        ("/orders/two.json", True),
        ("/orders/two", False),
        ("/probes", False),
        ("/hazards", False),
        ("/", False),
    ],
)
def test_some_paths_are_for_programs_alone(path: str, json_is: bool) -> None:
    with asked(path, HTML):
        assert wants_json() is json_is


def test_a_program_is_told_in_json_what_is_wrong_with_what_may_help() -> None:
    with asked(accept="application/json"):
        response = error_response(NotFound("There is no <b>."), names=["a"])
    assert (response.status_code, response.content_type) == (404, "application/json")
    assert json.loads(response.get_data()) == {"error": "There is no <b>.", "names": ["a"]}
    assert response.headers["Cache-Control"] == "no-store"


def test_a_person_is_told_on_a_page_what_is_wrong() -> None:
    with asked(accept=HTML, base_url="http://localhost/below"):
        response = error_response(NotFound("There is no <b>."), names=["a"])
    assert (response.status_code, response.content_type) == (404, "text/html; charset=utf-8")
    text = response.get_data(as_text=True)
    assert "<h1>Not Found</h1>" in text
    assert "<p>There is no &lt;b&gt;.</p>" in text
    assert '<a href="/below/">' in text
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("accept", [HTML, "application/json"])
def test_the_headers_of_an_error_are_kept(accept: str) -> None:
    with asked(accept=accept):
        response = error_response(MethodNotAllowed(valid_methods=["POST"]))
    assert response.headers["Allow"] == "POST"


def test_a_page_may_come_in_pieces() -> None:
    whole, pieces = html_response("<p>é"), html_response(iter([b"<p>", "é".encode()]))
    assert whole.content_type == pieces.content_type == "text/html; charset=utf-8"
    assert whole.get_data() == pieces.get_data()


def test_json_has_a_line() -> None:
    response = json_response({"a": 1}, status=201)
    assert (response.status_code, response.content_type) == (201, "application/json")
    assert response.get_data() == b'{"a": 1}\n'


def test_links_start_where_the_demonstration_is_mounted() -> None:
    with asked(base_url="http://localhost/below"):
        page = render("error.html", code=404, name="a", description="b")
    assert 'href="/below/static/style.css"' in page
