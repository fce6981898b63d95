"""The views of a race: how one is answered or refused, and the source of what can be raced. None is run."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.test import TestResponse

from greenlane.app import App
from greenlane.demo.hazards import HAZARDS
from greenlane.demo.pages import streamed
from greenlane.demo.race import views
from greenlane.demo.race.load import Line
from greenlane.demo.race.results import Results
from greenlane.demo.race.settings import DEFAULTS, Settings, choices
from greenlane.demo.race.source import source_of

if TYPE_CHECKING:
    from tests.demo.conftest import ClosingClient

LINES = "application/x-ndjson"


@pytest.fixture
def token(client: "ClosingClient") -> str:
    """The token of the client's session."""
    text = client.get("/").get_data(as_text=True)
    return text.partition('name="token" value="')[2].partition('"')[0]


def post(client: "ClosingClient", accept: str = LINES, **fields: str) -> TestResponse:
    headers = {"Accept": accept}
    return client.post("/race", data=DEFAULTS | fields, headers=headers)


def document(response: TestResponse) -> Any:
    assert response.content_type == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    return json.loads(response.get_data())


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """What is raced in the races that begin: none is run."""
    raced: list[Settings] = []

    def race(settings: Settings, _ops: object) -> None:
        raced.append(settings)
        raise AssertionError("a race has begun")

    monkeypatch.setattr(views, "Race", race)
    return raced


# Who may start one


def test_with_the_token_of_the_session_it_begins(
    client: "ClosingClient", token: str, started: list[Settings]
) -> None:
    """So that the refusals below are those of what would have begun."""
    post(client, token=token)
    assert [settings.cells for settings in started] == [
        ("shared-object/shared-object", "shared-object/local")
    ]


@pytest.mark.parametrize("given", ["", "x" * 32])
def test_without_the_token_of_the_session_there_is_none(
    client: "ClosingClient", token: str, started: list[Settings], given: str
) -> None:
    assert token
    response = post(client, token=given)
    assert (response.status_code, started) == (403, [])
    assert "load the page again" in document(response)["error"]


def test_without_a_session_there_is_none(client: "ClosingClient", started: list[Settings]) -> None:
    assert (post(client).status_code, started) == (403, [])


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://elsewhere.test"}, {"Sec-Fetch-Site": "cross-site"}], ids=str
)
def test_another_site_cannot_start_one(
    client: "ClosingClient", token: str, started: list[Settings], headers: dict[str, str]
) -> None:
    form = DEFAULTS | {"token": token}
    response = client.post("/race", data=form, headers={"Accept": LINES} | headers)
    assert (response.status_code, started) == (403, [])
    assert "another site" in document(response)["error"]


def test_a_person_without_scripts_is_told_on_a_page(client: "ClosingClient") -> None:
    response = post(client, accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert response.status_code == 403
    assert response.content_type == "text/html; charset=utf-8"
    assert "load the page again" in response.get_data(as_text=True)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_it_is_started_by_post_alone(client: "ClosingClient", method: str) -> None:
    response = client.open("/race", method=method)
    assert response.status_code == 405
    assert "POST" in response.headers["Allow"]


# In which way it is answered


ACCEPTED = [
    (LINES, LINES),
    ("application/json", LINES),
    ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"),
    ("*/*", "text/html; charset=utf-8"),
    ("", "text/html; charset=utf-8"),
]


class Ended:
    """A race that has only an end."""

    def __init__(self, settings: Settings, _ops: object) -> None:
        self.results = Results(settings)

    def lines(self) -> Iterator[Line]:
        yield {"kind": "error", "message": "It was <none>."}


@pytest.mark.parametrize(("accept", "kind"), ACCEPTED)
def test_it_is_answered_and_refused_in_the_same_way(
    client: "ClosingClient", token: str, monkeypatch: pytest.MonkeyPatch, accept: str, kind: str
) -> None:
    monkeypatch.setattr(views, "Race", Ended)
    response = post(client, accept, token=token)
    assert (response.status_code, response.content_type) == (200, kind)
    assert response.headers["Cache-Control"] == "no-store"
    assert ("<!doctype html>" in response.get_data(as_text=True)) == (kind != LINES)
    refused = post(client, accept, token=token, hops="17")
    assert refused.status_code == 400
    assert (refused.content_type == "application/json") == (kind == LINES)
    assert refused.headers["Cache-Control"] == "no-store"


def tick(elapsed: float, finished: int = 0) -> Line:
    return {"kind": "tick", "elapsed": elapsed, "finished": finished, "in_flight": 20}


def page(*lines: Line, mounted: str = "") -> tuple[str, list[str]]:
    """Return what the page of a race says before its first line, and after each."""
    said: list[list[str]] = [[]]

    def told() -> Iterator[Line]:
        for line in lines:
            said.append([])
            yield line

    with App("tests").test_request_context("/race", base_url=f"http://localhost{mounted}"):
        pieces = streamed("racing.html", lines=told())
    for piece in pieces:  # when the request's context has gone
        said[-1].append(piece.decode())
    before, *after = ("".join(each) for each in said)
    return before, after


def test_the_page_goes_on_while_the_race_does() -> None:
    """So that whoever has gone is noticed at each tick, and whoever reads hears of it each second."""
    before, (_, early, later, soon, end) = page(
        {"kind": "begin"}, tick(0.9), tick(1.1, 1_234), tick(1.3), {"kind": "end"}
    )
    assert "<h1>The race is running</h1>" in before
    assert "<li>" not in early
    assert "<!--" in early
    assert "<li>1 s: 1,234 requests finished, 20 in flight</li>" in later
    assert "<li>" not in soon
    assert "<!--" in soon
    assert end.rstrip().endswith("</html>")


def test_it_leads_to_the_results_when_the_race_has_ended() -> None:
    _, (end,) = page({"kind": "end"}, mounted="/below")
    assert '<meta http-equiv="refresh" content="0; url=/below/#race">' in end
    assert '<a href="/below/#race">To the results</a>' in end
    assert "alert" not in end


def test_it_stays_when_the_race_has_no_results() -> None:
    _, (end,) = page({"kind": "error", "message": "It was <none>."}, mounted="/below")
    assert '<p role="alert">It was &lt;none&gt;.</p>' in end
    assert '<a href="/below/#race">Back to the page</a>' in end
    assert "refresh" not in end


# What is refused


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("hazard", "nothing", "there is no hazard 'nothing'"),
        ("hazard", "desync", "needs a server of its own"),
        ("strategy", "<b>", "there is no strategy '<b>'"),
        ("beside", "nothing", "there is no strategy 'nothing'"),
        ("requests", "2001", "must be a whole number from 1 to 2,000"),
        ("at_once", "0", "must be a whole number from 1 to 500"),
        ("hops", "17", "must be a whole number from 1 to 16"),
    ],
)
def test_a_field_that_is_wrong_is_named(
    client: "ClosingClient", token: str, started: list[Settings], field: str, value: str, reason: str
) -> None:
    response = post(client, token=token, **{field: value})
    assert (response.status_code, started) == (400, [])
    told = document(response)
    assert told["parameter"] == field
    assert told["error"].startswith(f"{field}: ")
    assert reason in told["error"]


def test_a_form_that_is_too_long_is_refused(
    client: "ClosingClient", token: str, started: list[Settings]
) -> None:
    response = post(client, token=token, more="x" * 20_000)
    assert (response.status_code, started) == (413, [])


# The source


def test_the_source_of_all_that_can_be_raced_is_shown(client: "ClosingClient") -> None:
    for hazard in HAZARDS:
        for name in choices(hazard):
            response = client.get(f"/source/{hazard.name}/{name}", headers={"Accept": "application/json"})
            assert response.status_code == 200
            pieces = [(piece.file, piece.line, piece.text) for piece in source_of(hazard, name)]
            assert [tuple(piece.values()) for piece in response.get_json()["pieces"]] == pieces


def test_the_source_can_be_read_without_scripts(client: "ClosingClient") -> None:
    response = client.get("/source/shared-object/thread-ident")
    assert response.content_type == "text/html; charset=utf-8"
    text = response.get_data(as_text=True)
    assert "class ThreadIdent(Keyed):" in text
    assert "greenlane/demo/strategies/controls.py, line" in text
    assert "by the native thread&#39;s ident" in text


@pytest.mark.parametrize(
    "path",
    [
        "nothing/local",
        "shared-object/nothing",
        "desync/broken",
        "shared-object/__class__",
        "blind-generator/local",
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_there_is_no_source_of_anything_else(client: "ClosingClient", path: str, accept: str) -> None:
    response = client.get(f"/source/{path}", headers={"Accept": accept})
    assert response.status_code == 404
    assert (response.content_type == "application/json") == (accept == "application/json")
