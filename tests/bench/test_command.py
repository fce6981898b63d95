"""The command line, and wrk: what it prints is read right, and that it is missing is said in one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench import wrk
from bench.figures import Report, write
from bench.refusal import CannotRun
from bench.sheets import BEGIN, END

ROOT = Path(__file__).parents[2]

SAID = """\
Running 1s test @ http://127.0.0.1:9301/
  1 threads and 8 connections
  10379 requests in 1.00s, 1.01MB read
Requests/sec:  10371.67
{"requests": 10379, "microseconds": 1000000, "bytes": 1058658, "median": 801, "p99": 4705, "worst": 5814, \
"connect": 0, "read": 3, "write": 0, "timeout": 1, "status": 0}
"""


def test_what_it_prints_is_read() -> None:
    load = wrk.parse(SAID, 0.5)
    assert load.rate == 10_379
    assert (load.median, load.p99, load.worst, load.processor) == (801e-6, 4705e-6, 5814e-6, 0.5)
    assert load.failures == {"read": 3, "timeout": 1}


@pytest.mark.parametrize("said", ["", "unable to connect to 127.0.0.1:9 Connection refused\n"])
def test_without_figures_it_says_what_wrk_said(said: str) -> None:
    with pytest.raises(CannotRun, match=said.strip() or "no output"):
        wrk.parse(said, 0.0)


def bench(*arguments: str, path: str) -> "subprocess.CompletedProcess[str]":
    """Run the benchmark's command line with ``path`` as PATH."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT / "loadtest",
        env={"PATH": path, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("arguments", [["--only", "hello"], ["--only", "flight"], ["--profile", "hello"], []])
def test_without_wrk_there_is_one_clear_line(arguments: list[str], tmp_path: Path) -> None:
    done = bench(*arguments, path=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("bench: wrk is needed to load the servers: ")
    assert done.stderr.count("\n") == 1
    assert "apt-get install wrk" in done.stderr
    assert done.stdout == ""


def test_a_report_is_shown_again_without_measuring(report: Report, tmp_path: Path) -> None:
    write(report, tmp_path / "bench.json", "greenlane")
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}{END}")
    done = bench("--from", str(tmp_path / "bench.json"), "--markdown", str(page), path=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert "NOT reached" in done.stdout
    assert "NOT reached" in page.read_text()


def test_a_file_that_is_no_report_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text("{}")
    done = bench("--from", str(path), path=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == f"bench: {path} is no report of this benchmark: KeyError('schema')\n"


def test_a_name_that_is_unknown_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    done = bench("--only", "hello,nothing", path=str(tmp_path))
    assert done.returncode == 2
    assert "'nothing' is none of hello, close," in done.stderr
