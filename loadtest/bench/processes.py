"""Processes on a core of their own: servers, which are ended whatever happens, and what they use.

Rule: whoever starts a process here cannot leave it behind. A server is the leader of a session, so that a
Ctrl-C is for the benchmark alone, which then ends the server and its workers.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.refusal import CannotRun
from bench.servers import APPS, ROOT, Server, Start

_STARTING = 30.0
"""Seconds until a server must accept connections."""

_STOPPING = 5.0
"""Seconds that a server may take to end before it is killed."""

_PAUSE = 0.05


@dataclass(frozen=True)
class Cores:
    """Which core serves and which one loads."""

    server: int
    load: int


def two_cores() -> Cores:
    """Return the first two cores that this process may use.

    Raises:
        CannotRun: there is only one: the load would take from the server what is measured.

    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise CannotRun("a second core is needed: one for the server, one for the load")
    return Cores(cores[0], cores[1])


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Run on ``core`` alone, as do all processes started meanwhile; they stay there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    """A server that accepts connections: its address, and what its processes use."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self._process = process
        self._log = log
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def _family(self) -> list[psutil.Process]:
        leader = psutil.Process(self._process.pid)
        return [leader, *leader.children(recursive=True)]

    def resident(self) -> int:
        """Return the resident memory of all its processes, in bytes."""
        return sum(int(member.memory_info().rss) for member in self._family())

    def cpu(self) -> float:
        """Return the seconds of processor time that its processes have used."""
        times = [member.cpu_times() for member in self._family()]
        return float(sum(one.user + one.system for one in times))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its first process."""
        self._process.send_signal(number)

    def check(self) -> None:
        """Raise `CannotRun` with what it said last, if it has ended."""
        if self._process.poll() is not None:
            said = self._log.read_text(errors="replace").strip().splitlines() or ["nothing said"]
            raise CannotRun(f"the server ended with code {self._process.returncode}: {said[-1]}")


@contextmanager
def serving(
    server: Server, start: Start, core: int, scratch: Path, *, command: list[str] | None = None
) -> Iterator[Running]:
    """Run a server on ``core`` until the block ends.

    Args:
        server: which one.
        start: what it is to serve.
        core: the one core of all its processes.
        scratch: a folder for what it says.
        command: what to run in the place of the server's own command.

    Raises:
        CannotRun: it did not accept connections; the message has what it said last.

    """
    log = scratch / f"{server.name}-{start.port}.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    # Greenlane as it is in this tree; a peer finds nothing of it.
    places = [str(APPS), *([] if server.environment else [str(ROOT / "server"), str(ROOT / "loadtest")])]
    environment["PYTHONPATH"] = os.pathsep.join(places)
    with log.open("wb") as output, pinned(core):
        process = subprocess.Popen(  # noqa: S603 - one of the servers of this benchmark
            command or server.command(start),
            cwd=APPS,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = Running(process, start.port, log)
    try:
        _wait_for(running)
        yield running
    finally:
        end(process)


def _wait_for(running: Running) -> None:
    deadline = time.monotonic() + _STARTING
    while time.monotonic() < deadline:
        running.check()
        with suppress(OSError), socket.create_connection(("127.0.0.1", running.port), 1.0):
            return
        time.sleep(_PAUSE)
    raise CannotRun(f"the server accepted no connection within {_STARTING:g} s")


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process that leads a session, and all of that session."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_STOPPING)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # Also after an orderly end: a worker may have outlived its leader.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
