"""Replies made by hand, for judging and counting without a server."""

from collections.abc import Callable

import pytest

from crosstalk.history import History, Probe
from crosstalk.reply import Checkpoint, Reply

Answer = Callable[..., Reply]


def answer(
    probe: Probe,
    *reads: str | None,
    found: str | None = None,
    switches: int = 1,
    in_flight: int = 2,
    thread: int = 1,
    pid: int = 1,
    greenlet: int = 0xA,
) -> Reply:
    """Reply to ``probe`` with one checkpoint for each of ``reads``, the value of both fields."""
    return Reply(
        probe.strategy,
        {"first": found, "second": found},
        tuple(Checkpoint("sleep", {"first": read, "second": read}, None, switches) for read in reads),
        greenlet=greenlet,
        thread=thread,
        pid=pid,
        in_flight=in_flight,
        switches=switches,
    )


@pytest.fixture(name="answer")
def _answer() -> Answer:
    return answer


@pytest.fixture
def history() -> History:
    return History(seed=1)
