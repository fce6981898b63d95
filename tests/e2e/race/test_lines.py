"""The lines of a race: what is raced, how it goes, what each request met, and the verdicts."""

from collections import Counter
from itertools import pairwise
from socket import create_connection
from typing import TYPE_CHECKING

import pytest

from greenlane.demo.strategies import ReleasedLocal, SharedObject

if TYPE_CHECKING:
    from tests.e2e.conftest import Process, WaitUntil
    from tests.e2e.race.conftest import Fields, Line, Visitor

pytestmark = pytest.mark.usefixtures("nothing_left")

TIMEOUT = 60.0
SHARED, LOCAL = "shared-object/shared-object", "shared-object/local"


@pytest.fixture(scope="module")
def raced(visitor: "Visitor", quick: "Fields") -> "list[Line]":
    """A race of a shared object beside a Local."""
    return visitor.race(quick)


def of_kind(lines: "list[Line]", kind: str) -> "list[Line]":
    return [line for line in lines if line["kind"] == kind]


def test_the_lines_come_in_their_order(raced: "list[Line]") -> None:
    kinds = [line["kind"] for line in raced]
    assert (kinds[0], kinds[-1]) == ("begin", "end")
    assert set(kinds) <= {"begin", "tick", "control", "request", "lane", "end"}
    counted = Counter(kinds)
    assert [counted[kind] for kind in ("begin", "control", "request", "end")] == [1, 1, 80, 1]
    assert kinds.index("control") < kinds.index("request")


def test_the_first_line_says_what_is_raced(raced: "list[Line]") -> None:
    shared, local = (
        {"key": f"shared-object/{strategy.name}", "summary": strategy.summary}
        for strategy in (SharedObject, ReleasedLocal)
    )
    assert raced[0] == {"kind": "begin", "requests": 40, "cells": [shared, local]}


def test_ticks_tell_how_it_goes(raced: "list[Line]") -> None:
    """At least four a second, so that somebody sees it move, also before the first request."""
    ticks = of_kind(raced, "tick")
    assert len(ticks) > 4 * raced[-1]["elapsed"]
    names = {"kind", "elapsed", "in_flight", "peak", "native_threads", "finished"}
    assert all(set(tick) == names for tick in ticks)
    for one, other in pairwise([*ticks, raced[-1]]):
        assert all(one[name] <= other[name] for name in ("elapsed", "peak", "finished", "native_threads"))


def test_each_request_has_a_line(raced: "list[Line]") -> None:
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


def test_what_was_recorded_is_what_the_client_got(raced: "list[Line]") -> None:
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


def test_every_lane_of_every_story_has_come(raced: "list[Line]") -> None:
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


def test_what_is_shared_is_seen_by_the_places(raced: "list[Line]") -> None:
    lanes = [line["lane"] for line in of_kind(raced, "request")]
    assert {lane["keeps"] for lane in lanes if lane["cell"] == SHARED} == {"the one object"}
    local = [lane for lane in lanes if lane["cell"] == LOCAL]
    assert all(lane["keeps"] == lane["greenlet"] for lane in local)
    assert len({lane["keeps"] for lane in local}) == 20


def test_the_verdicts(raced: "list[Line]") -> None:
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


def test_a_strategy_alone_has_a_control_beside_it(visitor: "Visitor", quick: "Fields") -> None:
    lines = visitor.race(quick | {"strategy": "local", "beside": ""})
    assert [line["control"] for line in of_kind(lines, "control")] == ["shared-object/broken"]
    requests = of_kind(lines, "request")
    assert Counter(line["cell"] for line in requests) == {LOCAL: 40, "shared-object/broken": 40}
    assert all((line["lane"] is None) == (line["cell"] != LOCAL) for line in requests)
    verdicts = lines[-1]["verdicts"]
    assert verdicts[LOCAL]["verdict"] == "ISOLATED"
    assert verdicts["shared-object/broken"]["verdict"] == "CROSS-TALK"


def test_one_at_a_time_nothing_is_shown(visitor: "Visitor", quick: "Fields") -> None:
    lines = visitor.race(quick | {"requests": "4", "at_once": "1"})
    verdicts = lines[-1]["verdicts"]
    assert {verdicts[cell]["verdict"] for cell in (SHARED, LOCAL)} == {"INCONCLUSIVE"}
    assert lines[-1]["peak"] == 1
    said = ["".join(map(str, line["story"]["words"])) for line in of_kind(lines, "request")]
    assert all("that shows nothing" in words for words in said)


def test_without_scripts_the_page_shows_the_results(visitor: "Visitor", quick: "Fields") -> None:
    """The page that answers goes on while the race does, and leads to the results when it is over."""
    with visitor.starting(quick | {"strategy": "thread-ident"}, scripts=False) as response:
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


def test_a_race_is_judged_by_its_own_contexts(
    process: "Process", visitor: "Visitor", wait_until: "WaitUntil", quick: "Fields"
) -> None:
    """A request of somebody else's that is in flight when a race ends is nothing that the race has left."""
    with create_connection(("127.0.0.1", process.port), timeout=TIMEOUT) as other:
        # It waits for its body in the view, and holds its contexts until that comes.
        other.sendall(
            b"POST /probe/context?nonce=other HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 11\r\n\r\n"
        )
        wait_until(lambda: b'pushed_total{kind="request"} 0' not in process.get("/metrics")[1], "it is held")
        lines = visitor.race(quick | {"strategy": "context"})
        other.sendall(b"nonce=other")
        assert other.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"
    assert lines[-1]["verdicts"]["shared-object/context"]["verdict"] == "ISOLATED"
