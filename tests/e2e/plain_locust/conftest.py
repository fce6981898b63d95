"""What the tests of plain Locust share: servers, free ports, and processes of Locust that always end."""

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

APPLICATIONS = Path(__file__).parents[1]
LOCUSTFILE = APPLICATIONS.parents[1] / "loadtest" / "locustfile.py"
LOCUST = (sys.executable, "-m", "locust", "-f", str(LOCUSTFILE))
SHORT = ("--hops", "3", "--pause", "5", "--min-requests", "150")
LOAD = ("--headless", "--only-summary", "-u", "40", "-r", "40", "-t", "4s")
TIMEOUT = 60.0

Serve = Callable[..., str]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "Locust"]
FreePort = Callable[[], int]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Return the address of ``greenlane run`` with the arguments, which all tests of a module share."""
    servers: dict[tuple[str, ...], tuple[subprocess.Popen[str], str]] = {}

    def start(*arguments: str) -> str:
        if arguments not in servers:
            server = subprocess.Popen(
                [sys.executable, "-m", "greenlane", "run", "--port", "0", "--access-log", "off", *arguments],
                cwd=APPLICATIONS,
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


@pytest.fixture(name="free_port")
def _free_port() -> FreePort:
    """Find a port that nobody listens on: `free_port()`."""
    return free_port


@pytest.fixture
def short() -> tuple[str, ...]:
    """The options of a proof that is over soon."""
    return SHORT


@pytest.fixture
def locust() -> Run:
    """Run Locust without a web UI to its end: `locust(host, "--tags", "control")`."""

    def run_to_its_end(host: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*LOCUST, *SHORT, *LOAD, "--host", host, *arguments],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    return run_to_its_end


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
def start() -> Iterator[Start]:
    """Start processes of Locust, and end those that have not ended: `start("--worker", ...)`."""
    started: list[Locust] = []

    def begin(*arguments: str) -> Locust:
        started.append(Locust(*arguments))
        return started[-1]

    yield begin
    for each in started:
        each.close()
