"""Medians, ratios, faults and verdicts, and that a report survives its file."""

import json
from pathlib import Path

import pytest

from bench.figures import Cell, Flight, Ratio, Report, Round, read, write


def test_a_ratio_compares_round_with_round(report: Report) -> None:
    assert report.ratio("hello", "greenlane", "gunicorn-gevent") == Ratio(value=4.0, low=4.0, high=5.0)


def test_rounds_that_do_not_pair_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Ratio.of([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="no rounds"):
        Ratio.of([], [])


def test_the_middle_is_the_median(report: Report) -> None:
    cell = report.cell("hello", "greenlane")
    assert cell is not None
    assert cell.middle("rate") == 5_000


def test_the_others_lend_their_flask_to_the_echo(report: Report) -> None:
    ratio = report.ratio("echo", "greenlane", "gunicorn-gevent")
    assert ratio is not None
    assert ratio.value == 3.0


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (Round(rate=10.0, failures={"status": 3, "read": 1_000}), "failed: 3 status, 1,000 read"),
        (Round(problem="it ended"), "it ended"),
        (Round(), "no reply at all"),
    ],
)
def test_one_bad_round_makes_a_cell_invalid(report: Report, bad: Round, told: str) -> None:
    cell = report.cell("hello", "gunicorn-gevent")
    assert cell is not None
    assert report.whole
    cell.rounds[1] = bad
    assert cell.fault == told
    assert report.ratio("hello", "greenlane", "gunicorn-gevent") is None
    assert not report.whole
    verdict = next(one for one in report.verdicts("greenlane") if one.aim == "hello: times gunicorn-gevent")
    assert (verdict.value, verdict.floor_met, verdict.goal_met) == (None, None, None)


def test_a_cell_without_rounds_is_invalid() -> None:
    assert Cell(workload="hello", server="greenlane").fault == "not measured"


def test_the_verdicts(report: Report) -> None:
    met = {one.aim: (one.value, one.floor_met, one.goal_met) for one in report.verdicts("greenlane")}
    assert met == {
        "hello: times gunicorn-gevent": (4.0, True, False),
        "echo: times gunicorn-gevent": (3.0, True, False),
        "flask: times gunicorn-gevent": (1.5, True, False),
        "KiB of a request in flight": (10.0, True, True),
    }


@pytest.mark.parametrize(
    ("flight", "told"),
    [
        (Flight(server="greenlane", wanted=4, held=4, right=3, lost=1), "1 lost, 0 wrong"),
        (Flight(server="greenlane", wanted=4, held=4, right=3, wrong=1), "0 lost, 1 wrong"),
        (Flight(server="greenlane", wanted=4, held=3, right=4), "at most 3 of 4 at once"),
        (Flight(server="greenlane", wanted=4, held=4, right=4, problem="it ended"), "it ended"),
    ],
)
def test_a_flight_is_right_only_when_all_came_back(report: Report, flight: Flight, told: str) -> None:
    report.flights = [flight]
    assert flight.fault == told
    assert not report.whole
    assert report.verdicts("greenlane")[-1].floor_met is False


def test_too_much_memory_misses_the_floor(report: Report) -> None:
    report.flights = [Flight(server="greenlane", wanted=4, held=4, peak=84 * 1_024, right=4)]
    assert report.whole
    assert report.verdicts("greenlane")[-1].floor_met is False


def test_a_report_survives_its_file(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "new" / "bench.json"
    write(report, path, "greenlane")
    assert read(path) == report
    content = json.loads(path.read_text())
    assert content["medians"][1] == {
        "workload": "hello",
        "server": "gunicorn-gevent",
        "fault": "",
        "rate": 1_000,
        "times": {"value": 4.0, "low": 4.0, "high": 5.0},
    }
    assert content["aims"][0]["floor_met"] is True


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1, "cells": [{}]}'])
def test_what_is_no_report_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text(content)
    with pytest.raises(ValueError):
        read(path)
