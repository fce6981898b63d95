"""Where the hazards are: the listing, what is refused and how, doomed requests, and what is counted."""

import inspect
import json
from functools import partial
from html.parser import HTMLParser
from typing import Any, get_args

import gevent
import pytest
from geventhttpclient import HTTPClient
from werkzeug.test import Client, TestResponse

from greenlane.demo import create_demo
from greenlane.demo.hazards import HAZARDS
from greenlane.demo.hazards.hazard import ExerciseName, Fate, Outcome, OwnServer, everywhere
from greenlane.demo.hazards.mount import NAMES, VARIANTS
from greenlane.demo.switching import Switcher
from greenlane.ops import Ops

FORM = {"Content-Type": "application/x-www-form-urlencoded"}

MOUNTED = [
    f"{hazard.name}/{variant}"
    for hazard in HAZARDS
    for variant in VARIANTS
    if getattr(hazard, variant) is not None and hazard.own_server is None
]


@pytest.fixture(name="demo", scope="module")
def _demo() -> Ops:
    return create_demo(secret_key="for this test")


class Visits(Client):
    """Makes each request on a greenlet of its own, as on a new connection, and reads it to its end."""

    def open(self, *args: Any, **options: Any) -> TestResponse:
        visit = partial(super().open, *args, **{"buffered": True} | options)
        response: TestResponse = gevent.spawn(visit).get(timeout=20)
        return response


@pytest.fixture(name="client", scope="module")
def _client(demo: Ops) -> Client:
    return Visits(demo)


def count(client: Client, cell: str) -> float:
    """Read what a cell has left, from the metrics."""
    hazard, _, strategy = cell.partition("/")
    prefix = f'greenlane_demo_left{{hazard="{hazard}",strategy="{strategy}"}} '
    lines = client.get("/metrics").get_data(as_text=True).splitlines()
    return float(next(line for line in lines if line.startswith(prefix)).removeprefix(prefix))


# The listing


@pytest.fixture(name="listed")
def _listed(client: Client) -> dict[str, Any]:
    response = client.get("/hazards/")
    assert response.content_type == "application/json"
    return {hazard["name"]: hazard for hazard in response.get_json()["hazards"]}


def test_each_hazard_is_listed_in_one_shape(listed: dict[str, Any]) -> None:
    assert list(listed) == [hazard.name for hazard in HAZARDS]
    for hazard in listed.values():
        assert list(hazard) == [
            *("name", "summary", "shows", "cause", "incidents", "caught_as", "exercise", "alone"),
            *("own_server", "counts_left", "variants", "strategies", "not_applicable"),
        ]
        for text in ("name", "summary", "shows", "cause"):
            assert hazard[text].strip()
        assert hazard["incidents"]
        assert hazard["caught_as"]
        assert set(hazard["caught_as"]) <= set(get_args(Outcome))
        exercise = hazard["exercise"]
        assert exercise["name"] in get_args(ExerciseName)
        assert exercise["fate"] in {None, *get_args(Fate)}
        assert 0 <= exercise["share"] < 1
        assert bool(exercise["share"]) == bool(exercise["fate"])
        assert hazard["own_server"] in {None, *get_args(OwnServer)}
        assert {*VARIANTS} <= {*hazard["variants"]}
        assert all(hazard["variants"].values())


def test_each_strategy_is_applicable_or_there_is_a_reason(listed: dict[str, Any]) -> None:
    for hazard in listed.values():
        assert sorted([*hazard["strategies"], *hazard["not_applicable"]]) == sorted(NAMES)
        assert set(hazard["strategies"].values()) <= {"isolated", "cross-talk", "missing", "leak"}
        assert all(hazard["not_applicable"].values())


def test_each_break_has_its_reason() -> None:
    for hazard in HAZARDS:
        assert not set(hazard.breaks) & set(hazard.not_applicable)
        assert set(hazard.breaks) <= set(NAMES)
        assert all(broken.why for broken in hazard.breaks.values())


def test_each_incident_is_an_address_or_a_known_name() -> None:
    for hazard in HAZARDS:
        for incident in hazard.incidents:
            assert incident.startswith("https://") or incident == "the classic first demonstration"


def test_a_hazard_with_a_variant_says_in_its_own_words_what_it_does() -> None:
    """Not in those of a class that it inherits from."""
    for hazard in HAZARDS:
        for variant in (hazard.broken, hazard.fixed):
            if variant is not None:
                assert variant.__doc__
                assert variant.__doc__ != variant.__mro__[1].__doc__
                assert inspect.getsource(variant)


def test_everywhere_names_every_strategy_once() -> None:
    assert everywhere("so it is") == dict.fromkeys(NAMES, "so it is")


# What is refused


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nothing/broken", "no hazard 'nothing'"),
        ("nothing/local", "no hazard 'nothing'"),
        ("keep-alive/nothing", "no strategy 'nothing'"),
        ("nested-same-app/local", "says nothing of 'local': has one lane for each greenlet"),
        ("late-patch/broken", "needs a server of its own"),
        ("keep-alive/local/more", "not found"),
        ("keep-alive", "not found"),
    ],
)
def test_an_unknown_cell_is_refused_with_the_reason(client: Client, path: str, said: str) -> None:
    response = client.get(f"/hazards/{path}?nonce=a")
    assert response.status_code == 404
    assert said in response.get_json()["error"]


BAD = [
    ("", "nonce"),
    ("nonce=a%20b", "nonce"),
    ("nonce=a&hops=65", "hops"),
    ("nonce=a&pause=1001", "pause"),
    ("nonce=a&release=2", "release"),
]


@pytest.mark.parametrize(("query", "parameter"), BAD)
@pytest.mark.parametrize("strategy", ["broken", "fixed", "local", "shared-object"])
@pytest.mark.parametrize(
    "hazard",
    [
        "keep-alive",
        "raise-early",
        "killed-midway",
        "abandoned-stream",
        "stream-after-pop",
        "lost-in-spawn",
        "pool-residue",
        "shared-stack",
    ],
)
def test_a_bad_parameter_is_named(
    client: Client, hazard: str, strategy: str, query: str, parameter: str
) -> None:
    response = client.get(f"/hazards/{hazard}/{strategy}?{query}")
    assert response.status_code == 400
    assert response.get_json()["parameter"] == parameter
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("strategy", ["broken", "fixed", "local"])
@pytest.mark.parametrize(
    ("hazard", "query", "parameter"),
    [
        ("keep-alive", "fate=raise", "fate"),
        ("raise-early", "fate=kill", "fate"),
        ("raise-early", "fate=x", "fate"),
        ("killed-midway", "fate=kill&pause=0", "pause"),
        ("killed-midway", "fate=kill&pause=x", "pause"),
    ],
)
def test_a_fate_that_cannot_be_is_refused(
    client: Client, hazard: str, strategy: str, query: str, parameter: str
) -> None:
    response = client.get(f"/hazards/{hazard}/{strategy}?nonce=a&{query}")
    assert response.status_code == 400
    assert response.get_json()["parameter"] == parameter


@pytest.mark.parametrize("cell", ["keep-alive/broken", "keep-alive/local", "lost-in-spawn/fixed"])
def test_a_carrier_that_disagrees_is_named(client: Client, cell: str) -> None:
    response = client.post(f"/hazards/{cell}?nonce=a", data={"nonce": "b"})
    assert response.status_code == 400
    assert response.get_json()["parameter"] == "request.body"


@pytest.mark.parametrize("cell", ["keep-alive/broken", "stream-after-pop/fixed", "keep-alive/local"])
def test_another_method_is_refused(client: Client, cell: str) -> None:
    response = client.put(f"/hazards/{cell}?nonce=a")
    assert response.status_code == 405
    assert "error" in response.get_json()
    assert {"GET", "POST"} <= set(response.headers["Allow"].split(", "))


@pytest.mark.parametrize("strategy", ["broken", "fixed", "local"])
@pytest.mark.parametrize("hazard", ["keep-alive", "raise-early", "stream-after-pop", "pool-residue"])
def test_a_large_body_is_refused(client: Client, hazard: str, strategy: str) -> None:
    response = client.post(
        f"/hazards/{hazard}/{strategy}?nonce=a", data={"nonce": "a", "padding": "x" * 20_000}
    )
    assert response.status_code == 413
    assert "error" in response.get_json()


def test_what_was_refused_leaves_nothing(client: Client) -> None:
    for cell in (
        "killed-midway/fixed",
        "abandoned-stream/broken",
        "abandoned-stream/fixed",
        "raise-early/fixed",
    ):
        assert client.get(f"/hazards/{cell}?nonce=").status_code == 400
        assert count(client, cell) == 0


def test_an_unexpected_error_shows_no_traceback(client: Client) -> None:
    with pytest.MonkeyPatch.context() as patch:

        def fail(*_: object) -> None:
            raise RuntimeError("a secret of the house")

        patch.setattr(Switcher, "gap", fail)
        response = client.get("/hazards/keep-alive/local?nonce=a")
    assert response.status_code == 500
    assert "secret" not in response.get_data(as_text=True)


# What is answered


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("strategy", ["broken", "fixed", "local", "context"])
@pytest.mark.parametrize("hazard", ["shared-object", "ident-reuse", "keep-alive", "pool-residue"])
def test_a_cells_reply_is_a_probes_with_the_hazards_name(
    client: Client, hazard: str, strategy: str, method: str
) -> None:
    response = client.open(
        f"/hazards/{hazard}/{strategy}?nonce=a&hops=2&pause=0",
        method=method,
        headers={"X-Nonce": "a"},
        data={"nonce": "a"} if method == "POST" else None,
    )
    report = response.get_json()
    assert response.headers["Cache-Control"] == "no-store"
    assert (report["hazard"], report["strategy"]) == (hazard, strategy)
    assert len(report["checkpoints"]) == 2
    for checkpoint in report["checkpoints"]:
        assert set(checkpoint["read"].values()) == {"a"}


@pytest.mark.parametrize("strategy", ["broken", "fixed", "local"])
@pytest.mark.parametrize("hazard", ["abandoned-stream", "stream-after-pop"])
def test_a_stream_has_a_line_for_each_checkpoint_and_one_for_the_report(
    demonstration: str, hazard: str, strategy: str
) -> None:
    client = HTTPClient.from_url(demonstration)
    try:
        response = client.get(f"/hazards/{hazard}/{strategy}?nonce=a&hops=4&pause=1")
        *checkpoints, report = [json.loads(line) for line in response.read().splitlines()]
    finally:
        client.close()
    assert response["content-type"] == "application/x-ndjson"
    assert [list(each) for each in checkpoints] == [["after", "read", "error", "switches", "at"]] * 4
    assert report["checkpoints"] == []
    assert (report["hazard"], report["strategy"]) == (hazard, strategy)


@pytest.mark.parametrize("strategy", ["broken", "fixed", "local", "context", "gevent-local"])
@pytest.mark.parametrize(
    ("hazard", "fate", "status"), [("raise-early", "raise", 500), ("killed-midway", "kill", 503)]
)
def test_a_doomed_request_ends_as_announced_and_its_connection_goes_on(
    demonstration: str, hazard: str, fate: str, status: int, strategy: str
) -> None:
    client = HTTPClient.from_url(demonstration, concurrency=1)
    path = f"/hazards/{hazard}/{strategy}?nonce=a&pause=2"
    try:
        before = json.loads(client.get(path).read())["greenlet"]
        doomed = client.post(
            f"{path}&fate={fate}",
            body="nonce=a",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert json.loads(doomed.read()) == {"doomed": fate}
        assert doomed.status_code == status
        assert doomed["cache-control"] == "no-store"
        after = json.loads(client.get(path).read())
    finally:
        client.close()
    assert after["greenlet"] == before, "another greenlet: the connection was closed"
    finds = strategy in {"broken", "gevent-local"}
    assert (after["found"]["first"] == "a") == finds


class Links(HTMLParser):
    """Collects the addresses of a page's links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


def test_the_front_page_leads_to_every_variant(demonstration: str) -> None:
    client = HTTPClient.from_url(demonstration, network_timeout=20)
    try:
        links = [link for link in Links(client.get("/").read().decode()).found if "/hazards/" in link]
        assert {link.partition("?")[0] for link in links} >= {f"/hazards/{cell}" for cell in MOUNTED}
        for link in links:
            with client.get(link) as response:
                assert response.status_code == 200, link
                response.read()
    finally:
        client.close()


# What is counted


def test_every_cell_that_counts_is_in_the_metrics(client: Client) -> None:
    lines = client.get("/metrics").get_data(as_text=True).splitlines()
    samples = [line for line in lines if line.startswith("greenlane_demo_left{")]
    assert len(set(samples)) == len(samples)
    for cell in MOUNTED:
        assert count(client, cell) == 0
    for hazard in HAZARDS:
        for strategy in ("local", "context"):
            if strategy not in hazard.not_applicable:
                assert count(client, f"{hazard.name}/{strategy}") == 0


def test_what_a_strategy_keeps_is_counted_where_it_was_put(demo: Ops, client: Client) -> None:
    """Each hazard has strategies of its own."""
    connection = Client(demo)

    def visit() -> None:
        connection.get("/hazards/keep-alive/local-unreleased?nonce=a&pause=0")
        assert count(connection, "keep-alive/local-unreleased") == 1
        assert count(connection, "ident-reuse/local-unreleased") == 0
        report = connection.get("/hazards/ident-reuse/local-unreleased?nonce=b&pause=0").get_json()
        assert report["found"] == {"first": None, "second": None}

    gevent.spawn(visit).get(timeout=20)
    assert count(client, "keep-alive/local-unreleased") == 0
