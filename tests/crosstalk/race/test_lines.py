"""The lines of a race: what a request's says, and that they are written whole, or not at all."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from gevent.event import Event
from gevent.socket import wait_read

from crosstalk.checker import Probe
from crosstalk.checker.rules import judge
from crosstalk.history import History
from crosstalk.race.lines import PIECE, Lines, judged, whose

MakeProbe = Callable[..., Probe]

TORN = {"first": "own", "second": "x"}


@pytest.mark.parametrize(
    ("reads", "found", "word", "others"),
    [
        (["own", "own"], None, "own", []),
        ([None, "own"], None, "missing", []),
        ([None, "own"], "y", "stale", ["y"]),
        ([None, TORN], "y", "torn", ["y", "x"]),
        (["x", TORN, "z", "x"], "y", "foreign", ["y", "x", "z"]),
    ],
)
def test_the_worst_of_a_request_is_told_and_whose_nonces_it_read(
    probe: MakeProbe, reads: list[Any], found: str | None, word: str, others: list[str]
) -> None:
    record = probe("own", *reads, found=found)
    assert record.reply is not None
    assert judged(record, judge("own", record.reply)) == word
    assert whose(record) == others


def test_a_request_without_a_reply_is_doomed_or_failed(probe: MakeProbe) -> None:
    assert judged(probe("own", fate="kill"), None) == "doomed"
    assert judged(probe("own", fate="kill", failed="status 200"), None) == "failed"
    assert whose(probe("own", failed="no reply")) == []


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        with suppress(OSError):  # a test may have closed it
            os.close(descriptor)


def test_a_failed_request_is_told_with_its_reason(pipe: tuple[int, int]) -> None:
    lines = Lines(pipe[1], lambda: None)
    history = History(1, listener=lines.request)
    history.issue("a/b", 1)
    history.record_failure(history.issue("a/b", 2), "status 500:\x1b oh")
    lines.close()
    line = json.loads(os.read(pipe[0], PIECE))
    assert (line["cell"], line["number"], line["judged"]) == ("a/b", 2, "failed")
    assert line["why"] == "status 500:\\x1b oh"


def test_a_line_longer_than_the_pipe_is_written_while_others_run(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    lines = Lines(writing, lambda: None)
    message = "long " * 40_000
    lines.error(message)
    lines.error("short")
    came = b""
    while came.count(b"\n") < 2:
        wait_read(reading, timeout=20)  # the writer runs meanwhile: in one that waits, it would not
        came += os.read(reading, PIECE)
    lines.close()
    assert [json.loads(line)["message"] for line in came.splitlines()] == [message, "short"]


def test_nobody_who_reads_is_told_of_once_and_what_comes_then_is_dropped(pipe: tuple[int, int]) -> None:
    gone = Event()
    told: list[None] = []

    def broken() -> None:
        told.append(None)
        gone.set()

    lines = Lines(pipe[1], broken)
    os.close(pipe[0])
    lines.error("one")
    assert gone.wait(20)
    lines.error("two")
    lines.close()
    assert len(told) == 1
