"""Servers that are started for a run: each a subprocess on a free port, which says where it serves."""

import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from crosstalk.site import CannotRun

READY = re.compile(r"http://[^\s,]+")
STARTING = 30.0
"""Seconds that a server may take to say that it serves."""

STOPPING = 15.0
"""Seconds that it may take to drain before it is killed."""

_PR_SET_PDEATHSIG = 1
"""See prctl(2), which Linux alone has."""

# Looked up before there is a child: little is safe between its fork and its exec.
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


@contextmanager
def running_server(connections: int) -> Iterator[str]:
    """Run the demonstration in a process of its own and give its address.

    Args:
        connections: how many connections it must be able to hold.

    Raises:
        CannotRun: it did not start; the message has what it said.

    """
    options = [
        *("--host", "127.0.0.1", "--port", "0"),
        *("--max-connections", str(connections), "--access-log", "off"),
    ]
    with started([sys.executable, "-m", "greenlane", "run", *options]) as address:
        yield address


@contextmanager
def started(
    command: Sequence[str], address: str | None = None, environ: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run a server in a process of its own and give its address.

    It is asked to stop when the block ends, and killed when it does not.

    Args:
        command: the program and its options.
        address: where it will serve, of a server that does not say it; otherwise it is the
            first that it says.
        environ: its environment; by default this process's.

    Raises:
        CannotRun: it did not start; the message has what it said.

    """
    process = subprocess.Popen(  # noqa: S603 - programs that the caller names, and no shell
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environ,
        # A session of its own: Ctrl-C is for the prover, which then stops the server.
        start_new_session=True,
        preexec_fn=_end_with_parent if _prctl is not None else None,
    )
    assert process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
    said: deque[str] = deque(maxlen=20)
    reader = threading.Thread(target=_keep_reading, args=(process.stdout, said), daemon=True)
    timer = threading.Timer(STARTING, process.kill)
    try:
        timer.start()
        serves = _answers(process, address) if address else _address(process.stdout, said)
        timer.cancel()
        if serves is None:
            said.extend(process.stdout)  # what it said last, to its end
            raise CannotRun(f"the server did not start: {_reason(process, said)}")
        reader.start()
        yield serves
    finally:
        timer.cancel()
        process.terminate()
        try:
            process.wait(STOPPING)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with its workers, if it has any
            process.wait()
        if reader.ident is not None:
            reader.join()
        process.stdout.close()


def _end_with_parent() -> None:
    """Have the kernel end this process when the one that started it is no more, be it killed."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _address(stream: "Iterable[str]", said: "deque[str]") -> str | None:
    """Return the first address that the server says; None when it ends before."""
    for line in stream:
        said.append(line)
        if match := READY.search(line):
            return match.group().rstrip("/")
    return None


def _answers(process: "subprocess.Popen[str]", address: str) -> str | None:
    """Return ``address`` once somebody listens there; None when the server ends before."""
    parts = urlsplit(address)
    while process.poll() is None:
        try:
            socket.create_connection((parts.hostname or "", parts.port or 80), STARTING).close()
        except OSError:
            time.sleep(0.02)
        else:
            return address
    return None


def _reason(process: "subprocess.Popen[str]", said: "deque[str]") -> str:
    process.wait()
    return " ".join(line.strip() for line in said) or f"it ended with code {process.returncode}"


def _keep_reading(stream: "Iterable[str]", said: "deque[str]") -> None:
    # A pipe that nobody reads fills up and stops its writer.
    with suppress(ValueError):
        said.extend(stream)
