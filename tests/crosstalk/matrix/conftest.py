"""Results of matrices, as the tests need them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from crosstalk.matrix.results import CellResult, Results

Describe = Callable[..., dict[str, Any]]
Result = Callable[..., CellResult]
MakeResults = Callable[..., Results]

WITNESS = {
    "kind": "foreign",
    "checkpoint": 1,
    "after": "sleep",
    "read": {"first": "u2-7-b", "second": "u2-7-b"},
    "error": None,
    "value": "u2-7-b",
    "reader": {"nonce": "u1-3-a", "user": 1, "greenlet": 160, "pid": 9},
    "writer": {"nonce": "u2-7-b", "user": 2, "greenlet": 176, "pid": 9},
    "timeline": [
        {"ms": 0.0, "by": "reader", "does": "wrote first"},
        {"ms": 0.5, "by": "reader", "does": "switched by sleep"},
        {"ms": 1.25, "by": "writer", "does": "wrote first"},
        {"ms": 2.0, "by": "reader", "does": "read"},
    ],
}


CELL = CellResult(
    hazard="keep-alive",
    strategy="local",
    expected=("isolated",),
    outcome="isolated",
    reasons=("0 of 400 requests met data that was not their own",),
    requests=400,
    failed=0,
    doomed=0,
    cross_talk=0,
    rate=0.0,
    interval=(0.0, 0.01),
    at_most=0.0075,
    anomalies={},
    peak_in_flight=40,
    overlapped=399,
    left=0,
    witness=None,
    measured="2026-01-01T00:00:00+00:00",
)

CAUGHT = replace(
    CELL,
    strategy="broken",
    expected=("cross-talk",),
    outcome="cross-talk",
    reasons=("380 of 400 requests met data that was not their own",),
    cross_talk=380,
    rate=0.95,
    interval=(0.92, 0.97),
    at_most=None,
    anomalies={"foreign": 380},
    left=None,
    witness=WITNESS,
)


@pytest.fixture
def cell() -> Result:
    """Make a clean cell's result, with changes."""
    return lambda **changes: replace(CELL, **changes)


@pytest.fixture
def caught() -> Result:
    """Make the result of a broken variant that was caught, with changes."""
    return lambda **changes: replace(CAUGHT, **changes)


@pytest.fixture
def results(describe: Describe) -> MakeResults:
    """Make the results of a matrix of one hazard, of the cells given."""

    def make(*cells: CellResult, **changes: object) -> Results:
        given = cells or (CELL, CAUGHT, replace(CELL, strategy="fixed"))
        made = Results(
            host="http://127.0.0.1:8000",
            seed=7,
            settings={"server": "its own", "floor": 400},
            environment={"python": "3.11", "started": "2026-01-01T00:00:00+00:00", "command": ["matrix"]},
            hazards={"keep-alive": describe()},
            strategies=("local", "context", "gevent-local"),
            cells={each.key: each for each in given},
            not_applicable={"keep-alive/context": "it is no situation for it"},
            contexts={},
            entries={},
            unknown=(),
            seconds={"keep-alive": 2.5},
            histories=("history.jsonl.gz",),
        )
        return replace(made, **changes)  # type: ignore[arg-type]  # as the class has them

    return make
