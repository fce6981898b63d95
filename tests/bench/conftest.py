"""A report with figures that can be worked out by hand."""

import pytest

from bench.figures import Cell, Cost, Flight, Report, Round


def cell(workload: str, server: str, *rates: float) -> Cell:
    """Make a cell of rounds that differ in nothing but their rate."""
    rounds = [Round(rate=rate, median=0.005, p99=0.02, server_core=1.0, load_core=0.5) for rate in rates]
    return Cell(workload=workload, server=server, rounds=rounds)


@pytest.fixture
def report() -> Report:
    """Greenlane has 4 times gunicorn's hello, 3 times its Flask by our App, and 10 KiB a request."""
    return Report(
        when="2026-01-02T03:04:05+00:00",
        machine={"processor": "a fast one", "cores": 2},
        settings={"rounds": 3, "seconds": 4},
        versions={"greenlane": {"gevent": "26.1"}, "gunicorn": {"gunicorn": "27.0", "gevent": "26.1"}},
        asked=["greenlane", "gunicorn-gevent", "uwsgi"],
        skipped={"uwsgi": "uwsgi: could not be installed: no compiler"},
        cells=[
            cell("hello", "greenlane", 4_000, 8_000, 5_000),
            cell("hello", "gunicorn-gevent", 1_000, 2_000, 1_000),
            cell("echo", "greenlane", 3_000),
            cell("flask", "greenlane", 1_500),
            cell("flask", "gunicorn-gevent", 1_000),
        ],
        flights=[Flight(server="greenlane", wanted=4, held=4, before=1_024, peak=41 * 1_024, right=4)],
        costs=[
            Cost(subject="Greenlane", operation="get", rounds=[100.0, 120.0, 110.0]),
            Cost(subject="threading", operation="get", rounds=[50.0, 60.0, 55.0]),
        ],
    )
