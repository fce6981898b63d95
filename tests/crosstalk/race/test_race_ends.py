"""How races end that do not come to their end, and those that never begin."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from crosstalk.race.command import race as race_command

HANGING = ("--cell", "pretence/hanging", "--cell", "pretence/bad", "--requests", "400", "--at-once", "200")

Way = Callable[["subprocess.Popen[bytes]"], object]


def begun(begin: Any, host: str, *arguments: str) -> "subprocess.Popen[bytes]":
    """Begin a race, and return it when its first request has ended."""
    race: subprocess.Popen[bytes] = begin(host, *arguments)
    assert race.stdout is not None
    kinds = [json.loads(race.stdout.readline())["kind"] for _ in range(2)]
    assert kinds == ["begin", "request"]
    return race


@pytest.mark.parametrize(
    "way",
    [
        lambda race: race.send_signal(signal.SIGTERM),
        lambda race: race.send_signal(signal.SIGINT),
        lambda race: race.stdin.close(),
    ],
    ids=["SIGTERM", "Ctrl-C", "the end of its input"],
)
def test_a_race_ends_at_once(begin: Any, pretender: str, way: Way) -> None:
    """Hundreds of its requests will never be answered."""
    race = begun(begin, pretender, *HANGING)
    way(race)
    rest = race.stdout.read()  # type: ignore[union-attr]  # a pipe
    assert race.wait(30) == 130  # after their patience it would be another code
    assert b'"kind": "end"' not in rest
    assert race.stderr.read() == b"crosstalk: interrupted, no verdict\n"  # type: ignore[union-attr]


def test_a_race_that_nobody_reads_ends_quietly(begin: Any, pretender: str) -> None:
    race = begun(begin, pretender, "--cell", "pretence/bad", "--requests", "2000", "--at-once", "20")
    race.stdout.close()  # type: ignore[union-attr]  # a pipe
    assert race.wait(30) == 130
    assert b"Traceback" not in race.stderr.read()  # type: ignore[union-attr]


def test_a_full_pipe_does_not_keep_a_race_from_being_ended(begin: Any, pretender: str) -> None:
    """Nobody reads 2,000 lines, and the pipe is held open."""
    race = begun(begin, pretender, "--cell", "pretence/bad", "--requests", "2000", "--hops", "16")
    race.send_signal(signal.SIGTERM)
    assert race.wait(30) == 130


def test_a_server_that_never_answers_is_not_waited_for_for_ever(pretender: str) -> None:
    hurried = (
        "from gevent import monkey; monkey.patch_all()\n"
        "from crosstalk.cli import cli; from crosstalk.race import run\n"
        "run.PATIENCE = 0.3; cli()"
    )
    cells = ("--cell", "pretence/hanging", "--cell", "pretence/bad")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            hurried,
            "race",
            "--host",
            pretender,
            *cells,
            "--requests",
            "24",
            "--pause",
            "1",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (10, ""), done.stdout + done.stderr
    assert "6 requests failed: 6 x no reply when the race had ended" in done.stdout


def test_without_an_input_to_be_ended_by_there_are_no_lines(pretender: str) -> None:
    command = f"{sys.executable} -m crosstalk race --lines --host {pretender} --cell pretence/bad <&-"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--lines needs a standard input" in done.stderr


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (["nothing/good"], "no hazard 'nothing'; there are: pretence, elsewhere"),
        (["pretence/nothing"], "'pretence' has no strategy 'nothing'; there are: good, leaking"),
        (["pretence"], "'pretence' has no strategy ''"),
        (["pretence/absent"], "'pretence/absent' is not applicable: it is not there"),
        (["elsewhere/good"], "'elsewhere' needs a server of its own: crosstalk matrix measures it"),
    ],
)
def test_what_cannot_be_raced_is_said(begin: Any, pretender: str, cells: list[str], says: str) -> None:
    race = begin(pretender, *(argument for cell in cells for argument in ("--cell", cell)))
    lines = [json.loads(line) for line in race.stdout]
    assert [line["kind"] for line in lines] == ["error"]
    assert lines[0]["message"].startswith(says)
    assert (race.wait(30), race.stderr.read()) == (14, b"")


def test_without_a_server_there_is_no_race(begin: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        race = begin(f"http://127.0.0.1:{free.getsockname()[1]}", "--cell", "shared-object/local")
        (line,) = [json.loads(each) for each in race.stdout]
    assert (line["kind"], race.wait(30)) == ("error", 14)
    assert line["message"].startswith("no server answers at http://127.0.0.1:")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--cell", "a/b", "--requests", "2001"], "--requests"),
        (["--cell", "a/b", "--requests", "5", "--at-once", "6"], "at most as many as there are requests, 5"),
        (["--cell", "a/b", "--at-once", "501"], "--at-once"),
        (["--cell", "a/b", "--hops", "17"], "--hops"),
        (["--cell", "a/b", "--cell", "a/c", "--cell", "a/d"], "at most 2 are raced side by side"),
        ([], "--cell"),
    ],
)
def test_wrong_usage_exits_2_and_says_what(arguments: list[str], says: str) -> None:
    done = CliRunner().invoke(race_command, ["--host", "http://127.0.0.1:1", *arguments])
    assert (done.exit_code, done.stdout) == (2, "")
    assert says in done.stderr


def test_a_person_is_told_too_what_cannot_be_raced(pretender: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "crosstalk", "race", "--host", pretender, "--cell", "nothing/good"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "no hazard 'nothing'" in done.stderr
