"""The sampler counts where a thread stands, and begins when it is told to."""

import io
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from bench import hotspots
from bench.sampler import Sampler


@pytest.fixture
def sampler() -> Iterator[Sampler]:
    """Give a sampler that waits, and put the handlers back afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGPROF, signal.SIGUSR2)}
    sampler = Sampler()
    sampler.start()
    yield sampler
    signal.setitimer(signal.ITIMER_PROF, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


def busy(sampler: Sampler, samples: int) -> None:
    """Use the processor until there are so many samples, for 20 s at most."""
    deadline = time.monotonic() + 20
    while sampler.samples < samples and time.monotonic() < deadline:
        sum(range(1_000))


def test_it_counts_from_the_signal_on(sampler: Sampler, tmp_path: Path) -> None:
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
    os.kill(os.getpid(), signal.SIGUSR2)
    busy(sampler, 5)
    sampler.write(tmp_path / "samples.json")
    found = json.loads((tmp_path / "samples.json").read_text())
    own, total = found["functions"][f"{__name__}:busy"]
    assert found["samples"] >= 5
    assert 0 < own <= total == found["samples"]
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


def test_the_tables_show_shares() -> None:
    console = Console(file=io.StringIO(), width=120)
    functions = {"a:one": [6, 10], "a:two": [2, 2], "b:three": [2, 4]}
    hotspots.show({"samples": 10, "functions": functions}, "a title", console)
    assert isinstance(console.file, io.StringIO)
    lines = [line.split() for line in console.file.getvalue().splitlines()]
    for row in (["a", "80.0%"], ["b", "20.0%"], ["a:one", "60.0%", "100.0%"], ["b:three", "20.0%", "40.0%"]):
        assert row in lines
