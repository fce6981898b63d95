"""One race's lines: what is added to those of the load, when it ends, and that its arena goes with it.

The load is a program that prints what a test gives it; its real lines are tested with a real server.
"""

import json
import sys
import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil
import pytest
from gevent.socket import create_connection
from werkzeug.datastructures import ImmutableMultiDict

from greenlane.app import App
from greenlane.demo.race import load as load_module
from greenlane.demo.race.load import ENDING, Line
from greenlane.demo.race.run import LONGEST, Race
from greenlane.demo.race.settings import DEFAULTS, Settings
from greenlane.demo.strategies import ReleasedLocal
from greenlane.ops import Ops

if TYPE_CHECKING:
    from tests.demo.race.conftest import Scene

SHARED = "shared-object"
CELL = f"{SHARED}/{SHARED}"
BEGIN = {"kind": "begin", "control": None}
END = {"kind": "end", "verdicts": {}}

#: Prints its arguments, and stays as long as its input.
STAYS = "import sys; [print(line, flush=True) for line in sys.argv[1:]]; sys.stdin.read()"
ENDS = "import sys; [print(line, flush=True) for line in sys.argv[1:]]; sys.stderr.write('so it is\\n')"


class Staged:
    """A race whose load prints what it is given.

    Attributes:
        draining: whether the server stops.
        hosts: the addresses that the loads were given: of the arena.

    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.draining = False
        self.before: list[psutil.Process] = []
        self.hosts: list[str] = []
        self._monkeypatch = monkeypatch
        settings = Settings.of(ImmutableMultiDict(DEFAULTS))
        monkeypatch.setattr(Ops, "draining", property(lambda _ops: self.draining))
        self.ops = Ops(App("tests"))
        self.race = Race(settings, self.ops)

    def children(self) -> list[psutil.Process]:
        """Return what the race has started."""
        return [each for each in psutil.Process().children() if each not in self.before]

    def lines(self, program: str, *printed: Line) -> Generator[Line, None, None]:
        def command(host: str, _settings: Settings) -> list[str]:
            self.hosts.append(host)
            return [sys.executable, "-c", program, *map(json.dumps, printed)]

        self._monkeypatch.setattr(load_module, "command", command)
        lines = self.race.lines()
        assert isinstance(lines, Generator)
        return lines


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Staged]:
    """A race that has not begun."""
    before = psutil.Process().children()  # a database may run for other tests
    staging = Staged(monkeypatch)
    staging.before = before
    yield staging
    assert not any(answers(host) for host in staging.hosts)
    assert staging.children() == []


def answers(host: str) -> bool:
    """Return whether anything listens at this address."""
    where = urlsplit(host)
    try:
        create_connection((where.hostname, where.port)).close()
    except ConnectionRefusedError:
        return False
    return True


def request(nonce: str, cell: str = CELL, judged: str = "foreign") -> Line:
    return {"kind": "request", "cell": cell, "number": 1, "nonce": nonce, "judged": judged}


def without_ticks(lines: Iterator[Line]) -> list[Line]:
    return [line for line in lines if line["kind"] != "tick"]


def until(lines: Iterator[Line], kind: str) -> Line:
    return next(line for line in lines if line["kind"] == kind)


# What is added


def test_it_begins_by_what_is_raced_and_what_is_known_of_that() -> None:
    form = DEFAULTS | {"hazard": "keep-alive", "strategy": "fixed", "beside": "local", "requests": "30"}
    settings = Settings.of(ImmutableMultiDict(form))
    lines = Race(settings, Ops(App("tests"))).lines()
    assert next(lines) == {
        "kind": "begin",
        "requests": 30,
        "cells": [
            {"key": "keep-alive/fixed", "summary": settings.hazard.variants()["fixed"]},
            {"key": "keep-alive/local", "summary": ReleasedLocal.summary},
        ],
    }
    lines.close()


def test_what_nobody_recorded_is_passed_on_as_it_is(staged: Staged) -> None:
    lines = without_ticks(staged.lines(ENDS, BEGIN, request("a"), END))
    assert [line["kind"] for line in lines] == ["begin", "control", "request", "end"]
    assert lines[2] == request("a") | {"lane": None, "story": None}
    figures = {"finished": 1, "peak": 0, "native_threads": 0}
    assert lines[3] | END | figures == lines[3]
    assert staged.race.results.end is not None


def test_a_request_gets_its_lane_and_its_story(
    staged: Staged, scene: "Scene", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staged.race, "_recorder", scene.recorder)
    a = scene.request("a", SHARED).began().wrote()
    scene.request("b", SHARED).began().wrote()
    a.read()
    lines = without_ticks(staged.lines(ENDS, BEGIN, request("a"), request("b", judged="own"), END))
    assert [line["kind"] for line in lines] == ["begin", "control", "request", "request", "end"]
    assert lines[2]["lane"] == a.lane.as_document()
    assert lines[2]["story"]["lanes"] == [1, 2]
    assert lines[3]["lane"]["id"] == 2
    (sentence,) = staged.race.results.sentences(CELL)
    assert "request 1 read the nonce of request 1" in sentence


def test_a_lane_that_no_request_brings_comes_before_the_end(
    staged: Staged, scene: "Scene", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as that of a doomed request, or of a client that is not of the race: once, whoever needs it."""
    monkeypatch.setattr(staged.race, "_recorder", scene.recorder)
    a, c = (scene.request(nonce, SHARED).began().wrote() for nonce in "ac")
    scene.request("b", SHARED).began().wrote()
    a.read()
    c.read()
    lines = without_ticks(staged.lines(ENDS, BEGIN, request("a"), request("c"), END))
    assert [line["kind"] for line in lines] == ["begin", "control", "request", "request", "lane", "end"]
    assert lines[2]["story"]["lanes"] == [1, 3, 2]
    assert lines[3]["story"]["lanes"] == [2, 3]
    assert lines[4]["lane"]["nonce"] == "b"


def test_of_a_control_that_nobody_asked_for_the_judgement_is_enough(
    staged: Staged, scene: "Scene", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staged.race, "_recorder", scene.recorder)
    scene.request("a", SHARED).began().wrote().read()
    other = request("a", cell=f"{SHARED}/broken")
    lines = without_ticks(staged.lines(ENDS, BEGIN, other, END))
    assert lines[2] == other | {"lane": None, "story": None}


def test_somebody_who_looks_on_hears_of_it_before_the_load_says_a_word(staged: Staged) -> None:
    lines = staged.lines(STAYS)
    assert next(lines)["kind"] == "begin"
    tick = next(lines)
    assert tick == {
        "kind": "tick",
        "in_flight": 0,
        "elapsed": 0.0,
        "finished": 0,
        "peak": 0,
        "native_threads": 0,
    }
    assert next(lines)["kind"] == "tick"
    lines.close()


# How it ends


def test_the_arena_is_there_as_long_as_the_race(staged: Staged) -> None:
    lines = staged.lines(STAYS, BEGIN)
    until(lines, "control")
    (host,) = staged.hosts
    assert answers(host)
    lines.close()
    assert not answers(host)


def test_the_server_tells_of_the_locals_that_are_raced_as_long_as_they_are(staged: Staged) -> None:
    before = set(staged.ops.locals)
    lines = staged.lines(STAYS, BEGIN)
    until(lines, "control")
    assert set(staged.ops.locals) - before == {"race/local"}
    lines.close()
    assert set(staged.ops.locals) == before


def test_an_error_of_the_load_is_the_last_line(staged: Staged) -> None:
    error = {"kind": "error", "message": "there is no server"}
    lines = without_ticks(staged.lines(ENDS, error, END))
    assert [line["kind"] for line in lines] == ["begin", "error"]
    assert lines[1] == error
    assert staged.race.results.end is None


def test_a_load_that_ends_without_a_verdict_is_said_with_its_last_words(staged: Staged) -> None:
    lines = without_ticks(staged.lines(ENDS, BEGIN, request("a")))
    assert lines[-1] == {
        "kind": "error",
        "message": "The load test ended without a verdict. so it is",
    }
    assert staged.race.results.end is None


def test_a_load_that_cannot_be_started_is_said(staged: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = staged.lines(ENDS)
    monkeypatch.setattr(load_module, "command", lambda *_: ["/no/such/program"])
    *_, last = lines
    assert last == {
        "kind": "error",
        "message": "The load test could not be started: No such file or directory.",
    }


def test_a_server_that_stops_ends_it(staged: Staged) -> None:
    lines = staged.lines(STAYS, BEGIN)
    until(lines, "control")
    staged.draining = True
    began = time.monotonic()
    assert without_ticks(lines) == [
        {"kind": "error", "message": "The server is stopping, and ended the race."}
    ]
    assert time.monotonic() - began < ENDING  # a drain does not wait for what ends by no means


def test_one_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch, staged: Staged) -> None:
    lines = staged.lines(STAYS, BEGIN)
    until(lines, "control")
    monkeypatch.setattr(staged.race, "_deadline", 0.0)
    assert without_ticks(lines) == [
        {"kind": "error", "message": f"The race was not over after {LONGEST:.0f} s, and was ended."}
    ]


def test_whoever_closes_it_ends_it(staged: Staged) -> None:
    """Also in the middle of a line: the fixture sees that no process and no arena is left."""
    lines = staged.lines(STAYS, BEGIN, request("a"))
    until(lines, "request")
    assert len(staged.children()) == 1
    lines.close()


def test_one_that_nobody_began_has_nothing_to_end(staged: Staged) -> None:
    staged.lines(STAYS, BEGIN).close()
    assert staged.hosts == []
