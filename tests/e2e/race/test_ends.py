"""How a race ends before its time, and that it leaves nothing: no load, no arena, no contexts, no entries."""

import json
import signal
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Listens, Process, Run, WaitUntil
    from tests.e2e.race.conftest import Fields, Until, Visitor

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_while_one_runs_another_is_refused_and_who_leaves_ends_it(
    process: "Process",
    visitor: "Visitor",
    wait_until: "WaitUntil",
    listens: "Listens",
    a_visitor: "type[Visitor]",
    quick: "Fields",
    long: "Fields",
    until: "Until",
) -> None:
    with visitor.starting(long) as response:
        until(response, "request")
        (load,) = process.children()
        arena = process.arena()
        assert listens(arena)
        for scripts, says in ((True, b'{"error": "Another race is running'), (False, b"<!doctype html>")):
            with a_visitor.of(process).starting(quick, scripts=scripts) as refused:
                assert refused.status == 409
                assert refused.read().startswith(says)
        assert load.is_running()
    left = time.monotonic()
    wait_until(lambda: not process.children(), "the load has ended")
    assert time.monotonic() - left < 3  # a second, and what a busy machine takes
    assert not listens(arena)
    assert visitor.race(quick)[-1]["kind"] == "end"


def test_without_scripts_who_leaves_ends_it_too(
    process: "Process", visitor: "Visitor", wait_until: "WaitUntil", long: "Fields"
) -> None:
    with visitor.starting(long, scripts=False) as response:
        assert any(b"The race is running" in line for line in response)
        wait_until(lambda: len(process.children()) == 1, "the load has begun")
    wait_until(lambda: not process.children(), "the load has ended")


def test_a_load_that_is_killed_is_said_and_the_next_race_starts(
    process: "Process", visitor: "Visitor", long: "Fields", until: "Until"
) -> None:
    with visitor.starting(long) as response:
        until(response, "request")
        process.children()[0].kill()
        lines = [json.loads(text) for text in response]
        assert lines[-1] == {"kind": "error", "message": "The load test ended without a verdict."}
    with visitor.starting(long) as response:
        assert until(response, "control")


def test_a_server_that_stops_ends_the_race_and_says_so(
    run: "Run", a_visitor: "type[Visitor]", long: "Fields", until: "Until"
) -> None:
    process = run()
    with a_visitor.of(process).starting(long) as response:
        until(response, "request")
        (load,) = process.children()
        process.tell(signal.SIGTERM)
        lines = [json.loads(text) for text in response]
        assert lines[-1] == {"kind": "error", "message": "The server is stopping, and ended the race."}
    assert process.exit_code() == 0
    assert not load.is_running()
    assert "Traceback" not in process.errors()


def test_a_load_does_not_outlive_a_server_that_is_killed(
    run: "Run", wait_until: "WaitUntil", a_visitor: "type[Visitor]", long: "Fields", until: "Until"
) -> None:
    process = run()
    with a_visitor.of(process).starting(long) as response:
        until(response, "request")
        (load,) = process.children()
        process.tell(signal.SIGKILL)
        process.exit_code()
        wait_until(lambda: not load.is_running(), "the load has ended")
