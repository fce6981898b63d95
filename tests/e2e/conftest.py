"""`greenlane run` in a process of its own: started, awaited, asked, told to stop, and always ended."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import gevent
import psutil
import pytest
from gevent import socket

Run = Callable[..., "Process"]
Fail = Callable[..., "subprocess.CompletedProcess[str]"]
WaitUntil = Callable[[Callable[[], bool], str], None]
Listens = Callable[[tuple[str, int]], bool]

GREENLANE = str(Path(sys.executable).with_name("greenlane"))
TIMEOUT = 20.0

_PLACES = ("--port", "--unix", "--fd")


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Ask again and again, for at most `TIMEOUT` seconds."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        gevent.sleep(0.005)


def listens(address: tuple[str, int]) -> bool:
    """Return whether anything accepts connections there."""
    try:
        socket.create_connection(address, timeout=TIMEOUT).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return False
    return True


class Process:
    """A running `greenlane run`, on a free port unless its arguments say where."""

    def __init__(
        self,
        *args: str,
        cwd: Path,
        environ: Mapping[str, str] | None = None,
        before: tuple[str, ...] = (),
        pass_fds: tuple[int, ...] = (),
    ) -> None:
        place = () if any(arg in _PLACES for arg in args) else ("--port", "0")
        self.cwd = cwd
        self._errors = cwd / f"stderr-{len(list(cwd.glob('stderr-*')))}"
        with self._errors.open("w") as errors:
            self.popen: subprocess.Popen[str] = subprocess.Popen(
                [*before, GREENLANE, "run", *place, *args],
                cwd=cwd,
                # One that is killed leaves its temporary files.
                env=os.environ | {"TMPDIR": str(cwd)} | dict(environ or {}),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                pass_fds=pass_fds,
            )
        self.what, self.where, self.port = "", "", 0

    def await_ready(self) -> None:
        ready = self.next_line()
        match = re.fullmatch(r"Greenlane serves (.+) on (.+)\n", ready)
        assert match, f"{ready!r}, {self.errors()!r}"
        self.what, self.where = match[1], match[2]
        port = re.search(r":(\d+)$", self.where)
        self.port = int(port[1]) if port else 0

    def get(self, path: str = "/", headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        try:
            connection.request("GET", path, headers=dict(headers or {}))
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
        wait_until(lambda: not listens(("127.0.0.1", self.port)), "the listener is closed")

    def exit_code(self) -> int:
        return self.popen.wait(timeout=TIMEOUT)

    def next_line(self) -> str:
        assert self.popen.stdout is not None
        return self.popen.stdout.readline()

    def children(self) -> list[psutil.Process]:
        """The processes that the server has started, and that run: the load of a race."""
        return psutil.Process(self.popen.pid).children(recursive=True)

    def arena(self) -> tuple[str, int]:
        """The address that the load of the one race that runs sends its requests to."""
        (load,) = self.children()
        command = load.cmdline()
        where = urlsplit(command[command.index("--host") + 1])
        assert where.hostname
        assert where.port
        return where.hostname, where.port

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


def _started() -> Iterator[Run]:
    processes: list[Process] = []

    def start(*args: str, cwd: Path, **options: object) -> Process:
        process = Process(*args, cwd=cwd, **options)  # type: ignore[arg-type]  # as the class has them
        processes.append(process)
        process.await_ready()
        return process

    yield start
    for process in processes:
        process.close()


@pytest.fixture(name="listens", scope="session")
def _listens() -> Listens:
    """Say whether anything answers at an address: `listens(("127.0.0.1", port))`."""
    return listens


@pytest.fixture(name="wait_until", scope="session")
def _wait_until() -> WaitUntil:
    """Ask again and again until it is so: `wait_until(lambda: ..., "what it is")`."""
    return wait_until


@pytest.fixture(scope="module")
def launch() -> Iterator[Run]:
    """Start servers that all tests of a module use: `launch("shop:app", cwd=folder)`."""
    yield from _started()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Start servers in the test's own folder: `run("apps:hello", "--ops")`."""
    starting = _started()
    start = next(starting)
    yield lambda *args, **options: start(*args, cwd=tmp_path, **options)
    next(starting, None)


@pytest.fixture
def fail(tmp_path: Path) -> Fail:
    """Run `greenlane run`, in the test's own folder, where it cannot serve."""

    def run_to_its_end(*args: str, **options: object) -> "subprocess.CompletedProcess[str]":
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [GREENLANE, "run", *args],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
            **options,  # type: ignore[call-overload]
        )
        return done

    return run_to_its_end
