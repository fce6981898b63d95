"""Races on a real server: what comes on the line, how a race ends, and what it leaves behind: nothing."""

import json
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from itertools import pairwise
from pathlib import Path
from socket import AF_UNIX, create_connection, has_ipv6, socket
from ssl import create_default_context
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import psutil
import pytest
import trustme

if TYPE_CHECKING:
    from tests.e2e.conftest import Process, Run, WaitUntil

TIMEOUT = 60.0
LINES = "application/x-ndjson"
HTML = "text/html,application/xhtml+xml,*/*;q=0.8"
SHARED, LOCAL = "shared-object/shared-object", "shared-object/local"
QUICK = {"hazard": "shared-object", "strategy": "shared-object", "beside": "local"} | {
    name: str(number) for name, number in (("requests", 40), ("at_once", 20), ("hops", 2))
}
LONG = QUICK | {"requests": "2000", "at_once": "4", "hops": "16"}

Line = dict[str, Any]

MOUNTED = """
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from greenlane.demo import create_demo

app = DispatcherMiddleware(NotFound(), {"/below": create_demo(secret_key="tests")})
"""


class Visitor:
    """Somebody who has opened the page, and may start races.

    Args:
        connect: opens a connection to the server.
        prefix: where the demonstration is, as the visitor sees it.
        headers: are sent with each request, as by a proxy.

    """

    def __init__(
        self, connect: Callable[[], HTTPConnection], prefix: str = "", headers: dict[str, str] | None = None
    ) -> None:
        self._connect = connect
        self._headers = headers or {}
        self._path = prefix
        with self._asked("GET", "/", {}) as response:
            page = response.read().decode()
            self._cookie = (response.getheader("Set-Cookie") or "").partition(";")[0]
        self._token = page.partition('name="token" value="')[2].partition('"')[0]
        assert self._token

    def page(self) -> str:
        """Open the page again."""
        with self._asked("GET", "/", {"Cookie": self._cookie}) as response:
            return response.read().decode()

    @contextmanager
    def starting(self, fields: dict[str, str], accept: str = LINES) -> Iterator[HTTPResponse]:
        """Start a race; to leave the block is to close the connection."""
        form = urlencode(fields | {"token": self._token})
        headers = {"Cookie": self._cookie, "Accept": accept}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        with self._asked("POST", "/race", headers, form) as response:
            yield response

    def race(self, fields: dict[str, str]) -> list[Line]:
        """Run a race to its end, and return its lines."""
        with self.starting(fields) as response:
            assert (response.status, response.getheader("Content-Type")) == (200, LINES)
            return [json.loads(line) for line in response]

    @contextmanager
    def _asked(
        self, method: str, path: str, headers: dict[str, str], body: str | None = None
    ) -> Iterator[HTTPResponse]:
        connection = self._connect()
        try:
            connection.request(method, f"{self._path}{path}", body, self._headers | headers)
            response = connection.getresponse()
            yield response
            response.close()
        finally:
            connection.close()


def visitor_of(process: "Process", **options: Any) -> Visitor:
    return Visitor(lambda: HTTPConnection("127.0.0.1", process.port, timeout=TIMEOUT), **options)


def until(response: HTTPResponse, kind: str) -> Line:
    """Read lines up to one of a kind."""
    for text in response:
        line: Line = json.loads(text)
        if line["kind"] == kind:
            return line
    raise AssertionError(f"no line is {kind}")


def load_of(process: "Process") -> list[psutil.Process]:
    """The processes that the server has started, and that run."""
    return psutil.Process(process.popen.pid).children(recursive=True)


def arena_of(load: psutil.Process) -> str:
    """Where the load sends its requests: the path of the arena."""
    command = load.cmdline()
    return "/arena/" + command[command.index("--host") + 1].partition("/arena/")[2]


def metrics_of(process: "Process") -> Callable[[str], list[float]]:
    """Return what gives all samples of a metric."""
    text = process.get("/metrics", {"Connection": "close"})[1].decode()
    return lambda name: [
        float(found) for found in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
    ]


@pytest.fixture(scope="module")
def process(launch: "Run", tmp_path_factory: pytest.TempPathFactory) -> "Process":
    """The demonstration, as `make run` serves it."""
    return launch(cwd=tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def visitor(process: "Process") -> Visitor:
    return visitor_of(process)


@pytest.fixture(scope="module")
def raced(visitor: Visitor) -> list[Line]:
    """A race of a shared object beside a Local."""
    return visitor.race(QUICK)


@pytest.fixture(autouse=True)
def _nothing_left(process: "Process", wait_until: "WaitUntil") -> Iterator[None]:
    """After each test: no load, no requests, no contexts, no entries, no greenlets but the connection's."""
    yield
    wait_until(lambda: not load_of(process), "the load has ended")
    wait_until(lambda: metrics_of(process)("greenlane_connections_open") == [1.0], "all others have gone")
    metrics = metrics_of(process)
    assert metrics("greenlane_requests_in_flight") == [0.0]
    assert metrics("greenlane_greenlets") == [1.0]
    pushed, popped = metrics("greenlane_contexts_pushed_total"), metrics("greenlane_contexts_popped_total")
    assert (len(pushed), pushed) == (2, popped)
    entries = metrics("greenlane_local_entries")
    assert len(entries) > 2
    assert set(entries) == {0.0}
    assert metrics("greenlane_native_threads") == [1.0]


# What comes


def of_kind(lines: list[Line], kind: str) -> list[Line]:
    return [line for line in lines if line["kind"] == kind]


def test_the_lines_come_in_their_order(raced: list[Line]) -> None:
    kinds = [line["kind"] for line in raced]
    assert (kinds[0], kinds[-1]) == ("begin", "end")
    assert set(kinds) <= {"begin", "tick", "control", "request", "lane", "end"}
    counted = Counter(kinds)
    assert [counted[kind] for kind in ("begin", "control", "request", "end")] == [1, 1, 80, 1]
    assert kinds.index("control") < kinds.index("request")


def test_the_first_line_says_what_is_raced(raced: list[Line]) -> None:
    begin = raced[0]
    cells = begin.pop("cells")
    assert begin == {"kind": "begin", "hazard": "shared-object", "requests": 40, "at_once": 20, "hops": 2}
    assert [(cell["key"], cell["strategy"], cell["role"]) for cell in cells] == [
        (SHARED, "shared-object", "control"),
        (LOCAL, "local", "subject"),
    ]
    assert cells[0]["shares"] == "All requests share one object."
    assert all(set(cell) == {"key", "strategy", "role", "summary", "shares"} for cell in cells)
    begin["cells"] = cells


def test_ticks_tell_how_it_goes(raced: list[Line]) -> None:
    """At least four a second, so that somebody sees it move, also before the first request."""
    ticks = of_kind(raced, "tick")
    assert len(ticks) > 4 * raced[-1]["elapsed"]
    names = {"kind", "elapsed", "in_flight", "peak", "native_threads", "finished"}
    assert all(set(tick) == names for tick in ticks)
    for one, other in pairwise([*ticks, raced[-1]]):
        assert all(one[name] <= other[name] for name in ("elapsed", "peak", "finished", "native_threads"))


def test_each_request_has_a_line(raced: list[Line]) -> None:
    requests = of_kind(raced, "request")
    for cell in (SHARED, LOCAL):
        numbers = [line["number"] for line in requests if line["cell"] == cell]
        assert sorted(numbers) == list(range(1, 41))
    names = (
        "kind cell number nonce connection judged why checks stale whose in_flight switches thread process"
    )
    for line in requests:
        assert set(line) == {*names.split(), "ms", "lane", "story"}
        assert line["judged"] in {"own", "foreign", "torn", "stale", "missing"}
        assert line["why"] is None
        assert len(line["checks"]) == 2
        assert line["lane"]["nonce"] == line["nonce"]
    assert len({line["nonce"] for line in requests}) == 80
    assert len({(line["thread"], line["process"]) for line in requests}) == 1


def test_what_was_recorded_is_what_the_client_got(raced: list[Line]) -> None:
    """The load judges replies; the lanes come from the server's recorder: two ways, one finding."""
    for line in of_kind(raced, "request"):
        events = line["lane"]["events"]
        kinds = [event[1] for event in events]
        assert (kinds[0], kinds[-1]) == ("began", "ended")
        assert [event[2] for event in events if event[1] == "wrote"] == ["first", "second"]
        readings = [events[0][2], *(event[3] for event in events if event[1] == "read")]
        read = dict.fromkeys(value for reading in readings for value in reading.values())
        assert [value for value in read if value not in (None, line["nonce"])] == line["whose"]
        assert any(readings[0].values()) == line["stale"]
        times = [event[0] for event in events]
        assert times == sorted(times)
        assert 0 < times[0] < times[-1] <= raced[-1]["elapsed"] * 1000 + 1_000


def test_every_lane_of_every_story_has_come(raced: list[Line]) -> None:
    lanes = [line["lane"] for line in raced if line.get("lane")]
    ids = [lane["id"] for lane in lanes]
    assert len(set(ids)) == len(ids)
    for lane in lanes:
        assert set(lane) == {"id", "cell", "nonce", "greenlet", "keeps", "events"}
    for line in of_kind(raced, "request"):
        story = line["story"]
        assert set(story) == {"lanes", "checkpoint", "words"}
        assert story["lanes"][0] == line["lane"]["id"]
        assert 1 <= len(story["lanes"]) <= 3
        assert set(story["lanes"]) <= set(ids)
        assert {word for word in story["words"] if isinstance(word, int)} <= set(story["lanes"])
        if line["judged"] in {"foreign", "torn", "missing"}:
            assert story["checkpoint"] == line["checks"].index(line["judged"]) + 1


def test_what_is_shared_is_seen_by_the_places(raced: list[Line]) -> None:
    lanes = [line["lane"] for line in of_kind(raced, "request")]
    assert {lane["keeps"] for lane in lanes if lane["cell"] == SHARED} == {"the one object"}
    local = [lane for lane in lanes if lane["cell"] == LOCAL]
    assert all(lane["keeps"] == lane["greenlet"] for lane in local)
    assert len({lane["keeps"] for lane in local}) == 20


def test_the_verdicts(raced: list[Line]) -> None:
    end = raced[-1]
    shared, local = end["verdicts"][SHARED], end["verdicts"][LOCAL]
    assert (shared["verdict"], local["verdict"]) == ("CROSS-TALK", "ISOLATED")
    assert shared["cross_talk"] > 0
    assert local["checks"] == {"own": 80, "foreign": 0, "torn": 0, "missing": 0}
    judged = Counter(line["judged"] for line in of_kind(raced, "request") if line["cell"] == SHARED)
    assert shared["cross_talk"] == judged["foreign"] + judged["torn"] + judged["stale"]
    assert 1 < end["peak"] <= 40
    assert (end["native_threads"], end["finished"]) == (1, 80)


# Other races


def test_a_strategy_alone_has_a_control_beside_it(visitor: Visitor) -> None:
    lines = visitor.race(QUICK | {"strategy": "local", "beside": ""})
    assert [line["control"] for line in of_kind(lines, "control")] == ["shared-object/broken"]
    requests = of_kind(lines, "request")
    assert Counter(line["cell"] for line in requests) == {LOCAL: 40, "shared-object/broken": 40}
    assert all((line["lane"] is None) == (line["cell"] != LOCAL) for line in requests)
    verdicts = lines[-1]["verdicts"]
    assert verdicts[LOCAL]["verdict"] == "ISOLATED"
    assert verdicts["shared-object/broken"]["verdict"] == "CROSS-TALK"


def test_one_at_a_time_nothing_is_shown(visitor: Visitor) -> None:
    lines = visitor.race(QUICK | {"requests": "4", "at_once": "1"})
    verdicts = lines[-1]["verdicts"]
    assert {verdicts[cell]["verdict"] for cell in (SHARED, LOCAL)} == {"INCONCLUSIVE"}
    assert lines[-1]["peak"] == 1
    said = ["".join(map(str, line["story"]["words"])) for line in of_kind(lines, "request")]
    assert all("that shows nothing" in words for words in said)


def test_without_scripts_the_page_shows_the_results(visitor: Visitor) -> None:
    """The page that answers goes on while the race does, and leads to the results when it is over."""
    with visitor.starting(QUICK | {"strategy": "thread-ident"}, HTML) as response:
        assert (response.status, response.getheader("Cache-Control")) == (200, "no-store")
        running = response.read().decode()
    assert '<meta http-equiv="refresh" content="0; url=/#race">' in running
    assert running.rstrip().endswith("</html>")
    page = visitor.page()
    assert "40 requests each, 20 at once, 2 switches in each, under the hazard shared-object" in page
    assert "thread-ident" in page.partition("The last race")[2]
    assert 'data-verdict="CROSS-TALK"' in page
    assert 'data-verdict="ISOLATED"' in page
    assert "thread-ident, the control" not in page
    assert "requests met data that was not their own" in page.partition("<h4>thread-ident</h4>")[2]


def test_without_scripts_who_leaves_ends_it_too(
    process: "Process", visitor: Visitor, wait_until: "WaitUntil"
) -> None:
    with visitor.starting(LONG, HTML) as response:
        assert b"The race is running" in response.read1()
        wait_until(lambda: len(load_of(process)) == 1, "the load has begun")
    wait_until(lambda: not load_of(process), "the load has ended")


def test_a_race_is_judged_by_its_own_contexts(
    process: "Process", visitor: Visitor, wait_until: "WaitUntil"
) -> None:
    """A request of somebody else's that is in flight when a race ends is nothing that the race has left."""
    with create_connection(("127.0.0.1", process.port), timeout=TIMEOUT) as other:
        # It waits for its body in the view, and holds its contexts until that comes.
        other.sendall(
            b"POST /probe/context?nonce=other HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 11\r\n\r\n"
        )
        wait_until(lambda: b'pushed_total{kind="request"} 0' not in process.get("/metrics")[1], "it is held")
        lines = visitor.race(QUICK | {"strategy": "context"})
        other.sendall(b"nonce=other")
        assert other.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"
    assert lines[-1]["verdicts"]["shared-object/context"]["verdict"] == "ISOLATED"


# How it ends


def test_while_one_runs_another_is_refused_and_who_leaves_ends_it(
    process: "Process", visitor: Visitor, wait_until: "WaitUntil"
) -> None:
    with visitor.starting(LONG) as response:
        until(response, "request")
        (load,) = load_of(process)
        arena = arena_of(load)
        assert process.get(f"{arena}/hazards/", {"Connection": "close"})[0] == 200
        for accept, says in ((LINES, b'{"error": "Another race is running'), (HTML, b"<!doctype html>")):
            with visitor_of(process).starting(QUICK, accept) as refused:
                assert refused.status == 409
                assert refused.read().startswith(says)
        assert load.is_running()
    left = time.monotonic()
    wait_until(lambda: not load_of(process), "the load has ended")
    assert time.monotonic() - left < 3  # a second, and what a busy machine takes
    assert process.get(f"{arena}/hazards/", {"Connection": "close"})[0] == 404
    assert visitor.race(QUICK)[-1]["kind"] == "end"


def test_a_load_that_is_killed_is_said_and_the_next_race_starts(process: "Process", visitor: Visitor) -> None:
    with visitor.starting(LONG) as response:
        until(response, "request")
        load_of(process)[0].kill()
        lines = [json.loads(text) for text in response]
        assert lines[-1] == {"kind": "error", "message": "The load test ended without a verdict."}
    with visitor.starting(LONG) as response:
        assert until(response, "control")


def test_a_server_that_stops_ends_the_race_and_says_so(run: "Run") -> None:
    process = run()
    with visitor_of(process).starting(LONG) as response:
        until(response, "request")
        (load,) = load_of(process)
        process.tell(signal.SIGTERM)
        lines = [json.loads(text) for text in response]
        assert lines[-1] == {"kind": "error", "message": "The server is stopping, and ended the race."}
    assert process.exit_code() == 0
    assert not load.is_running()
    assert "Traceback" not in process.errors()


def test_a_load_does_not_outlive_a_server_that_is_killed(run: "Run", wait_until: "WaitUntil") -> None:
    process = run()
    with visitor_of(process).starting(LONG) as response:
        until(response, "request")
        (load,) = load_of(process)
        process.tell(signal.SIGKILL)
        process.exit_code()
        wait_until(lambda: not load.is_running(), "the load has ended")


# Where it runs


def test_behind_a_proxy_the_load_goes_to_the_server_itself(run: "Run") -> None:
    """The proxy's name, scheme and prefix are the visitor's business: the load does not know of them."""
    forwarded = ("proto=1", "host=1", "prefix=1")
    options = [option for each in forwarded for option in ("--forwarded", each)]
    process = run("--trusted-proxy", "127.0.0.1", *options)
    headers = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "greenlane.test",
        "X-Forwarded-Prefix": "/below",
    }
    visitor = visitor_of(process, headers=headers)
    with visitor.starting(QUICK, HTML) as response:
        assert 'content="0; url=/below/#race"' in response.read().decode()
    assert 'data-verdict="ISOLATED"' in visitor.page()


@pytest.mark.skipif(not has_ipv6, reason="this system has no IPv6")
def test_below_a_path_and_at_an_address_of_ipv6(run: "Run", tmp_path: Path) -> None:
    (tmp_path / "mounted.py").write_text(MOUNTED)
    process = run("mounted:app", "--host", "::1", "--port", "0")
    visitor = Visitor(lambda: HTTPConnection("::1", process.port, timeout=TIMEOUT), prefix="/below")
    assert visitor.race(QUICK)[-1]["verdicts"][LOCAL]["verdict"] == "ISOLATED"


def test_over_tls_with_a_certificate_that_nobody_knows_it_says_why(run: "Run", tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    leaf.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    process = run("--certfile", "both.pem")
    context = create_default_context()
    authority.configure_trust(context)

    def connect() -> HTTPSConnection:
        return HTTPSConnection("127.0.0.1", process.port, timeout=TIMEOUT, context=context)

    last = Visitor(connect).race(QUICK)[-1]
    assert last["kind"] == "error"
    assert "certificate" in last["message"]


def test_over_a_unix_socket_it_says_why_not(run: "Run", tmp_path: Path) -> None:
    process = run("--unix", "s")

    def connect() -> HTTPConnection:
        connection = HTTPConnection("localhost")
        connection.sock = socket(AF_UNIX)
        connection.sock.connect(str(tmp_path / "s"))
        return connection

    with Visitor(connect).starting(QUICK) as response:
        assert response.status == 503
        assert "Unix socket" in json.loads(response.read())["error"]
    assert load_of(process) == []
