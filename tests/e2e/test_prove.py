"""The proof, end to end: real servers, real Locust, real sockets, real exit codes."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LOCUSTFILE = HERE.parents[1] / "loadtest" / "locustfile.py"
SHORT = ("--users", "60", "--duration", "2", "--min-requests", "150", "--hops", "4", "--pause", "20")

Serve = Callable[..., str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start ``greenlane run`` with the arguments, on a free port, and return its address."""
    servers: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> str:
        server = subprocess.Popen(
            [sys.executable, "-m", "greenlane", "run", "--port", "0", "--access-log", "off", *arguments],
            cwd=HERE,
            env=os.environ | {"TMPDIR": str(tmp_path)},  # one that dies leaves its temporary files
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        servers.append(server)
        assert server.stdout is not None
        match = re.search(r"http://\S+", server.stdout.readline())
        assert match, "the server did not say where it serves"
        return match.group()

    yield start
    for server in servers:
        server.terminate()
        server.communicate(timeout=30)


def prove(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "crosstalk", "prove", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def check(history: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "crosstalk", "check", str(history), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def verdict(done: "subprocess.CompletedProcess[str]") -> str:
    match = re.search(r"^verdict: (\S+)$", done.stdout, re.MULTILINE)
    assert match, done.stdout + done.stderr
    return match.group(1)


def test_the_demonstration_is_isolated_and_every_control_is_caught(tmp_path: Path) -> None:
    """B55: thousands of checks on one native thread: the controls fail, Local and context hold."""
    done = prove(*SHORT, "--seed", "7", "--report", str(tmp_path))
    assert (done.returncode, verdict(done)) == (0, "ISOLATED"), done.stdout + done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["seed"] == 7
    strategies = {each["name"]: each for each in report["strategies"]}
    for name, each in strategies.items():
        assert each["failed"] == 0, name
        assert each["native_threads"] == 1, name
        assert each["peak_in_flight"] > 10, name
        if each["role"] == "control":
            assert each["verdict"] == "CROSS-TALK", name
            assert each["witness"]["writer"], name
    for name in ("local", "context"):
        each = strategies[name]
        assert each["requests"] >= 150
        assert each["checks"] == {"own": 4 * each["requests"], "foreign": 0, "torn": 0, "missing": 0}
        assert each["stale"] == 0
        assert each["doomed"] > 0
        assert each["overlapped"] > each["requests"] / 2
    # A thread-local of the one native thread is wrong nearly always.
    native = strategies["native-thread-local"]
    assert native["requests_with_cross_talk"] > 0.9 * native["requests"]
    # What nothing releases is found by the next request of a kept-alive connection.
    assert strategies["local-unreleased"]["stale"] > 0
    # Most connections are kept alive, and some are closed, so that their greenlets' addresses come again.
    assert all(part["users"] < part["connections"] < part["requests"] / 2 for part in report["parts"])
    assert (tmp_path / "locust-subjects.html").stat().st_size > 10_000
    assert not any(report["idle"]["entries"].values())
    # Whoever judges the history afterwards comes to the same.
    checked = check(tmp_path / "history.jsonl.gz")
    assert checked.returncode == 0
    assert done.stdout.startswith(checked.stdout)
    assert json.loads(check(tmp_path / "history.jsonl.gz", "--json").stdout) == report


def test_a_broken_strategy_as_subject_is_cross_talk_with_a_witness(tmp_path: Path) -> None:
    history = tmp_path / "new" / "history.gz"
    done = prove(*SHORT, "--strategy", "shared-object", "--history", str(history))
    assert (done.returncode, verdict(done)) == (10, "CROSS-TALK")
    assert re.search(
        r"shared-object: (foreign|stale|torn)\n  read by     user \d+ on greenlet 0x", done.stdout
    )
    assert re.search(r"written by  user \d+ on greenlet 0x", done.stdout)
    assert re.search(r"^ +\d+\.\d+ ms  writer wrote (first|second)$", done.stdout, re.MULTILINE)
    checked = check(history)
    assert (checked.returncode, verdict(checked)) == (10, "CROSS-TALK")
    assert done.stdout.startswith(checked.stdout)


def test_a_server_that_serves_one_request_at_a_time_is_not_isolated(serve: Serve) -> None:
    """Nothing overlaps, so nothing is shown, whatever the replies say."""
    done = prove(
        *SHORT, "--users", "5", "--pause", "0", "--min-requests", "20", "--host", serve("broken_apps:serial")
    )
    assert verdict(done) in ("INCONCLUSIVE", "BLIND"), done.stdout
    assert done.returncode in (12, 13)
    assert "no overlap" in done.stdout


def test_a_plain_object_in_the_place_of_local_is_cross_talk(serve: Serve) -> None:
    done = prove(*SHORT, "--host", serve("broken_apps:plain_object"))
    assert (done.returncode, verdict(done)) == (10, "CROSS-TALK")
    assert "local: foreign" in done.stdout or "local: torn" in done.stdout or "local: stale" in done.stdout


def test_contexts_that_are_popped_on_success_alone_are_a_leak(serve: Serve) -> None:
    """B31: some requests raise, as they have announced: a server without its ``finally`` is found out."""
    done = prove(*SHORT, "--host", serve("mutants:no_pop"))
    assert (done.returncode, verdict(done)) == (11, "LEAK"), done.stdout + done.stderr
    assert re.search(r"^context: \d+ requests besides ended by an error", done.stdout, re.MULTILINE)


def test_a_strategy_that_answers_from_the_request_is_cross_talk(serve: Serve) -> None:
    """It replies with the own nonce every time, and what it was given to keep bore a seal."""
    done = prove(*SHORT, "--host", serve("mutants:from_request"))
    assert (done.returncode, verdict(done)) == (10, "CROSS-TALK"), done.stdout + done.stderr


def test_a_server_that_serves_errors_is_inconclusive(serve: Serve, tmp_path: Path) -> None:
    history = tmp_path / "history.gz"
    done = prove(*SHORT, "--host", serve("broken_apps:errors"), "--history", str(history))
    assert (done.returncode, verdict(done)) == (13, "INCONCLUSIVE")
    assert "status 503: busy" in done.stdout
    checked = check(history)
    assert (checked.returncode, verdict(checked)) == (13, "INCONCLUSIVE")
    assert done.stdout.startswith(checked.stdout)


def test_a_history_that_is_cut_off_is_never_isolated(serve: Serve, tmp_path: Path) -> None:
    history = tmp_path / "history.gz"
    assert prove(*SHORT, "--host", serve(), "--history", str(history)).returncode == 0
    history.write_bytes(history.read_bytes()[:-20])
    done = check(history)
    assert (done.returncode, verdict(done)) == (13, "INCONCLUSIVE")
    assert "the history is cut off: line" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("content", [b"", b"no history", b"\x1f\x8b but damaged"])
def test_what_is_no_history_cannot_be_checked(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    done = check(tmp_path / "file")
    assert (done.returncode, done.stdout) == (14, "")
    assert "is no history" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_not_there_cannot_be_checked(tmp_path: Path) -> None:
    done = check(tmp_path / "file")
    assert done.returncode == 2
    assert "does not exist" in done.stderr


def test_a_disk_that_is_full_cannot_run(serve: Serve) -> None:
    done = prove(*SHORT, "--host", serve(), "--history", "/dev/full")
    assert done.returncode == 14
    assert "the history cannot be written: " in done.stderr
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_redirect_is_no_reply(serve: Serve) -> None:
    """What answers then is another request than the one that was sent."""
    done = prove(*SHORT, "--host", serve("broken_apps:redirects"))
    assert (done.returncode, verdict(done)) == (13, "INCONCLUSIVE")
    assert "x status 307" in done.stdout


def test_a_server_that_dies_under_load_is_inconclusive(serve: Serve) -> None:
    done = prove(*SHORT, "--host", serve("broken_apps:dies"))
    assert (done.returncode, verdict(done)) == (13, "INCONCLUSIVE")
    assert "requests failed" in done.stdout
    assert "what is left at idle is not known" in done.stdout
    assert "Traceback" not in done.stderr


def test_too_few_requests_are_inconclusive(serve: Serve) -> None:
    done = prove(*SHORT, "--min-requests", "100000", "--host", serve())
    assert (done.returncode, verdict(done)) == (13, "INCONCLUSIVE")
    assert "fewer than the floor of 100,000" in done.stdout


def test_no_server_cannot_run() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        done = prove("--host", f"http://127.0.0.1:{free.getsockname()[1]}")
    assert done.returncode == 14
    assert done.stderr.startswith("crosstalk: no server answers at http://127.0.0.1:")
    assert "Traceback" not in done.stderr


def test_a_server_without_probes_cannot_run(serve: Serve) -> None:
    done = prove("--host", serve("wsgiref.simple_server:demo_app"))
    assert done.returncode == 14
    assert "lists no strategies under /probe/" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--strategy", "nothing"], "no strategy nothing: the server has"),
        (["--users", "1"], "--users"),
        (["--users", "100000000"], "open files allowed"),
        (["--duration", "nan"], "nan is not a number of seconds"),
        (["--hops", "65"], "--hops"),
        (["--pause", "x"], "--pause"),
        (["--report", "/dev/null/x"], "--report"),
        (["--history", "/dev/null/x"], "--history"),
        (["--history", "/"], "--history"),
        (["extra"], "extra"),
    ],
)
def test_wrong_usage_exits_2_and_says_what(arguments: list[str], says: str) -> None:
    done = prove(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_run_and_its_server(number: signal.Signals, tmp_path: Path) -> None:
    history = tmp_path / "history.gz"
    running = subprocess.Popen(
        [
            *(sys.executable, "-m", "crosstalk", "prove", "--users", "20", "--duration", "600"),
            *("--history", str(history)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert running.stderr is not None
    assert running.stderr.readline().startswith("controls: ")  # its server is up, the load has begun
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    servers = [int(pid) for pid in children.read_text().split()] if children.exists() else []
    running.send_signal(number)
    _out, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert errors.splitlines()[-1] == "crosstalk: interrupted, no verdict"
    assert "KeyboardInterrupt" not in errors
    assert not [pid for pid in servers if Path(f"/proc/{pid}").exists()]
    checked = check(history)
    assert (checked.returncode, verdict(checked)) == (13, "INCONCLUSIVE")
    assert "the history is cut off: it has no end" in checked.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_for_the_greenlet_that_waits(number: signal.Signals) -> None:
    """Whichever greenlet the signal meets goes on: one of Locust's would swallow the interrupt."""
    program = f"""
from crosstalk.__main__ import main
import os, gevent
from gevent import monkey
monkey.patch_all()
from crosstalk.interrupts import interruptible

def met():
    os.kill(os.getpid(), {number.value})
    gevent.sleep(0)
    print("went on", flush=True)

try:
    with interruptible():
        other = gevent.spawn(met)
        gevent.sleep(30)
except KeyboardInterrupt:
    other.join()
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout.split("\n"), done.stderr) == (["went on", "interrupted", ""], "")
