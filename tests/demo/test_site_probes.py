"""The demonstration as a whole: what its probes and their listing take, answer and refuse."""

import io
import json
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from werkzeug.test import EnvironBuilder

from greenlane.app import counts
from greenlane.demo import strategies
from greenlane.demo.keeper import FIELDS
from greenlane.demo.strategies import STRATEGIES
from greenlane.ops import Ops

if TYPE_CHECKING:
    from tests.demo.conftest import ClosingClient, Connection, Entries, ReadBack

EMPTY = dict.fromkeys(FIELDS)
NAMES = [strategy.name for strategy in STRATEGIES]


@pytest.mark.parametrize("name", NAMES)
def test_every_strategy_answers_in_one_shape(
    demo: Ops, name: str, connection: "Connection", read_back: "ReadBack"
) -> None:
    [report] = gevent.spawn(connection, demo, f"/probe/{name}?nonce=Az0_-&hops=4").get()
    assert list(report) == [
        "strategy",
        "found",
        "began",
        "wrote",
        "checkpoints",
        "greenlet",
        "thread",
        "pid",
        "process",
        "in_flight",
        "switches",
    ]
    assert report["strategy"] == name
    assert report["found"] == EMPTY
    assert read_back(report) == [dict.fromkeys(FIELDS, "Az0_-")] * 4
    assert report["in_flight"] == 1


def test_the_reply_is_json_and_not_to_be_stored(client: "ClosingClient") -> None:
    response = client.get("/probe/local?nonce=a&pause=0")
    assert response.content_type == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert len(response.get_json()["checkpoints"]) == 3


@pytest.mark.parametrize("body", [{"data": {"nonce": "a"}}, {"json": {"nonce": "a"}}])
def test_context_reads_each_carrier_that_was_sent(client: "ClosingClient", body: dict[str, Any]) -> None:
    """B43, B44: args, headers, cookies and body, through the request proxy."""
    client.set_cookie("nonce", "a")
    report = client.post("/probe/context?nonce=a&pause=0", headers={"X-Nonce": "a"}, **body).get_json()
    fields = [*FIELDS, "request.args", "request.headers", "request.cookies", "request.body"]
    assert [checkpoint["read"] for checkpoint in report["checkpoints"]] == [dict.fromkeys(fields, "a")] * 3
    assert report["found"] == EMPTY


def test_context_leaves_out_the_carriers_that_were_not_sent(client: "ClosingClient") -> None:
    report = client.get("/probe/context?nonce=a&pause=0").get_json()
    assert list(report["checkpoints"][0]["read"]) == [*FIELDS, "request.args"]


def test_a_post_without_a_nonce_in_its_body_is_fine(client: "ClosingClient") -> None:
    assert client.post("/probe/local?nonce=a&pause=0", data={"other": "b"}).status_code == 200
    assert client.post("/probe/local?nonce=a&pause=0", json=["nonce", "b"]).status_code == 200
    assert client.post("/probe/local?nonce=a&pause=0").status_code == 200


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("", "nonce"),
        ("nonce=", "nonce"),
        ("nonce=a%20b", "nonce"),
        ("nonce=a%0A", "nonce"),
        ("nonce=%C3%A9", "nonce"),
        ("nonce=" + "a" * 65, "nonce"),
        ("nonce=a&hops=0", "hops"),
        ("nonce=a&hops=65", "hops"),
        ("nonce=a&hops=two", "hops"),
        ("nonce=a&hops=%2B3", "hops"),
        ("nonce=a&hops=1_0", "hops"),
        ("nonce=a&hops=", "hops"),
        ("nonce=a&hops=%D9%A3", "hops"),
        ("nonce=a&hops=" + "9" * 5000, "hops"),
        ("nonce=a&pause=-1", "pause"),
        ("nonce=a&pause=1001", "pause"),
        ("nonce=a&pause=0.5", "pause"),
        ("nonce=a&pause=nan", "pause"),
        ("nonce=a&release=2", "release"),
    ],
)
def test_a_bad_parameter_is_named(client: "ClosingClient", query: str, parameter: str) -> None:
    response = client.get(f"/probe/local?{query}")
    document = response.get_json()
    assert response.status_code == 400
    assert document["parameter"] == parameter
    assert document["error"].startswith(f"{parameter}: ")


@pytest.mark.parametrize(
    ("parameter", "sent"),
    [
        ("request.headers", {"headers": {"X-Nonce": "b"}}),
        ("request.cookies", {"headers": {"Cookie": "nonce=b"}}),
        ("request.body", {"data": {"nonce": "b"}}),
        ("request.body", {"json": {"nonce": "b"}}),
        ("request.body", {"json": {"nonce": 1}}),
        ("request.body", {"data": b'{"nonce', "content_type": "application/json"}),
        ("request.body", {"data": b"\xff", "content_type": "application/json"}),
    ],
)
def test_a_carrier_that_disagrees_is_named(
    demo: Ops, parameter: str, sent: dict[str, Any], closing_client: "type[ClosingClient]"
) -> None:
    response = closing_client(demo, use_cookies=False).post("/probe/local?nonce=a", **sent)
    assert response.status_code == 400
    assert response.get_json()["parameter"] == parameter


@pytest.mark.parametrize(
    "query", ["hops=1", "hops=64&pause=0", "pause=0&hops=01", f"hops=1&nonce={'a' * 64}"]
)
def test_the_bounds_themselves_are_allowed(client: "ClosingClient", query: str) -> None:
    nonce = "" if "nonce" in query else "nonce=a&"
    assert client.get(f"/probe/local?{nonce}{query}").status_code == 200


def test_a_large_body_is_refused(client: "ClosingClient") -> None:
    response = client.post("/probe/local?nonce=a", data={"nonce": "a", "padding": "x" * 20_000})
    assert response.status_code == 413
    assert "error" in response.get_json()


@pytest.mark.parametrize("path", ["/probe/nothing?nonce=a", "/probe/nothing", "/probe/local/more"])
def test_an_unknown_strategy_is_told_the_known_ones(client: "ClosingClient", path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert response.get_json()["strategies"] == NAMES


def test_another_method_is_refused_in_json(client: "ClosingClient") -> None:
    response = client.put("/probe/local?nonce=a")
    assert response.status_code == 405
    assert "error" in response.get_json()
    assert {"GET", "POST"} <= set(response.headers["Allow"].split(", "))


def test_an_unexpected_error_shows_no_traceback(
    client: "ClosingClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret of the house")

    monkeypatch.setattr(strategies.ReleasedLocal, "write", fail)
    response = client.get("/probe/local?nonce=a")
    assert response.status_code == 500
    assert "error" in response.get_json()
    assert "secret" not in response.get_data(as_text=True)


def test_a_request_may_announce_that_its_view_raises(client: "ClosingClient", entries: "Entries") -> None:
    """B28, B31: the lane is empty for the connection's next request, and no context is left."""
    before = counts.requests, counts.apps

    def visit() -> None:
        for name in ("local", "context"):
            doomed = client.get(f"/probe/{name}?nonce=a&pause=0&fate=raise")
            assert (doomed.status_code, doomed.get_json()) == (500, {"doomed": "raise"})
            after = client.get(f"/probe/{name}?nonce=b&pause=0")
            assert after.get_json()["found"] == EMPTY
            assert (counts.requests, counts.apps) == before
        assert entries(client, "local") == "0.0"

    gevent.spawn(visit).get()


@pytest.mark.parametrize("fate", ["kill", "RAISE", "x"])
def test_another_fate_is_refused(client: "ClosingClient", fate: str) -> None:
    response = client.get(f"/probe/local?nonce=a&fate={fate}")
    assert (response.status_code, response.get_json()["parameter"]) == (400, "fate")


def test_the_listing(client: "ClosingClient") -> None:
    document = client.get("/probe/").get_json()
    assert list(document) == ["strategies", "limits", "fates"]
    assert document["fates"] == ["raise"]
    assert [strategy["name"] for strategy in document["strategies"]] == NAMES
    assert [list(strategy) for strategy in document["strategies"]] == [
        ["name", "role", "summary", "locals"]
    ] * 9
    assert document["limits"] == {"hops": 64, "pause_ms": 1000, "nonce_length": 64}


def test_the_listing_names_only_locals_that_are_measured(client: "ClosingClient", entries: "Entries") -> None:
    document = client.get("/probe/").get_json()
    labels = {label for strategy in document["strategies"] for label in strategy["locals"]}
    assert labels == {"local", "local-unreleased", "request_stack", "app_stack"}
    for label in labels:
        assert entries(client, label) == "0.0"


def test_a_body_that_breaks_off_is_the_clients_fault(client: "ClosingClient") -> None:
    environ = EnvironBuilder(
        "/probe/local?nonce=a", method="POST", content_type="application/json"
    ).get_environ()
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(b'{"non'), "50"
    response = client.open(environ)
    assert response.status_code == 400
    assert json.loads(response.get_data())["parameter"] == "request.body"
