"""The demonstration as a whole, through its WSGI application.

One test client in one greenlet stands for one kept-alive connection: the same
greenlet serves its requests one after another.
"""

import io
import json
from html.parser import HTMLParser
from typing import Any

import gevent
import pytest
from markupsafe import escape
from werkzeug.test import Client, EnvironBuilder, TestResponse, run_wsgi_app

from greenlane.demo import create_demo, strategies
from greenlane.demo.hazards import HAZARDS
from greenlane.demo.hazards.sharing import SharedObject
from greenlane.demo.hazards.storage import KeepAlive
from greenlane.demo.keeper import FIELDS
from greenlane.demo.strategies import STRATEGIES
from greenlane.ops import Ops

EMPTY = dict.fromkeys(FIELDS)
NAMES = [strategy.name for strategy in STRATEGIES]


class ClosingClient(Client):
    """Reads and closes every response, as a server does before the connection's next request."""

    def open(self, *args: Any, **options: Any) -> TestResponse:
        return super().open(*args, **{"buffered": True} | options)


@pytest.fixture
def demo() -> Ops:
    return create_demo(secret_key="for this test")


@pytest.fixture
def client(demo: Ops) -> ClosingClient:
    return ClosingClient(demo)


def connection(demo: Ops, *addresses: str) -> list[Any]:
    """Request the addresses in turn, in one greenlet; return the JSON documents."""
    client = ClosingClient(demo)
    return [client.get(address).get_json() for address in addresses]


def at_once(demo: Ops, name: str, count: int, hops: int = 3) -> dict[str, Any]:
    """Probe ``name`` by ``count`` connections at once; return the reports by nonce."""
    probes = {
        f"n{number}": gevent.spawn(connection, demo, f"/probe/{name}?nonce=n{number}&pause=1&hops={hops}")
        for number in range(count)
    }
    gevent.joinall(list(probes.values()), timeout=20, raise_error=True)
    return {nonce: greenlet.get()[0] for nonce, greenlet in probes.items()}


def read_back(report: Any) -> list[dict[str, str | None]]:
    return [{field: checkpoint["read"][field] for field in FIELDS} for checkpoint in report["checkpoints"]]


def entries(client: ClosingClient, name: str) -> str:
    """Read one sample of the metric that counts entries."""
    metrics = client.get("/metrics").get_data(as_text=True)
    line = next(
        line for line in metrics.splitlines() if line.startswith(f'greenlane_local_entries{{local="{name}"}}')
    )
    return line.rpartition(" ")[2]


# Isolation


@pytest.mark.parametrize("name", ["local", "context"])
def test_a_subject_holds_among_overlapping_requests(demo: Ops, name: str) -> None:
    """B41, B43, B55: fifty requests in flight, each reads its own at every checkpoint."""
    reports = at_once(demo, name, 50)
    assert max(report["in_flight"] for report in reports.values()) == 50
    assert len({report["thread"] for report in reports.values()}) == 1
    for nonce, report in reports.items():
        assert report["switches"] > 0
        assert report["found"] == EMPTY
        assert read_back(report) == [dict.fromkeys(FIELDS, nonce)] * 3


@pytest.mark.parametrize("name", sorted(SharedObject.breaks))
def test_a_control_is_caught_among_overlapping_requests(demo: Ops, name: str) -> None:
    """B1, B55: nearly everybody reads somebody else's nonce."""
    reports = at_once(demo, name, 50)
    wrong = [
        nonce for nonce, report in reports.items() if dict.fromkeys(FIELDS, nonce) not in read_back(report)
    ]
    assert len(wrong) > 25


@pytest.mark.parametrize("name", sorted(KeepAlive.breaks))
def test_unreleased_data_is_found_by_the_next_request(demo: Ops, name: str) -> None:
    """The keep-alive hazard, broken: the same greenlet serves the connection's next request."""
    addresses = [f"/probe/{name}?nonce={nonce}&pause=0" for nonce in ("alice", "bob")]
    first, second = gevent.spawn(connection, demo, *addresses).get()
    assert first["greenlet"] == second["greenlet"]
    assert (first["found"], second["found"]) == (EMPTY, dict.fromkeys(FIELDS, "alice"))


@pytest.mark.parametrize("name", sorted(KeepAlive.breaks))
def test_released_on_demand_nothing_is_found(demo: Ops, name: str) -> None:
    """The keep-alive hazard, fixed: release=1 makes the probe release what it wrote."""
    addresses = [f"/probe/{name}?nonce={nonce}&pause=0&release=1" for nonce in ("alice", "bob")]
    _, second = gevent.spawn(connection, demo, *addresses).get()
    assert second["found"] == EMPTY


@pytest.mark.parametrize("name", [name for name in NAMES if name not in KeepAlive.breaks])
def test_a_subject_is_released_between_the_requests_of_a_connection(demo: Ops, name: str) -> None:
    """B28, B41: the same greenlet, and nothing left in it."""
    addresses = [f"/probe/{name}?nonce={nonce}&pause=0" for nonce in ("alice", "bob")]
    first, second = gevent.spawn(connection, demo, *addresses).get()
    assert first["greenlet"] == second["greenlet"]
    assert second["found"] == EMPTY


def test_local_is_released_when_the_response_is_closed(demo: Ops, client: ClosingClient) -> None:
    """B28, B30: LocalManager wraps the App; the entry is there until the close."""

    def visit() -> tuple[str, str]:
        environ = EnvironBuilder("/probe/local?nonce=a&pause=0").get_environ()
        body, status, _ = run_wsgi_app(demo, environ)
        assert status == "200 OK"
        held = entries(client, "local")
        body.close()  # type: ignore[attr-defined]
        return held, entries(client, "local")

    assert gevent.spawn(visit).get() == ("1.0", "0.0")


def test_local_is_released_also_when_the_probe_fails(
    demo: Ops, client: ClosingClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B28: the app answers 500 after a write; nothing stays."""

    def fail(*_: object) -> None:
        raise RuntimeError("no gap today")

    monkeypatch.setattr("greenlane.demo.switching.Switcher.gap", fail)
    assert client.get("/probe/local?nonce=a").status_code == 500
    assert entries(client, "local") == "0.0"


def test_an_unreleased_local_goes_away_with_its_connection(demo: Ops, client: ClosingClient) -> None:
    """B53: an entry while the greenlet lives, none after."""

    def visit() -> str:
        client.get("/probe/local-unreleased?nonce=a&pause=0")
        return entries(client, "local-unreleased")

    assert gevent.spawn(visit).get() == "1.0"
    assert entries(client, "local-unreleased") == "0.0"


class PlainLocal:
    """Looks like a Local and is one object for everybody."""

    def __release_local__(self) -> None:
        vars(self).clear()


def test_a_local_that_is_a_plain_object_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof of the proof: with Local broken, `local` replies with foreign nonces."""
    monkeypatch.setattr(strategies, "Local", PlainLocal)
    reports = at_once(create_demo(secret_key="for this test"), "local", 20)
    foreign = [
        value
        for nonce, report in reports.items()
        for read in read_back(report)
        for value in read.values()
        if value not in {nonce, None}
    ]
    assert foreign


# The probe's interface


@pytest.mark.parametrize("name", NAMES)
def test_every_strategy_answers_in_one_shape(demo: Ops, name: str) -> None:
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


def test_the_reply_is_json_and_not_to_be_stored(client: ClosingClient) -> None:
    response = client.get("/probe/local?nonce=a&pause=0")
    assert response.content_type == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert len(response.get_json()["checkpoints"]) == 3


@pytest.mark.parametrize("body", [{"data": {"nonce": "a"}}, {"json": {"nonce": "a"}}])
def test_context_reads_each_carrier_that_was_sent(client: ClosingClient, body: dict[str, Any]) -> None:
    """B43, B44: args, headers, cookies and body, through the request proxy."""
    client.set_cookie("nonce", "a")
    report = client.post("/probe/context?nonce=a&pause=0", headers={"X-Nonce": "a"}, **body).get_json()
    fields = [*FIELDS, "request.args", "request.headers", "request.cookies", "request.body"]
    assert [checkpoint["read"] for checkpoint in report["checkpoints"]] == [dict.fromkeys(fields, "a")] * 3
    assert report["found"] == EMPTY


def test_context_leaves_out_the_carriers_that_were_not_sent(client: ClosingClient) -> None:
    report = client.get("/probe/context?nonce=a&pause=0").get_json()
    assert list(report["checkpoints"][0]["read"]) == [*FIELDS, "request.args"]


def test_a_post_without_a_nonce_in_its_body_is_fine(client: ClosingClient) -> None:
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
def test_a_bad_parameter_is_named(client: ClosingClient, query: str, parameter: str) -> None:
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
def test_a_carrier_that_disagrees_is_named(demo: Ops, parameter: str, sent: dict[str, Any]) -> None:
    response = ClosingClient(demo, use_cookies=False).post("/probe/local?nonce=a", **sent)
    assert response.status_code == 400
    assert response.get_json()["parameter"] == parameter


@pytest.mark.parametrize(
    "query", ["hops=1", "hops=64&pause=0", "pause=0&hops=01", f"hops=1&nonce={'a' * 64}"]
)
def test_the_bounds_themselves_are_allowed(client: ClosingClient, query: str) -> None:
    nonce = "" if "nonce" in query else "nonce=a&"
    assert client.get(f"/probe/local?{nonce}{query}").status_code == 200


def test_a_large_body_is_refused(client: ClosingClient) -> None:
    response = client.post("/probe/local?nonce=a", data={"nonce": "a", "padding": "x" * 20_000})
    assert response.status_code == 413
    assert "error" in response.get_json()


@pytest.mark.parametrize("path", ["/probe/nothing?nonce=a", "/probe/nothing", "/probe/local/more"])
def test_an_unknown_strategy_is_told_the_known_ones(client: ClosingClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert response.get_json()["strategies"] == NAMES


def test_another_method_is_refused_in_json(client: ClosingClient) -> None:
    response = client.put("/probe/local?nonce=a")
    assert response.status_code == 405
    assert "error" in response.get_json()
    assert {"GET", "POST"} <= set(response.headers["Allow"].split(", "))


def test_an_unexpected_error_shows_no_traceback(
    client: ClosingClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret of the house")

    monkeypatch.setattr(strategies.ReleasedLocal, "write", fail)
    response = client.get("/probe/local?nonce=a")
    assert response.status_code == 500
    assert "error" in response.get_json()
    assert "secret" not in response.get_data(as_text=True)


def test_the_listing(client: ClosingClient) -> None:
    document = client.get("/probe/").get_json()
    assert list(document) == ["strategies", "limits"]
    assert [strategy["name"] for strategy in document["strategies"]] == NAMES
    assert [list(strategy) for strategy in document["strategies"]] == [
        ["name", "role", "summary", "locals"]
    ] * 9
    assert document["limits"] == {"hops": 64, "pause_ms": 1000, "nonce_length": 64}


def test_the_listing_names_only_locals_that_are_measured(client: ClosingClient) -> None:
    document = client.get("/probe/").get_json()
    labels = {label for strategy in document["strategies"] for label in strategy["locals"]}
    assert labels == {"local", "local-unreleased", "request_stack", "app_stack"}
    for label in labels:
        assert entries(client, label) == "0.0"


# The pages


class Page(HTMLParser):
    """What a test wants to know of a page: its links and files, and whether its elements nest."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in {"href", "src"} and value]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


@pytest.fixture
def front(client: ClosingClient) -> TestResponse:
    return client.get("/", base_url="http://example.test:8123/")


def test_the_front_page_lists_every_strategy(front: TestResponse) -> None:
    text = front.get_data(as_text=True)
    assert front.status_code == 200
    for strategy in STRATEGIES:
        assert f">{strategy.name}</a>" in text
        assert str(escape(strategy.summary)) in text


def test_the_front_page_lists_every_hazard(front: TestResponse) -> None:
    text = front.get_data(as_text=True)
    for hazard in HAZARDS:
        assert f">{hazard.name}<" in text
        assert str(escape(hazard.summary)) in text


def test_the_front_page_needs_no_script_and_no_other_host(front: TestResponse) -> None:
    page = Page(front.get_data(as_text=True))
    assert "script" not in page.tags
    assert all(address.startswith("/") for address in page.addresses)


def test_every_link_of_the_front_page_works(client: ClosingClient, front: TestResponse) -> None:
    """Those of the hazards, which need patched sockets, are followed on a real server."""
    pages = [each for each in Page(front.get_data(as_text=True)).addresses if "/hazards/" not in each]

    def follow() -> None:
        for address in pages:
            assert client.get(address).status_code == 200, address

    gevent.spawn(follow).get()


def test_the_commands_name_the_host_of_the_request(front: TestResponse) -> None:
    text = front.get_data(as_text=True)
    assert "http://example.test:8123/probe/local?nonce=a&amp;hops=3" in text
    assert "crosstalk prove --host http://example.test:8123" in text


def test_a_hostile_host_is_not_repeated(client: ClosingClient) -> None:
    text = client.get("/", headers={"Host": "a';rm -rf \"<b>"}).get_data(as_text=True)
    assert "rm -rf" not in text
    assert "http://localhost/probe/local" in text


def test_below_a_prefix_the_links_keep_it(client: ClosingClient) -> None:
    page = Page(client.get("/", base_url="http://example.test/below/").get_data(as_text=True))
    assert all(address.startswith("/below/") for address in page.addresses)


def test_an_unknown_path_gets_a_small_page(client: ClosingClient) -> None:
    response = client.get("/no/such/<b>page")
    assert response.status_code == 404
    assert response.content_type == "text/html; charset=utf-8"
    assert "<b>" not in response.get_data(as_text=True)
    Page(response.get_data(as_text=True))


@pytest.mark.parametrize(
    "path", ["/", "/probe/", "/probe/nothing", "/nowhere", "/static/style.css", "/static/lanes.svg"]
)
def test_security_headers_go_out_with_everything(client: ClosingClient, path: str) -> None:
    response = client.get(path)
    assert response.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_the_styles_are_served(client: ClosingClient) -> None:
    response = client.get("/static/style.css")
    assert response.content_type == "text/css; charset=utf-8"
    assert "prefers-color-scheme: dark" in response.get_data(as_text=True)
    assert client.get("/static/../site.py").status_code == 404


# Making one


def test_without_a_secret_key_it_says_that_it_made_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    caplog.set_level("INFO")
    create_demo()
    assert "SECRET_KEY" in caplog.text


@pytest.mark.parametrize("given", [True, False])
def test_with_a_secret_key_it_says_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, given: bool
) -> None:
    monkeypatch.setenv("SECRET_KEY", "from the environment")
    create_demo(secret_key="given" if given else None)
    assert not caplog.text


def test_two_demonstrations_share_nothing() -> None:
    one, other = (create_demo(secret_key="for this test") for _ in range(2))

    def visit() -> list[Any]:
        address = "/probe/shared-object?nonce=a&pause=0"
        return [connection(demo, address)[0]["found"] for demo in (one, other)]

    assert gevent.spawn(visit).get() == [EMPTY, EMPTY]


def test_a_body_that_breaks_off_is_the_clients_fault(client: ClosingClient) -> None:
    environ = EnvironBuilder(
        "/probe/local?nonce=a", method="POST", content_type="application/json"
    ).get_environ()
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(b'{"non'), "50"
    response = client.open(environ)
    assert response.status_code == 400
    assert json.loads(response.get_data())["parameter"] == "request.body"
