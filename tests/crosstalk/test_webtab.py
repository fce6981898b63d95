"""The rows of the tab, from the state of a run."""

from typing import Any

from crosstalk.webtab import rows

STRATEGY: dict[str, Any] = {
    "name": "local",
    "role": "subject",
    "requests": 200,
    "requests_with_cross_talk": 0,
    "failed": 3,
    "verdict": "ISOLATED",
    "reasons": ["0 of 200"],
    "statistics": {"rate": 0.0, "interval": [0.0, 0.0183]},
    "witness": None,
}
WITNESS: dict[str, Any] = {
    "kind": "foreign",
    "checkpoint": 2,
    "value": "u2-1-b",
    "reader": {"user": 1, "nonce": "u1-0-a"},
    "writer": {"user": 2},
}
STATE: dict[str, Any] = {
    "final": False,
    "seconds": 10.0,
    "verdict": "INCONCLUSIVE",
    "reasons": ["too few"],
    "strategies": [STRATEGY],
    "workers": [
        {"name": "one", "gone": True, "final": False},
        {"name": "two", "gone": True, "final": True},
    ],
}


def test_before_a_run_there_is_a_row_without_a_verdict() -> None:
    (row,) = rows({"final": False, "verdict": None, "reasons": [], "strategies": [], "workers": []})
    assert (row["requests"], row["verdict"], row["says"], row["per_second"]) == (0, None, "", "")


def test_a_run_that_goes_on_has_a_verdict_so_far_and_tells_of_workers_that_are_lost() -> None:
    whole, local = rows(STATE)
    assert whole["verdict"] == "INCONCLUSIVE, so far"
    assert whole["says"] == "too few; 2 workers, 1 of them gone"
    assert (local["per_second"], local["failed"]) == ("20.0", 3)
    assert local["rate"] == "0.00% (0.00% to 1.83%)"
    assert local["says"] == "0 of 200"


def test_a_witness_is_told_in_a_line() -> None:
    _whole, row = rows(STATE | {"strategies": [STRATEGY | {"witness": WITNESS}]})
    assert row["says"] == "foreign: user 1 (u1-0-a) read u2-1-b at checkpoint 2, written by user 2"
    unknown = WITNESS | {"checkpoint": 0, "kind": "stale", "writer": None}
    _whole, row = rows(STATE | {"strategies": [STRATEGY | {"witness": unknown, "statistics": None}]})
    assert row["says"] == "stale: user 1 (u1-0-a) read u2-1-b before writing, written by nobody known here"
    assert row["rate"] == ""
