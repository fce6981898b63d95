"""`greenlane run` as its users meet it: patching, serving, what cannot be served."""

import signal
import socket as native
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Fail, Run

PYTHON = sys.executable
GREENLANE = str(Path(PYTHON).with_name("greenlane"))
TIMEOUT = 20.0

APPS = '''
"""Applications for the tests of the command line."""
from gevent import monkey

patched = monkey.is_module_patched("threading")  # as this module finds it on import


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello, patched" if patched else b"Hello"]


app = hello
not_callable = 42
'''


@pytest.fixture(autouse=True)
def apps(tmp_path: Path) -> Path:
    """A folder with the module `apps`, where the servers run."""
    (tmp_path / "apps.py").write_text(APPS)
    return tmp_path


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
    process = run("apps", "--access-log", "off")
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
    fail: "Fail", args: list[str], code: int, message: str
) -> None:
    done = fail(*args)
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.startswith(f"greenlane: {message}")
    assert done.stderr.count("\n") == 1


def test_a_port_in_use_is_one_clear_line(fail: "Fail") -> None:
    with native.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = fail("--port", str(port), "apps:app")
    assert done.returncode == 1
    assert done.stderr.startswith(f"greenlane: port {port} is in use on 127.0.0.1: choose another")
    assert done.stderr.count("\n") == 1


def test_an_error_in_the_module_shows_its_own_traceback(fail: "Fail", apps: Path) -> None:
    (apps / "failing.py").write_text("import apps\nimport a_library_that_is_missing\n")
    done = fail("failing:app")
    assert done.returncode == 1
    first, *_, last = done.stderr.splitlines()
    assert first == "Traceback (most recent call last):"
    assert 'failing.py", line 2' in done.stderr
    assert "loading.py" not in done.stderr
    assert last == (
        "greenlane: importing 'failing' failed: "
        "ModuleNotFoundError: No module named 'a_library_that_is_missing'"
    )
