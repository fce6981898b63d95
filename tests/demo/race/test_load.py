"""The load's process: its command, its lines, and that it is gone when it has been ended."""

import os
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest
from werkzeug.datastructures import ImmutableMultiDict

from crosstalk.race.command import race as race_command
from greenlane.demo.race import load as load_module
from greenlane.demo.race.load import Load, command
from greenlane.demo.race.settings import DEFAULTS, LIMITS, PAUSE_MS, Settings

PATIENCE = 20.0
HOST = "http://127.0.0.1:1"

#: Ends when nothing more can come to it.
WAITS = "import sys; print('{}', flush=True); sys.stdin.read()"

Start = Callable[[str], Load]


@pytest.fixture
def settings() -> Settings:
    return Settings.of(ImmutableMultiDict(DEFAULTS))


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[Start]:
    """Start a load that is another program: `start("print('{}')")`."""
    started: list[Load] = []

    def begin(program: str) -> Load:
        monkeypatch.setattr(load_module, "command", lambda *_: [sys.executable, "-c", program])
        started.append(Load(HOST, settings))
        return started[-1]

    yield begin
    for load in started:
        load.end()


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("beside", ["", "context"])
def test_the_command_is_one_that_crosstalk_takes(beside: str) -> None:
    """With the largest race too: the bounds of the two are the same."""
    form = DEFAULTS | {name: str(most) for name, most in LIMITS.items()}
    settings = Settings.of(ImmutableMultiDict(form | {"strategy": "local", "beside": beside}))
    python, *module, name = command(HOST, settings)[:4]
    assert (python, module, name) == (sys.executable, ["-m", "crosstalk"], "race")
    given = race_command.make_context("race", list(command(HOST, settings)[4:])).params
    assert given["cells"] == settings.cells
    assert (given["host"], given["lines"], given["pause"]) == (HOST, True, PAUSE_MS)
    assert {name: given[name] for name in LIMITS} == LIMITS


def test_lines_come_as_they_are_written_and_then_none(start: Start) -> None:
    load = start("""print('{"kind": "begin"}\\n{"kind": "end"}')""")
    assert [load.line(PATIENCE) for _ in range(3)] == [{"kind": "begin"}, {"kind": "end"}, None]


def test_who_waits_in_vain_gets_an_empty_line(start: Start) -> None:
    load = start(WAITS)
    assert load.line(PATIENCE) == {}  # its own, which shows that it runs
    began = time.monotonic()
    assert load.line(0.01) == {}
    assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize("printed", ["no JSON", "[]", "17", '"text"', "{", b"\xff".decode("latin-1")])
def test_what_is_no_line_of_a_race_is_said(start: Start, printed: str) -> None:
    load = start(f"print('{{}}'); print({printed!r})")
    assert load.line(PATIENCE) == {}
    assert load.line(PATIENCE) is None
    assert "the load test printed what is no line of a race" in load.last_words()


def test_its_last_words_are_the_last_line_of_its_errors(start: Start) -> None:
    load = start(
        "import sys; sys.stderr.write('first\\n\\nlast, \\xfc\\n\\n'); sys.stderr.flush(); print('{}')"
    )
    while load.line(PATIENCE) is not None:
        pass
    load.end(PATIENCE)
    assert load.last_words() == "last, ü"


def test_one_that_says_nothing_has_no_last_words(start: Start) -> None:
    load = start("")
    assert load.line(PATIENCE) is None
    assert load.last_words() == ""


def test_one_that_runs_is_killed_at_once(start: Start) -> None:
    load = start(
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('{}', flush=True); time.sleep(60)"
    )
    assert load.line(PATIENCE) == {}
    began = time.monotonic()
    load.end()
    assert time.monotonic() - began < PATIENCE
    assert not is_there(load.pid)


def test_one_that_ends_by_itself_is_left_the_time(start: Start) -> None:
    load = start("import sys; print('{}', flush=True); sys.exit(0)")
    load.end(PATIENCE)
    assert load._process.returncode == 0
    assert not is_there(load.pid)


def test_all_it_held_is_closed(start: Start) -> None:
    here = psutil.Process()
    before = here.num_fds()
    load = start(WAITS)
    assert load.line(PATIENCE) == {}
    assert here.num_fds() >= before + 3
    load.end()
    assert here.num_fds() <= before
    assert all(reader.dead for reader in load._readers)


def test_to_end_it_again_does_no_harm(start: Start) -> None:
    load = start(WAITS)
    for _ in range(2):
        load.end()
