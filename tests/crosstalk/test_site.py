"""What the prover reads from a server beside the replies."""

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from crosstalk.site import CannotRun, Site

METRICS = """\
greenlane_requests_total 12.0
greenlane_requests_in_flight {in_flight}
greenlane_requests_in_flight_peak 7.0
greenlane_connections_accepted_total 4.0
greenlane_native_threads 1.0
greenlane_contexts_pushed_total{{kind="request"}} 9.0
greenlane_contexts_popped_total{{kind="request"}} 8.0
greenlane_contexts_pushed_total{{kind="application"}} 9.0
greenlane_contexts_popped_total{{kind="application"}} 9.0
greenlane_local_entries{{local="local"}} 2.0
"""
STRATEGY = {"name": "local", "role": "subject", "summary": "Each its own.", "locals": ["local"]}

Pages = dict[str, tuple[int, str]]
MakeSite = Callable[[Pages], Site]


@pytest.fixture
def make_site() -> Iterator[MakeSite]:
    """Serve fixed pages from a thread, as a server of another make would."""
    servers: list[ThreadingHTTPServer] = []

    def make(pages: Pages) -> Site:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, text = pages.get(self.path, (404, ""))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return Site(f"http://127.0.0.1:{server.server_port}/")

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_strategies_are_learned_from_the_server(make_site: MakeSite) -> None:
    site = make_site({"/probe/": (200, json.dumps({"strategies": [STRATEGY]}))})
    (strategy,) = site.strategies().values()
    assert (strategy.name, strategy.role, strategy.locals) == ("local", "subject", ("local",))


@pytest.mark.parametrize(
    ("listed", "known"), [({"fates": ["raise"]}, True), ({"fates": []}, False), ({}, False)]
)
def test_a_server_says_whether_its_probes_can_be_asked_to_raise(
    make_site: MakeSite, listed: dict[str, object], known: bool
) -> None:
    site = make_site({"/probe/": (200, json.dumps({"strategies": [STRATEGY]} | listed))})
    assert site.knows_fate("raise") is known


@pytest.mark.parametrize("text", ["not JSON", "[]", '{"fates": 7}'])
def test_fates_that_cannot_be_read_are_said(make_site: MakeSite, text: str) -> None:
    with pytest.raises(CannotRun, match="fates"):
        make_site({"/probe/": (200, text)}).knows_fate("raise")


@pytest.mark.parametrize(
    "text",
    [
        "not JSON",
        "[]",
        "{}",
        '{"strategies": []}',
        "[" * 100_000,
        json.dumps({"strategies": [STRATEGY | {"name": 5}]}),
        json.dumps({"strategies": [STRATEGY | {"name": "../x"}]}),
        json.dumps({"strategies": [STRATEGY | {"name": "\ud800"}]}),
        '{"strategies": [{}]}',
        json.dumps({"strategies": [STRATEGY | {"role": "hero"}]}),
    ],
)
def test_a_listing_of_another_shape_cannot_be_run(make_site: MakeSite, text: str) -> None:
    with pytest.raises(CannotRun, match="lists no strategies"):
        make_site({"/probe/": (200, text)}).strategies()


def test_the_counts_are_read_from_the_metrics(make_site: MakeSite) -> None:
    counts = make_site({"/metrics": (200, METRICS.format(in_flight=3))}).counts()
    assert (counts.requests, counts.in_flight, counts.peak_in_flight, counts.connections) == (12, 3, 7, 4)
    assert counts.native_threads == 1
    assert counts.idle.contexts == {"request": 1, "application": 0}
    assert counts.idle.entries == {"local": 2}


@pytest.mark.parametrize("value", ["NaN", "+Inf", "many"])
def test_metrics_that_are_no_counts_cannot_be_run(make_site: MakeSite, value: str) -> None:
    with pytest.raises(CannotRun, match="/metrics cannot be read"):
        make_site({"/metrics": (200, METRICS.format(in_flight=value))}).counts()


def test_the_metrics_of_others_may_be_anything(make_site: MakeSite) -> None:
    text = METRICS.format(in_flight=3) + "their_ratio NaN\n"
    assert make_site({"/metrics": (200, text)}).counts().in_flight == 3


def test_a_missing_label_is_named(make_site: MakeSite) -> None:
    text = METRICS.format(in_flight=3).replace('popped_total{kind="application"}', 'popped_total{kind="x"}')
    with pytest.raises(CannotRun, match="has no greenlane_contexts_popped_total application"):
        make_site({"/metrics": (200, text)}).counts()


def test_a_proxy_of_the_environment_is_not_asked(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load does not go through one either."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr(urllib.request, "_opener", None)  # what urlopen() made before looks at no variables
    assert make_site({"/metrics": (200, METRICS.format(in_flight=3))}).counts().in_flight == 3


@pytest.mark.parametrize("pages", [{}, {"/metrics": (200, "up 1\n")}, {"/metrics": (503, "")}])
def test_a_server_without_such_metrics_cannot_be_run(make_site: MakeSite, pages: Pages) -> None:
    with pytest.raises(CannotRun, match="/metrics"):
        make_site(pages).counts()


def test_what_is_left_after_waiting_is_told(make_site: MakeSite) -> None:
    site = make_site({"/metrics": (200, METRICS.format(in_flight=0))})
    idle, counts = site.at_idle(patience=0)
    assert (idle.contexts["request"], idle.entries["local"], idle.unknown) == (1, 2, None)
    assert counts is not None


def test_requests_still_in_flight_make_it_unknown(make_site: MakeSite) -> None:
    idle, _counts = make_site({"/metrics": (200, METRICS.format(in_flight=3))}).at_idle(patience=0)
    assert idle.unknown == "3 requests are still in flight"


def test_requests_in_flight_that_hold_nothing_are_waited_for_too(make_site: MakeSite) -> None:
    text = METRICS.format(in_flight=1).replace(
        'popped_total{kind="request"} 8', 'popped_total{kind="request"} 9'
    )
    idle, _counts = make_site({"/metrics": (200, text.replace('"local"} 2', '"local"} 0'))}).at_idle(
        patience=0
    )
    assert idle.unknown == "1 requests are still in flight"


def test_a_server_that_is_gone_makes_it_unknown(make_site: MakeSite) -> None:
    idle, counts = make_site({}).at_idle(patience=0)
    assert idle.unknown is not None
    assert counts is None


@pytest.mark.parametrize(
    "base", ["", "localhost:8000", "ftp://127.0.0.1", "http://", "http://:80", "http://[::1", "http://h:x"]
)
def test_what_is_no_address_is_refused(base: str) -> None:
    with pytest.raises(CannotRun, match="is not an address"):
        Site(base)


def test_an_answer_without_end_is_not_read_to_its_end(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crosstalk.site.LARGEST", 1_000)
    site = make_site({"/probe/": (200, " " * 1_001), "/hazards/": (200, " " * 1_000)})
    with pytest.raises(CannotRun, match="more than 1,000 bytes"):
        site.strategies()
    with pytest.raises(CannotRun, match="lists no hazards"):
        site.hazards()


def test_an_answer_that_trickles_is_given_up(make_site: MakeSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crosstalk.site.PATIENCE", -1.0)
    with pytest.raises(CannotRun, match="not answered in full"):
        make_site({"/probe/": (200, "[]")}).strategies()
