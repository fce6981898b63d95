"""Plain Locust, end to end: alone, with workers, with its web UI. Real sockets, real exit codes."""

import csv
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

HERE = Path(__file__).parent
LOCUSTFILE = HERE.parents[1] / "loadtest" / "locustfile.py"
LOCUST = (sys.executable, "-m", "locust", "-f", str(LOCUSTFILE))
SHORT = ("--hops", "3", "--pause", "5", "--min-requests", "150")
LOAD = ("--headless", "--only-summary", "-u", "40", "-r", "40", "-t", "4s")
SUBJECTS = {"/probe/local", "/probe/context"}
CONTROLS = {"/probe/shared-object", "/probe/native-thread-local", "/probe/thread-ident", "/probe/id-reused"}
TIMEOUT = 60.0

Serve = Callable[..., str]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Return the address of ``greenlane run`` with the arguments, which all the tests share."""
    servers: dict[tuple[str, ...], tuple[subprocess.Popen[str], str]] = {}

    def start(*arguments: str) -> str:
        if arguments not in servers:
            server = subprocess.Popen(
                [sys.executable, "-m", "greenlane", "run", "--port", "0", "--access-log", "off", *arguments],
                cwd=HERE,
                env=os.environ | {"TMPDIR": str(tmp_path_factory.mktemp("server"))},
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            assert server.stdout is not None
            match = re.search(r"http://\S+", server.stdout.readline())
            servers[arguments] = server, match.group() if match else ""
            assert match, "the server did not say where it serves"
        return servers[arguments][1]

    yield start
    for server, _address in servers.values():
        server.terminate()
        server.communicate(timeout=30)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def locust(host: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*LOCUST, *SHORT, *LOAD, "--host", host, *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def verdict(log: str) -> str:
    found = re.search(r"^verdict: (\S+)$", log, re.MULTILINE)
    assert found, log
    return found.group(1)


def test_it_proves_the_subjects_and_catches_the_controls_in_one_run(serve: Serve) -> None:
    done = locust(serve())
    assert (done.returncode, verdict(done.stderr)) == (0, "ISOLATED"), done.stderr
    for name in SUBJECTS | CONTROLS:
        assert name in done.stderr
    assert "every control was caught in the same run" in done.stderr
    # What is there to be caught is no failure of the server.
    assert re.search(r"Aggregated +\d+ +0\(0\.00%\)", done.stderr)


def test_cross_talk_of_a_subject_is_the_exit_code_and_a_failure(serve: Serve) -> None:
    done = locust(serve("broken_apps:plain_object"))
    assert (done.returncode, verdict(done.stderr)) == (10, "CROSS-TALK"), done.stderr
    assert "cross-talk under local: " in done.stderr


def test_with_controls_alone_their_cross_talk_is_failures_of_their_own(serve: Serve) -> None:
    done = locust(serve(), "--tags", "control")
    assert done.returncode == 10, done.stderr
    assert re.search(r"cross-talk under shared-object: .*u\d+-\d+-[0-9a-f]{16}", done.stderr)
    assert "/probe/local" not in done.stderr


def test_lost_data_is_inconclusive_and_a_failure(serve: Serve) -> None:
    done = locust(serve("broken_apps:forgets"))
    assert (done.returncode, verdict(done.stderr)) == (13, "INCONCLUSIVE"), done.stderr
    assert "missing under local: nothing of its own at checkpoint 1" in done.stderr


def test_too_few_requests_are_inconclusive(serve: Serve) -> None:
    done = locust(serve(), "--min-requests", "1000000")
    assert (done.returncode, verdict(done.stderr)) == (13, "INCONCLUSIVE")


@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["alone", "two processes"])
def test_without_a_server_it_says_so(processes: tuple[str, ...]) -> None:
    done = locust(f"http://127.0.0.1:{free_port()}", *processes)
    assert done.returncode == 14
    assert "no server answers" in done.stderr
    assert "Traceback" not in done.stderr


def test_processes_of_one_machine_come_to_one_verdict(serve: Serve) -> None:
    done = locust(serve(), "--processes", "2")
    assert (done.returncode, verdict(done.stderr)) == (0, "ISOLATED"), done.stderr
    assert done.stderr.count("verdict: ") == 1


class Locust:
    """A process of Locust whose log is read as it comes.

    Args:
        arguments: its options.

    """

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*LOCUST, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[str] = []

    def wait_for(self, text: str) -> None:
        """Read the log until there is a line with ``text``."""
        assert self.process.stderr is not None
        giving_up = threading.Timer(TIMEOUT, self.process.kill)
        giving_up.start()
        try:
            for line in self.process.stderr:
                self.log.append(line)
                if text in line:
                    return
                assert "Traceback" not in line, self.log
        finally:
            giving_up.cancel()
        raise AssertionError(self.log)

    def end(self) -> tuple[int, str]:
        """Wait for its end, and return the exit code and the log."""
        _out, errors = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, "".join(self.log) + errors

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def start() -> Iterator[Callable[..., Locust]]:
    """Start processes of Locust, and end those that have not ended: `start("--worker", ...)`."""
    started: list[Locust] = []

    def begin(*arguments: str) -> Locust:
        started.append(Locust(*arguments))
        return started[-1]

    yield begin
    for each in started:
        each.close()


class Distributed:
    """A master without a web UI, and two workers.

    Args:
        start: starts a process.
        host: what they load.
        seconds: for how long.

    """

    def __init__(self, start: Callable[..., Locust], host: str, seconds: int) -> None:
        port = str(free_port())
        # The options of the load are the master's alone, and go to the workers.
        self.master = start(
            *("--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port),
            *("--expect-workers", "2", "--headless", "--only-summary", "-u", "40", "-r", "40"),
            *("-t", f"{seconds}s", "--host", host, *SHORT),
        )
        self.workers = [start("--worker", "--master-host", "127.0.0.1", "--master-port", port) for _ in "ab"]

    def ends(self) -> tuple[int, str]:
        return self.master.end()


@pytest.mark.parametrize(
    ("app", "code", "says"), [((), 0, "ISOLATED"), (("broken_apps:plain_object",), 10, "CROSS-TALK")]
)
def test_a_master_judges_what_its_workers_have_counted(
    serve: Serve, start: Callable[..., Locust], app: tuple[str, ...], code: int, says: str
) -> None:
    distributed = Distributed(start, serve(*app), seconds=4)
    ended, log = distributed.ends()
    assert (ended, verdict(log)) == (code, says), log
    assert [worker.end()[0] for worker in distributed.workers] in ([0, 0], [1, 1])  # 1: with failures
    if app:
        # Whose data it was is known across the workers: the nonces tell them apart.
        assert {"w0-u", "w1-u"} <= set(re.findall(r"w\d-u", log))


def test_a_worker_that_is_killed_leaves_the_run_without_a_proof(
    serve: Serve, start: Callable[..., Locust]
) -> None:
    distributed = Distributed(start, serve(), seconds=6)
    distributed.master.wait_for("All users spawned")
    distributed.workers[0].process.kill()
    code, log = distributed.ends()
    assert (code, verdict(log)) == (13, "INCONCLUSIVE"), log
    assert "1 of 2 workers have not told what they counted in the end" in log


def test_a_worker_that_is_told_to_stop_tells_what_it_has_counted_first(
    serve: Serve, start: Callable[..., Locust]
) -> None:
    distributed = Distributed(start, serve(), seconds=6)
    distributed.master.wait_for("All users spawned")
    distributed.workers[0].process.terminate()
    code, log = distributed.ends()
    assert (code, verdict(log)) == (0, "ISOLATED"), log


class WebUI:
    """Locust with its web UI.

    Args:
        process: what it runs in.
        port: where it is.

    """

    def __init__(self, process: Locust, port: int) -> None:
        self.process = process
        self.base = f"http://127.0.0.1:{port}"
        process.wait_for("Starting web interface")
        self.wait_until(self._answers)  # it says so a moment before it listens

    def _answers(self) -> bool:
        try:
            self.requests()
        except OSError:
            return False
        return True

    def start(self, host: str, **fields: object) -> None:
        """What the button does: the form has a field for each of the locustfile's options."""
        form = {"strategy": "", "seed": "", "user_count": 40, "spawn_rate": 40, "host": host} | fields
        assert json.loads(self.post("/swarm", **form))["success"]

    def post(self, path: str, **fields: object) -> bytes:
        with urlopen(f"{self.base}{path}", urlencode(fields).encode(), timeout=TIMEOUT) as reply:
            return bytes(reply.read())

    def get(self, path: str) -> Any:
        with urlopen(f"{self.base}{path}", timeout=TIMEOUT) as reply:
            return json.load(reply)

    def state(self) -> Any:
        return self.get("/cross-talk/state")

    def rows(self) -> dict[str, Any]:
        """The rows of the tab, by name, as the page asks for them."""
        (table,) = self.get("/stats/requests")["extended_stats"]
        assert table["key"] == "cross-talk"
        return {row["name"]: row for row in table["data"]}

    def requests(self) -> dict[str, tuple[int, int]]:
        """Requests and failures by name, so far."""
        with urlopen(f"{self.base}/stats/requests/csv", timeout=TIMEOUT) as reply:
            rows = list(csv.DictReader(io.TextIOWrapper(reply)))
        return {row["Name"]: (int(row["Request Count"]), int(row["Failure Count"])) for row in rows}

    def wait_until(self, so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not so():
            assert time.monotonic() < deadline, self.process.log

    def run(self, host: str, **fields: object) -> dict[str, tuple[int, int]]:
        """Run a test until it has made some requests, and return what was requested."""
        self.start(host, **fields)
        self.wait_until(lambda: self.requests()["Aggregated"][0] >= 100)
        self.post("/stop")
        return self.requests()


@pytest.fixture
def web_ui(start: Callable[..., Locust]) -> Iterator[WebUI]:
    port = free_port()
    ui = WebUI(start("--web-host", "127.0.0.1", "--web-port", str(port), *SHORT), port)
    yield ui
    ui.process.process.terminate()
    _code, log = ui.process.end()
    assert "Traceback" not in log


def greenlets(host: str) -> float:
    """How many the server has: one for each connection, besides some of its own."""
    with urlopen(f"{host}/metrics", timeout=TIMEOUT) as reply:
        found = re.search(r"^greenlane_greenlets (\S+)$", reply.read().decode(), re.MULTILINE)
    assert found
    return float(found.group(1))


def test_the_web_ui_runs_one_test_after_another(serve: Serve, web_ui: WebUI) -> None:
    """Also with a slash behind the host; without a server none runs, and the next one is not spoiled."""
    host = serve()
    idle = greenlets(host)
    for address in (host, f"{host}/"):
        requests = web_ui.run(address)
        web_ui.wait_until(lambda: greenlets(host) <= idle)  # no connection stays open after its test
        assert set(requests) == {*SUBJECTS, *CONTROLS, "Aggregated"}
        assert requests["Aggregated"][1] == 0
    web_ui.start(f"http://127.0.0.1:{free_port()}")
    web_ui.process.wait_for("no server answers")
    assert web_ui.requests() == {"Aggregated": (0, 0)}
    assert web_ui.run(host)["Aggregated"][1] == 0


def test_the_web_ui_takes_the_options_of_its_form(serve: Serve, web_ui: WebUI) -> None:
    """They come as text."""
    host = serve()
    requests = web_ui.run(host, strategy="context", seed="7", min_requests="20")
    assert set(requests) == {"/probe/context", *CONTROLS, "Aggregated"}
    state = web_ui.state()
    assert (state["seed"], state["settings"]["min_requests"]) == (7, 20)
    web_ui.start(host, seed="x")
    web_ui.process.wait_for("'x' is no seed")
    assert web_ui.run(host, strategy="local, context", seed="")["Aggregated"][1] == 0


def test_the_tab_shows_the_run_as_it_goes_and_its_verdict(serve: Serve, web_ui: WebUI) -> None:
    assert web_ui.state()["verdict"] is None
    web_ui.start(serve(), min_requests="20")
    web_ui.wait_until(lambda: web_ui.rows().get("local", {"requests": 0})["requests"] >= 20)
    rows = web_ui.rows()
    assert rows["(the whole run)"]["verdict"].endswith(", so far")
    assert rows["shared-object"]["role"] == "control"
    web_ui.wait_until(lambda: " read " in web_ui.rows()["shared-object"]["says"])
    web_ui.wait_until(lambda: all(web_ui.rows()[name.rpartition("/")[2]]["cross_talk"] for name in CONTROLS))
    web_ui.post("/stop")
    assert web_ui.rows()["(the whole run)"]["verdict"] == "ISOLATED"
    state = web_ui.state()
    assert (state["final"], state["verdict"], state["exit_code"]) == (True, "ISOLATED", 0)


def test_the_tab_shows_a_master_what_its_workers_count(serve: Serve, start: Callable[..., Locust]) -> None:
    web_port, port = free_port(), str(free_port())
    master = start(
        *("--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port),
        *("--web-host", "127.0.0.1", "--web-port", str(web_port), *SHORT),
    )
    web_ui = WebUI(master, web_port)
    for _ in "ab":
        start("--worker", "--master-host", "127.0.0.1", "--master-port", port)
    master.wait_for("2 workers connected")
    web_ui.start(serve(), min_requests="20")
    web_ui.wait_until(lambda: web_ui.rows().get("local", {"requests": 0})["requests"] >= 20)
    assert [worker["gone"] for worker in web_ui.state()["workers"]] == [False, False]
    assert "2 workers" in web_ui.rows()["(the whole run)"]["says"]
    web_ui.wait_until(lambda: all(web_ui.rows()[name.rpartition("/")[2]]["cross_talk"] for name in CONTROLS))
    web_ui.post("/stop")
    state = web_ui.state()
    assert (state["final"], state["verdict"], state["reasons"][0][:5]) == (True, "ISOLATED", "local")
    assert [worker["final"] for worker in state["workers"]] == [True, True]
    # And again, with the same workers.
    assert web_ui.run(serve())["Aggregated"][1] == 0


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_shows_the_tab_and_takes_nothing_for_markup(
    serve: Serve, web_ui: WebUI, tmp_path: Path
) -> None:
    web_ui.start(serve("locust_apps:markup"))
    web_ui.wait_until(lambda: "injected" in web_ui.rows().get("local", {"says": ""})["says"])
    dom = subprocess.run(
        [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-proxy-server"),
            *(f"--user-data-dir={tmp_path}", "--virtual-time-budget=8000", "--dump-dom"),
            f"{web_ui.base}/?tab=cross-talk",
        ],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    ).stdout
    web_ui.post("/stop")
    assert re.search(r"<button[^>]*>(<[^>]*>)*Cross-talk", dom), dom[-3000:]
    assert "With cross-talk" in dom
    assert "&lt;b id=injected&gt;markup&lt;/b&gt;" in dom
    assert "<b id=" not in dom
