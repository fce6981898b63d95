"""`greenlane run` as its users meet it: a process, its output, its signals and its exit code."""

import os
import re
import signal
import socket as native
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

import gevent
import pytest
from gevent import socket
from gevent.pool import Pool

if TYPE_CHECKING:
    Run = Callable[..., "Process"]

PYTHON = sys.executable
GREENLANE = str(Path(PYTHON).with_name("greenlane"))
TIMEOUT = 20.0

APPS = '''
"""Applications for the tests of the command line."""
import atexit
import sys
import threading

import gevent
from gevent import monkey

begun = 0
patched = monkey.is_module_patched("threading")  # as this module finds it on import


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello, patched" if patched else b"Hello"]


app = hello


def counting(environ, start_response):
    """Takes a while, in several pieces, and counts how often it was called."""
    global begun
    begun += 1
    environ["wsgi.input"].read()
    gevent.sleep(0.002 * (begun % 7))
    start_response("200 OK", [])
    if begun % 2:
        return [b"x" * 1000]
    return iter([b"x" * 500, b"x" * 500])


@atexit.register
def tell():
    if begun:
        with open("begun", "w") as file:
            file.write(str(begun))


def hanging(environ, start_response):
    print("inside", flush=True)
    gevent.sleep(60)


def blocking(environ, start_response):
    print("inside", flush=True)
    while True:  # the loop never turns again
        pass


def deaf(environ, start_response):
    """Hangs with a stdout that nobody reads any more."""
    print("inside", flush=True)

    class Deaf:
        def flush(self):
            raise BrokenPipeError

    sys.stdout = Deaf()
    gevent.sleep(60)


not_callable = 42
'''


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Ask again and again, for at most `TIMEOUT` seconds."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        gevent.sleep(0.005)


class Process:
    """A running `greenlane run`."""

    def __init__(self, *args: str, cwd: Path) -> None:
        command = [GREENLANE, "run", "--port", "0", *args]
        self._errors = cwd / "stderr"
        with self._errors.open("w") as errors:
            self.popen = subprocess.Popen(
                command,
                cwd=cwd,
                env=os.environ | {"TMPDIR": str(cwd)},  # one that is killed leaves its temporary files
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.what, self.port = "", 0

    def await_ready(self) -> None:
        ready = self.next_line()
        match = re.fullmatch(r"Greenlane serves (.+) on http://127\.0\.0\.1:(\d+)\n", ready)
        assert match, f"{ready!r}, {self.errors()!r}"
        self.what, self.port = match[1], int(match[2])

    def get(self, path: str = "/") -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT)

    def tell(self, number: int) -> None:
        self.popen.send_signal(number)

    def wait_until_closed(self) -> None:
        """Wait until the listener is closed: the drain has begun."""
        wait_until(self._is_closed, "the listener is closed")

    def _is_closed(self) -> bool:
        try:
            self.connect().close()
        except (ConnectionRefusedError, ConnectionResetError):
            return True
        return False

    def exit_code(self) -> int:
        return self.popen.wait(timeout=TIMEOUT)

    def next_line(self) -> str:
        assert self.popen.stdout is not None
        return self.popen.stdout.readline()

    def output(self) -> str:
        assert self.popen.stdout is not None
        return self.popen.stdout.read()

    def errors(self) -> str:
        return self._errors.read_text()

    def close(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        assert self.popen.stdout is not None
        self.popen.stdout.close()


@pytest.fixture
def apps(tmp_path: Path) -> Path:
    """A folder with the module `apps`."""
    (tmp_path / "apps.py").write_text(APPS)
    return tmp_path


@pytest.fixture
def run(apps: Path) -> Iterator["Run"]:
    """Start servers in the folder of `apps`: `run("apps:hello", "--ops")`."""
    processes: list[Process] = []

    def start(*args: str) -> Process:
        process = Process(*args, cwd=apps)
        processes.append(process)
        process.await_ready()
        return process

    yield start
    for process in processes:
        process.close()


def fail(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `greenlane run` where it cannot serve."""
    return subprocess.run([GREENLANE, "run", *args], cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT)


# Patching.


def imports_before_patching(*command: str) -> set[str]:
    """What was imported until `gevent.monkey` was, in the order that the interpreter reports."""
    done = subprocess.run(
        [PYTHON, "-X", "importtime", *command], capture_output=True, text=True, timeout=TIMEOUT, check=True
    )
    names = [line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.count("|") == 2]
    return set(names[: names.index("gevent.monkey")])


@pytest.mark.parametrize(
    ("command", "launcher"),
    [
        (["-m", "greenlane", "--version"], {"runpy", "pkgutil", "importlib"}),
        ([GREENLANE, "--version"], set()),
    ],
    ids=["python -m greenlane", "greenlane"],
)
def test_nothing_but_gevent_is_imported_before_patching(command: list[str], launcher: set[str]) -> None:
    """Gevent itself imports `threading` and `logging` first, and mends both when it patches."""
    gevents_own = imports_before_patching("-c", "from gevent import monkey")
    ours = imports_before_patching(*command) - gevents_own
    assert {name.partition(".")[0] for name in ours} <= launcher | {"greenlane"}
    assert {name for name in ours if name.startswith("greenlane")} <= {"greenlane", "greenlane.__main__"}


def test_nothing_is_imported_between_gevent_and_patching() -> None:
    """At the moment of the call: what makes locks or locals is not there, and no argument is positional."""
    script = """
import sys
from gevent import monkey

gevents_own = set(sys.modules)
patch_all = monkey.patch_all

def spy(*args, **kwargs):
    print("args", args)
    print("modules", *sorted(set(sys.modules) - gevents_own))
    return patch_all(*args, **kwargs)

monkey.patch_all = spy
sys.argv = ["greenlane", "--version"]
from greenlane.__main__ import main
main()
"""
    done = subprocess.run([PYTHON, "-c", script], capture_output=True, text=True, timeout=TIMEOUT, check=True)
    args, modules, *_ = done.stdout.splitlines()
    assert args == "args ()"
    assert modules == "modules greenlane greenlane.__main__"


# Serving.


def test_an_application_is_served_patched_and_stopped(run: "Run") -> None:
    """B45."""
    process = run("apps:hello")
    assert process.what == "apps:hello"
    assert process.get("/path") == (200, b"Hello, patched")
    process.tell(signal.SIGTERM)
    assert process.exit_code() == 0
    assert process.output() == ""
    assert '"GET /path HTTP/1.1" 200 14 ' in process.errors()


def test_ctrl_c_stops_too_and_the_log_can_be_off(run: "Run") -> None:
    """B45. MODULE alone means its `app`."""
    process = run("apps", "--no-access-log")
    process.get()
    process.tell(signal.SIGINT)
    assert process.exit_code() == 0
    assert "GET" not in process.errors()


def test_ops_come_only_when_asked_for(run: "Run") -> None:
    without, with_ops = run("apps:hello"), run("apps:hello", "--ops")
    assert without.get("/healthz")[1] == b"Hello, patched"
    assert with_ops.get("/healthz") == (200, b"ok\n")
    assert b"\ngreenlane_native_threads 1.0\n" in with_ops.get("/metrics")[1]
    assert with_ops.get("/")[1] == b"Hello, patched"


def test_the_demonstration_says_what_to_try(run: "Run") -> None:
    """B45."""
    process = run()
    assert process.what == "the demonstration"
    assert process.get("/")[0] == 200
    assert process.get("/healthz") == (200, b"ok\n")
    process.tell(signal.SIGTERM)
    assert process.exit_code() == 0
    output = process.output()
    for hint in (f"http://127.0.0.1:{process.port}/", "/probe/local", "make loadtest", "Ctrl-C"):
        assert hint in output


def test_more_connections_than_the_soft_limit_of_open_files(run: "Run", apps: Path) -> None:
    (apps / "limited.py").write_text(
        "import resource\nfrom apps import hello\n\n"
        "def app(environ, start_response):\n"
        "    hello(environ, start_response)\n"
        "    return [str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]).encode()]\n"
    )
    command = f"ulimit -S -n 256 && exec {GREENLANE} run --port 0 --max-connections 500 limited"
    with subprocess.Popen(["sh", "-c", command], cwd=apps, stdout=subprocess.PIPE, text=True) as popen:
        try:
            assert popen.stdout is not None
            port = int(popen.stdout.readline().rsplit(":", 1)[1])
            connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
            connection.request("GET", "/")
            assert int(connection.getresponse().read()) > 500
            connection.close()
        finally:
            popen.terminate()


# Draining.


def test_no_request_is_lost_when_it_stops_under_load(run: "Run", apps: Path) -> None:
    """B45: as many complete replies as calls of the application, and a clean exit."""
    process = run("apps:counting", "--no-access-log")
    complete = 0

    def is_whole(received: bytes) -> bool:
        if b"chunked" in received:
            return received.endswith(b"\r\n0\r\n\r\n")
        return received.count(b"x") == 1000

    def one_reply(sock: socket.socket, number: int) -> bool:
        """Send a request in two pieces, now and then; whether a whole reply came."""
        if number % 3:
            request = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
        else:
            request = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nHello"
        half = len(request) // 2 if number % 2 else len(request)
        sock.sendall(request[:half])
        if half < len(request):
            gevent.sleep(0.001)  # a pause in the load, as slow clients make it: nothing is awaited
            sock.sendall(request[half:])
        received = b""
        while not is_whole(received):
            data = sock.recv(4096)
            if not data:
                return False
            received += data
        return True

    def user() -> None:
        nonlocal complete
        with process.connect() as sock:
            for number in range(1_000_000):
                try:
                    if not one_reply(sock, number):
                        return
                except ConnectionError:
                    return
                complete += 1

    users = Pool()
    for _ in range(100):
        users.spawn(user)
    wait_until(lambda: complete >= 1000, "1000 replies are complete")
    process.tell(signal.SIGTERM)
    users.join(timeout=TIMEOUT)
    assert len(users) == 0
    assert process.exit_code() == 0
    assert complete == int((apps / "begun").read_text())


def test_a_request_that_has_begun_is_finished_and_health_is_503(run: "Run") -> None:
    """B45."""
    process = run("apps:hello", "--ops")
    with process.connect() as begun, process.connect() as probe, process.connect() as idle:
        begun.sendall(b"GET / HT")
        probe.sendall(b"GET /healthz HT")
        process.get()  # accepted after the others, so those were read
        process.tell(signal.SIGTERM)
        assert idle.recv(1) == b""
        process.wait_until_closed()
        for sock, status in ((begun, b"200 OK"), (probe, b"503 Service Unavailable")):
            sock.sendall(b"TP/1.1\r\nHost: test\r\n\r\n")
            reply = b"".join(iter(partial(sock.recv, 4096), b""))
            assert reply.startswith(b"HTTP/1.1 " + status)
            assert b"\r\nConnection: close\r\n" in reply
    assert process.exit_code() == 0


def test_the_limit_cuts_off_what_hangs(run: "Run") -> None:
    """B45."""
    process = run("apps:hanging", "--drain-timeout", "0.1")
    with process.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert process.next_line() == "inside\n"
        process.tell(signal.SIGTERM)
        assert client.recv(1) == b""
    assert process.exit_code() == 1
    assert "1 requests to finish, within 0.1 s" in process.errors()
    assert "cut off" in process.errors()


@pytest.mark.parametrize("app", ["hanging", "blocking", "deaf"])
def test_a_second_signal_stops_at_once(run: "Run", app: str) -> None:
    """B45: also when the loop is blocked and nothing else would ever run again, or nobody reads stdout."""
    process = run(f"apps:{app}")
    with process.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert process.next_line() == "inside\n"
        process.tell(signal.SIGTERM)
        process.tell(signal.SIGINT)
        assert process.exit_code() == 130


def test_a_second_signal_stops_at_once_until_the_very_end(run: "Run", apps: Path) -> None:
    """B45: also when the drain is over and only a thread of the application goes on."""
    (apps / "lingering.py").write_text(
        "import threading\nimport time\nfrom apps import app\n\n"
        "threading.Thread(target=time.sleep, args=(60,)).start()\n"
    )
    process = run("lingering")
    process.tell(signal.SIGTERM)
    wait_until(lambda: "greenlane: stopped" in process.errors(), "the drain is over")
    process.tell(signal.SIGTERM)
    assert process.exit_code() == 130


# What cannot be served.


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["nowhere:app"], 2, "there is no module 'nowhere' here or installed"),
        (["apps.deeper:app"], 2, "there is no module 'apps.deeper' here or installed"),
        (["apps:nothing"], 2, "the module 'apps' has no 'nothing'"),
        (["json"], 2, "the module 'json' has no 'app' or 'application'"),
        (["apps:not_callable"], 2, "apps:not_callable cannot be called: 42"),
        (["apps.py:app"], 2, "there is no module 'apps.py' here or installed"),
        (["./apps:app"], 2, "'./apps:app' is not MODULE:APP, such as myapp:app"),
        (["apps:"], 2, "'apps:' is not MODULE:APP, such as myapp:app"),
        (
            ["--host", "0.0.0.0"],
            2,
            "the demonstration holds strategies that are broken on purpose: it listens on 0.0.0.0 only with",
        ),
        (["--host", "192.0.2.1", "apps:app"], 1, "cannot listen on 192.0.2.1, port 8000: "),
        (["--host", "name.invalid", "apps:app"], 1, "cannot listen on name.invalid, port 8000: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_served_is_one_clear_line(
    apps: Path, args: list[str], code: int, message: str
) -> None:
    done = fail(*args, cwd=apps)
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.startswith(f"greenlane: {message}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("option", ["--drain-timeout", "--keep-alive"])
@pytest.mark.parametrize("value", ["nan", "inf", "-1", "soon"])
def test_a_time_is_a_number_of_seconds(apps: Path, option: str, value: str) -> None:
    done = fail(option, value, cwd=apps)
    assert done.returncode == 2
    assert f"Invalid value for '{option}'" in done.stderr


def test_a_port_in_use_is_one_clear_line(apps: Path) -> None:
    with native.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = fail("--port", str(port), "apps:app", cwd=apps)
    assert done.returncode == 1
    assert done.stderr.startswith(f"greenlane: port {port} is in use on 127.0.0.1: choose another")
    assert done.stderr.count("\n") == 1


def test_an_error_in_the_module_shows_its_own_traceback(apps: Path) -> None:
    (apps / "failing.py").write_text("import apps\nimport a_library_that_is_missing\n")
    done = fail("failing:app", cwd=apps)
    assert done.returncode == 1
    first, *_, last = done.stderr.splitlines()
    assert first == "Traceback (most recent call last):"
    assert 'failing.py", line 2' in done.stderr
    assert "cli.py" not in done.stderr
    assert last == (
        "greenlane: importing 'failing' failed: "
        "ModuleNotFoundError: No module named 'a_library_that_is_missing'"
    )
