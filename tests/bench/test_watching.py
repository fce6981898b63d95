"""What a watcher costs: the measuring itself, with few requests in flight, and its table."""

import io
import os

import pytest
from rich.console import Console

from bench.watching import Round, measure, table

TWO_CORES = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core only")


@TWO_CORES
def test_servers_are_measured_unwatched_and_watched() -> None:
    said: list[str] = []
    found = measure((20,), 1, 1.0, said.append)
    (only,) = found[20]
    assert 0 <= only.alone < 1
    assert 0 <= only.watched < 1
    # Three a second, for one second and what comes before.
    assert 3 <= only.received < 30
    assert said == ["round 1: 20 in flight"]


def test_the_table_has_the_median_cost_and_says_whether_it_is_little() -> None:
    few = [Round(0.01, 0.01 + cost, 24) for cost in (0.004, 0.030, 0.006)]
    many = [Round(0.05, 0.08, 24)]
    console = Console(width=120, file=io.StringIO())
    with console.capture() as shown:
        console.print(table({0: few, 5_000: many}))
    text = shown.get()
    assert "0.60% (0.40% to 3.00%)" in text
    (row,) = (line for line in text.splitlines() if line.split()[:1] == ["5,000"])
    assert row.split()[1:4] == ["5.00%", "8.00%", "3.00%"]
    assert row.split()[-1] == "no"
