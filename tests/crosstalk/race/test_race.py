"""Races against the demonstration and against a pretender: what is told, in which order, and the verdicts."""

import re
import subprocess
import sys
from typing import Any

import pytest

FEW = ("--requests", "24", "--at-once", "8", "--hops", "2", "--pause", "4", "--seed", "7")

RACE = (sys.executable, "-m", "crosstalk", "race", "--host")

FIELDS = {
    *("kind", "cell", "number", "nonce", "connection", "judged", "why", "checks", "stale", "whose"),
    *("in_flight", "switches", "thread", "process", "ms"),
}


def test_every_request_is_told_once_between_what_begins_and_what_ends(demonstration: str, race: Any) -> None:
    raced = race(demonstration, "shared-object/local", "shared-object/shared-object", *FEW)
    assert raced.kinds == ["begin", *["request"] * 48, "end"]
    assert raced.lines[0] == {
        "kind": "begin",
        "cells": ["shared-object/local", "shared-object/shared-object"],
        "control": None,
        "requests": 24,
        "at_once": 8,
        "hops": 2,
        "pause_ms": 4,
        "seed": 7,
    }
    for cell in ("shared-object/local", "shared-object/shared-object"):
        requests = raced.requests(cell)
        assert sorted(each["number"] for each in requests) == [*range(1, 25)]
        assert len({each["nonce"] for each in requests}) == 24
        assert all(each.keys() == FIELDS for each in requests)
        assert {len(each["checks"]) for each in requests} == {2}
        assert len({each["thread"] for each in requests}) == 1
        assert max(each["in_flight"] for each in requests) > 1
        assert all(each["ms"] > 0 and each["why"] is None for each in requests)


def test_what_is_broken_reads_nonces_of_others_and_what_holds_its_own(demonstration: str, race: Any) -> None:
    raced = race(demonstration, "shared-object/local", "shared-object/shared-object", *FEW)
    good, bad = raced.requests("shared-object/local"), raced.requests("shared-object/shared-object")
    assert {each["judged"] for each in good} == {"own"}
    assert not any(each["whose"] for each in good)
    caught = [each for each in bad if each["judged"] in ("foreign", "torn", "stale")]
    assert caught
    nonces = {each["nonce"] for each in bad}
    for each in caught:
        assert set(each["whose"]) <= nonces - {each["nonce"]}
        assert len(set(each["whose"])) == len(each["whose"])
    assert any(each["whose"] for each in caught)
    verdicts = raced.verdicts
    assert verdicts["shared-object/local"]["verdict"] == "ISOLATED"
    assert verdicts["shared-object/local"]["checks"] == {"own": 48, "foreign": 0, "torn": 0, "missing": 0}
    assert not verdicts["shared-object/local"]["control"]
    assert {key for key, verdict in verdicts.items() if verdict["caught"]} == {"shared-object/shared-object"}
    broken = verdicts["shared-object/shared-object"]
    assert (broken["verdict"], broken["outcome"], broken["control"]) == ("CROSS-TALK", "cross-talk", True)
    assert broken["cross_talk"] == len(caught)
    assert (broken["threads"], broken["processes"]) == (1, 1)
    assert raced.code == 10


def test_beside_what_has_to_hold_the_broken_variant_is_raced(demonstration: str, race: Any) -> None:
    raced = race(demonstration, "keep-alive/context", *FEW)
    assert (raced.lines[0]["cells"], raced.lines[0]["control"]) == (
        ["keep-alive/context"],
        "keep-alive/broken",
    )
    assert len(raced.requests("keep-alive/broken")) == 24
    verdicts = {cell: each["verdict"] for cell, each in raced.verdicts.items()}
    assert verdicts == {"keep-alive/context": "ISOLATED", "keep-alive/broken": "CROSS-TALK"}
    assert raced.code == 0


def test_one_at_a_time_nothing_is_shown(demonstration: str, race: Any) -> None:
    one = ("--requests", "5", "--at-once", "1", "--hops", "1", "--pause", "1")
    for strategy in ("local", "shared-object"):
        raced = race(demonstration, f"shared-object/{strategy}", *one)
        verdict = raced.verdicts[f"shared-object/{strategy}"]
        assert verdict["verdict"] == "INCONCLUSIVE"
        assert (verdict["peak_in_flight"], verdict["overlapped"]) == (1, 0)
        assert any("no overlap" in reason for reason in verdict["reasons"])
        assert raced.code == 13


def test_what_the_next_request_finds_needs_no_overlap(demonstration: str, race: Any) -> None:
    raced = race(demonstration, "keep-alive/gevent-local", "--requests", "5", "--at-once", "1")
    assert raced.verdicts["keep-alive/gevent-local"]["verdict"] == "CROSS-TALK"
    assert [each["judged"] for each in raced.requests("keep-alive/gevent-local")] == ["own", *["stale"] * 4]


@pytest.mark.parametrize("hazard", ["raise-early", "killed-midway", "abandoned-stream"])
def test_doomed_requests_are_told_with_their_fate_and_do_not_count_as_failed(
    demonstration: str, race: Any, hazard: str
) -> None:
    cell = f"{hazard}/local"
    raced = race(demonstration, cell, "--requests", "60", "--at-once", "10", "--seed", "3")
    requests = raced.requests(cell)
    assert len(requests) == 60
    doomed = [each for each in requests if each["judged"] == "doomed"]
    assert 0 < len(doomed) < 60
    assert len({each["why"] for each in doomed}) == 1
    assert all(each["checks"] == [] and each["thread"] is None for each in doomed)
    verdict = raced.verdicts[cell]
    assert (verdict["verdict"], verdict["failed"]) == ("ISOLATED", 0), verdict
    assert verdict["doomed"] == len(doomed)
    assert verdict["requests"] == 60 - len(doomed)


def test_a_server_may_be_below_a_path(serve: Any, race: Any) -> None:
    host = serve("below:application") + "/below"
    for cell in ("shared-object/local", "abandoned-stream/local"):
        raced = race(host, cell, "--requests", "20", "--seed", "1")
        assert raced.code == 0, raced.lines[-1]
        assert raced.verdicts[cell]["failed"] == 0
    assert any(each["judged"] == "doomed" for each in raced.requests("abandoned-stream/local"))


# What no demonstration does


def test_an_uncaught_control_makes_a_race_blind(pretender: str, race: Any) -> None:
    raced = race(pretender, "pretence/good", *FEW)
    verdict = raced.verdicts["pretence/good"]
    assert (verdict["verdict"], verdict["outcome"], raced.code) == ("BLIND", "isolated", 12)
    assert "pretence/broken, known to be broken, went uncaught" in verdict["reasons"][0]


def test_a_caught_control_lets_a_race_say_isolated(pretender: str, race: Any) -> None:
    raced = race(pretender, "pretence/good", "pretence/bad", *FEW)
    assert raced.lines[0]["control"] is None
    assert raced.verdicts["pretence/good"]["verdict"] == "ISOLATED"


def test_what_is_left_of_a_cell_is_a_leak(pretender: str, race: Any) -> None:
    """And a second race is not told of what the first one has left."""
    for _ in range(2):
        raced = race(pretender, "pretence/leaking", "pretence/bad", *FEW)
        verdict = raced.verdicts["pretence/leaking"]
        assert (verdict["verdict"], verdict["reasons"]) == ("LEAK", ["24 left open at idle"])


def test_what_was_left_before_is_no_finding(pretender: str, race: Any) -> None:
    raced = race(pretender, "pretence/good", "pretence/bad", *FEW)
    assert raced.verdicts["pretence/good"]["verdict"] == "ISOLATED"


def test_refused_requests_are_told_as_failed_and_never_sent_again(pretender: str, race: Any) -> None:
    raced = race(pretender, "pretence/refusing", "pretence/bad", *FEW)
    requests = raced.requests("pretence/refusing")
    assert len(requests) == 24
    assert {(each["judged"], each["why"]) for each in requests} == {("failed", "status 503: not today")}
    verdict = raced.verdicts["pretence/refusing"]
    assert (verdict["verdict"], verdict["failed"], verdict["requests"]) == ("INCONCLUSIVE", 24, 0)


# For a person


def test_a_person_gets_a_table_and_the_verdicts(demonstration: str) -> None:
    done = subprocess.run(
        [*RACE, demonstration, "--cell", "shared-object/local", *FEW],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert re.search(r"^ +shared-object/local +24 +0 +0 +0 +0 +0 +0 +0 +\d+ +1 *$", done.stdout, re.MULTILINE)
    assert "shared-object/local: ISOLATED\n  0 of 24 requests met data" in done.stdout
    assert "shared-object/broken (known to be broken): CROSS-TALK" in done.stdout
    assert re.search(r"s of load, seed 7\n$", done.stdout)
