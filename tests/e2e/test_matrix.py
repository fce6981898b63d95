"""The matrix, end to end: real servers, real Locust, real sockets, real exit codes."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
QUICK = ("--min-requests", "60", "--users", "8", "--hops", "3", "--pause", "4")

Launch = Callable[..., Any]


def crosstalk(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "crosstalk", *arguments],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def matrix(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return crosstalk("matrix", *QUICK, *arguments)


def outcomes(folder: Path) -> dict[str, str]:
    cells = json.loads((folder / "matrix.json").read_text())["cells"]
    return {f"{cell['hazard']}/{cell['strategy']}": cell["outcome"] for cell in cells}


def test_strategies_and_variants_are_what_they_are_said_to_be(tmp_path: Path) -> None:
    """Keep-alive: who keeps something for the connection is caught, Local and context hold."""
    done = matrix("--only", "keep-alive", "--report", str(tmp_path), "--seed", "7")
    assert done.returncode == 0, done.stdout + done.stderr
    found = outcomes(tmp_path)
    assert found["keep-alive/broken"] == "cross-talk"
    assert {found[f"keep-alive/{name}"] for name in ("fixed", "local", "context")} == {"isolated"}
    assert found["keep-alive/gevent-local"] == "cross-talk"
    assert "verdict: ISOLATED" in done.stdout
    assert re.search(r"1 of 1  keep-alive +[\d,]+ requests, [\d,]+ with cross-talk", done.stderr)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"matrix.json", "matrix.html", "matrix.md", "matrix.junit.xml", "history.jsonl.gz"}


def test_a_saved_history_gives_the_same_verdict(tmp_path: Path) -> None:
    """The checker is given the history alone, and comes to the same tables."""
    ran = matrix("--only", "shared-object", "--report", str(tmp_path))
    checked = crosstalk("check", str(tmp_path / "history.jsonl.gz"))
    assert checked.returncode == ran.returncode == 0
    tables = ran.stdout[: ran.stdout.index("\nreport: ")]
    assert checked.stdout.strip() == tables.strip()


def test_a_later_run_adds_to_the_report(tmp_path: Path) -> None:
    assert matrix("--only", "shared-object/broken", "--report", str(tmp_path)).returncode == 0
    assert set(outcomes(tmp_path)) == {"shared-object/broken"}
    assert matrix("--only", "keep-alive/local", "--report", str(tmp_path)).returncode == 0
    histories = json.loads((tmp_path / "matrix.json").read_text())["histories"]
    assert histories == ["history.jsonl.gz", "history-2.jsonl.gz"]
    assert all((tmp_path / name).exists() for name in histories)
    assert outcomes(tmp_path) == {
        "shared-object/broken": "cross-talk",
        "keep-alive/local": "isolated",
        "keep-alive/broken": "cross-talk",  # always beside what has to hold
    }


# What keeps requests apart, taken out line by line: the cells that turn red are named here.
@pytest.mark.parametrize(
    ("mutant", "only", "red", "codes"),
    [
        ("no_release", ["keep-alive"], {"keep-alive/local": {"cross-talk"}}, {10}),
        ("no_pop", ["killed-midway"], {"killed-midway/context": {"cross-talk", "leak"}}, {10, 11}),
        ("no_death_callback", ["unreleased"], {"unreleased/fixed": {"leak"}}, {11}),
    ],
)
def test_a_line_taken_out_of_greenlane_turns_cells_red(
    run: Launch, tmp_path: Path, mutant: str, only: list[str], red: dict[str, set[str]], codes: set[int]
) -> None:
    server = run(f"mutants:{mutant}", environ={"PYTHONPATH": str(HERE)})
    chosen = [argument for pattern in only for argument in ("--only", pattern)]
    done = matrix(*chosen, "--host", f"http://127.0.0.1:{server.port}", "--report", str(tmp_path / "report"))
    assert done.returncode in codes, done.stdout + done.stderr
    found = outcomes(tmp_path / "report")
    for cell, kinds in red.items():
        assert found[cell] in kinds, found
        assert f"{cell} is {found[cell]} and not isolated" in done.stdout


def test_hazards_with_servers_of_their_own_are_not_applicable_to_a_given_server(
    run: Launch, tmp_path: Path
) -> None:
    server = run()
    host = f"http://127.0.0.1:{server.port}"
    done = matrix("--only", "shared-object/f*", "--host", host, "--report", str(tmp_path / "report"))
    assert done.returncode == 0, done.stdout + done.stderr
    reasons = json.loads((tmp_path / "report" / "matrix.json").read_text())["not_applicable"]
    for hazard in ("late-patch", "desync", "cached-cookie"):
        assert "with --host none is started" in reasons[f"{hazard}/broken"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--only", "nothing"], "'nothing' matches no cell"),
        (["--users", "1"], "--users"),
        (["--report", "/dev/null/x"], "--report"),
        (["--pause", "0"], "--pause"),
        (["extra"], "extra"),
    ],
)
def test_wrong_usage_exits_2_and_says_what(arguments: list[str], says: str) -> None:
    done = matrix(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_report_that_is_none_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "matrix.json").write_text("something else")
    done = matrix("--only", "shared-object", "--report", str(tmp_path))
    assert done.returncode == 2
    assert "cannot be added to" in done.stderr
    assert (tmp_path / "matrix.json").read_text() == "something else"


def test_a_history_that_cannot_be_made_is_told_of_at_once(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl.gz").mkdir()
    done = matrix("--only", "shared-object", "--report", str(tmp_path))
    assert done.returncode == 14
    assert "the history cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_report_that_was_measured_otherwise_is_not_added_to(tmp_path: Path) -> None:
    assert matrix("--only", "shared-object/local", "--report", str(tmp_path)).returncode == 0
    done = matrix("--only", "keep-alive/local", "--report", str(tmp_path), "--min-requests", "61")
    assert (done.returncode, "cannot be added to" in done.stderr) == (2, True)


def test_without_a_server_there_is_no_matrix() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        done = matrix("--host", f"http://127.0.0.1:{free.getsockname()[1]}")
    assert (done.returncode, "no server answers" in done.stderr) == (14, True)
    assert "Traceback" not in done.stderr


def test_a_server_without_hazards_cannot_be_measured(run: Launch) -> None:
    server = run("wsgiref.simple_server:demo_app")
    done = matrix("--host", f"http://127.0.0.1:{server.port}")
    assert (done.returncode, "lists no hazards under /hazards/" in done.stderr) == (14, True)


def test_an_interrupt_ends_the_run_and_its_server() -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "crosstalk", "matrix", "--min-requests", "100000", "--only", "*-*/broken"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert running.stderr is not None
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    line = running.stderr.readline()
    assert re.match(r"\d+ cells of \d+ hazards", line), line  # its server is up
    servers = [int(pid) for pid in children.read_text().split()] if children.exists() else []
    running.send_signal(signal.SIGINT)
    _out, errors = running.communicate(timeout=60)
    assert (running.returncode, errors.splitlines()[-1]) == (130, "crosstalk: interrupted, no verdict")
    assert "Traceback" not in errors
    assert not [pid for pid in servers if Path(f"/proc/{pid}").exists()]
