"""The measuring, with a server of the tests' own: the order, the checks of replies, and what ends when."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bench import family, measure, replies
from bench.environments import LOCKS, versions
from bench.processes import free_port, serving, two_cores
from bench.refusal import CannotRun
from bench.servers import BY_NAME, GREENLANE, SERVERS, Server, Start
from bench.workloads import AIMS, WORKLOADS, Workload
from bench.workloads import BY_NAME as WORKLOADS_BY_NAME

TWO_CORES = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core only")
ECHO, HELLO = WORKLOADS_BY_NAME["flask"], WORKLOADS_BY_NAME["hello"]

PLAIN = """\
import importlib, sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

class Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True

class Quiet(WSGIRequestHandler):
    def log_message(self, *_): pass

module, _, name = sys.argv[1].partition(":")
app = getattr(importlib.import_module(module), name)
make_server("127.0.0.1", int(sys.argv[2]), app, Threads, Quiet).serve_forever()
"""


ECHOING = """\
import json
from urllib.parse import parse_qs

def app(environ, start_response):
    query = parse_qs(environ["QUERY_STRING"])
    start_response("200 OK", [("Set-Cookie", "session=1; Path=/")])
    visits = {visits} if environ.get("HTTP_COOKIE") else 1
    return [json.dumps(dict(nonce={nonce}, visits=visits)).encode()]

"""
"""An echo that answers ``nonce`` and counts ``visits`` of whoever has a cookie."""


def plain(start: Start) -> list[str]:
    """Return a command that serves with the standard library alone."""
    return [sys.executable, "-c", PLAIN, start.app, str(start.port)]


OURS = Server(name="plain", title="plain", settings="", environment="", command=plain)


def start(app: str) -> Start:
    return Start(app=app, port=free_port())


def test_a_round_measures_each_cell_once() -> None:
    pairs = [(workload.name, server.name) for workload, server in measure.plan(WORKLOADS, list(SERVERS))]
    assert len(set(pairs)) == len(pairs)
    assert ("echo", "greenlane") in pairs
    assert ("echo", "granian") not in pairs
    assert ("flask", "granian") in pairs
    assert ("flask", "greenlane") in pairs
    assert [workload for workload, server in pairs if server == "greenlane-log"] == ["hello"]
    assert ("close", "pywsgi") not in pairs


def test_the_echo_alone_measures_flask_on_the_others() -> None:
    servers = [BY_NAME[GREENLANE], BY_NAME["granian"]]
    pairs = measure.plan([WORKLOADS_BY_NAME["echo"]], servers)
    assert [(workload.name, server.name) for workload, server in pairs] == [
        ("echo", "greenlane"),
        ("flask", "granian"),
    ]


def test_every_aim_is_about_something_that_is_measured() -> None:
    for aim in AIMS:
        assert WORKLOADS_BY_NAME[aim.workload]
        assert BY_NAME[aim.peer].runs(aim.workload)
        assert aim.floor < aim.goal


def test_every_environment_has_a_lock_with_hashes() -> None:
    names = {server.environment for server in SERVERS if server.environment} | {"locals"}
    assert names == {path.stem for path in LOCKS.glob("*.in")}
    for name in names:
        pins = versions(name)
        assert pins
        assert (LOCKS / f"{name}.txt").read_text().count("--hash=sha256:") >= len(pins)


@TWO_CORES
def test_a_server_runs_on_its_core_and_ends_with_the_block(tmp_path: Path) -> None:
    cores, before = two_cores(), os.sched_getaffinity(0)
    with serving(OURS, start("bare:hello"), cores.server, tmp_path) as running:
        assert replies.check(running.port, HELLO) == {}
        assert running.resident() > 1_000_000
        process = psutil.Process(running._process.pid)
        assert process.cpu_affinity() == [cores.server]
    assert os.sched_getaffinity(0) == before
    assert not process.is_running()
    assert running._process.returncode == -signal.SIGTERM, "it was killed and not asked to end"


@TWO_CORES
def test_a_server_ends_when_the_block_is_interrupted(tmp_path: Path) -> None:
    seen: list[psutil.Process] = []

    def interrupted() -> None:
        with serving(OURS, start("bare:hello"), two_cores().server, tmp_path) as running:
            seen.append(psutil.Process(running._process.pid))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not seen[0].is_running()


@TWO_CORES
def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(CannotRun, match="ended with code 1: ModuleNotFoundError: No module named 'nowhere'"),
        serving(OURS, start("nowhere:app"), two_cores().server, tmp_path),
    ):
        pass


@TWO_CORES
def test_the_echo_is_checked_with_nonces_and_the_session_is_handed_on(tmp_path: Path) -> None:
    with serving(OURS, start("echo_flask:app"), two_cores().server, tmp_path) as running:
        headers = replies.check(running.port, ECHO)
        assert headers["Cookie"].startswith("session=")


@TWO_CORES
@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_a_wrong_reply_is_noticed(workload: Workload, tmp_path: Path) -> None:
    app = "bare:hello" if workload.app != "bare:hello" else "bare:document"
    with serving(OURS, start(app), two_cores().server, tmp_path) as running, pytest.raises(CannotRun):
        replies.check(running.port, workload)


@TWO_CORES
@pytest.mark.parametrize(
    ("nonce", "visits", "told"),
    [("'another'", "2", "a wrong reply to nonce"), ("query['nonce'][0]", "1", "the session does not count")],
)
def test_an_echo_that_mixes_things_up_is_noticed(nonce: str, visits: str, told: str, tmp_path: Path) -> None:
    asked = start("")
    program = PLAIN.partition("module,")[0] + ECHOING.format(nonce=nonce, visits=visits)
    command = [sys.executable, "-c", f"{program}{PLAIN.splitlines()[-1]}", "", str(asked.port)]
    with (
        serving(OURS, asked, two_cores().server, tmp_path, command=command) as running,
        pytest.raises(CannotRun, match=told),
    ):
        replies.check(running.port, ECHO)


@TWO_CORES
def test_requests_in_flight_are_counted_and_all_come_back(tmp_path: Path) -> None:
    with serving(OURS, start("bare:nap"), two_cores().server, tmp_path) as running:
        command = [sys.executable, "-m", "bench.throng", str(running.port), "20", "0.1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert '"right": 20, "wrong": 0, "lost": 0' in done.stdout


@TWO_CORES
def test_replies_of_somebody_else_are_wrong_and_not_right(tmp_path: Path) -> None:
    with serving(OURS, start("bare:hello"), two_cores().server, tmp_path) as running:
        command = [sys.executable, "-m", "bench.throng", str(running.port), "3", "0"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert '"right": 0, "wrong": 3, "lost": 0' in done.stdout


def test_clients_without_a_server_are_lost() -> None:
    command = [sys.executable, "-m", "bench.throng", str(free_port()), "3", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert '"right": 0, "wrong": 0, "lost": 3' in done.stdout


def test_each_local_is_timed_in_every_round() -> None:
    costs = {(cost["subject"], cost["operation"]): cost["rounds"] for cost in family.measure(2, 100)}
    assert {subject for subject, _ in costs} == {"Greenlane", "Werkzeug", "gevent", "asgiref", "threading"}
    assert ("Greenlane", "proxy attribute") in costs
    assert all(len(rounds) == 2 for rounds in costs.values())
