"""The server under proof, when the prover starts it itself: a subprocess on a free port."""

import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from crosstalk.site import CannotRun

READY = re.compile(r"http://\S+")
STARTING = 30.0
"""Seconds that a server may take to say that it serves."""

STOPPING = 15.0
"""Seconds that it may take to drain before it is killed."""


@contextmanager
def running_server(connections: int) -> Iterator[str]:
    """Run the demonstration in a process of its own and give its address.

    Args:
        connections: how many connections it must be able to hold.

    Raises:
        CannotRun: it did not start; the message has what it said.

    """
    command = [
        *(sys.executable, "-m", "greenlane", "run"),
        *("--host", "127.0.0.1", "--port", "0"),
        *("--max-connections", str(connections), "--access-log", "off"),
    ]
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        # A session of its own: Ctrl-C is for the prover, which then stops the server.
        start_new_session=True,
    )
    assert process.stdout is not None  # noqa: S101 - for the type checker: both are pipes
    assert process.stderr is not None  # noqa: S101
    said: deque[str] = deque(maxlen=20)
    readers = [
        threading.Thread(target=_keep_reading, args=(stream, said), daemon=True)
        for stream in (process.stderr, process.stdout)
    ]
    try:
        readers[0].start()
        address = _address(process, readers[0], said)
        readers[1].start()
        yield address
    finally:
        process.terminate()
        try:
            process.wait(STOPPING)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for reader in readers:
            if reader.ident is not None:
                reader.join()
        process.stdout.close()
        process.stderr.close()


def _address(process: "subprocess.Popen[str]", reader: threading.Thread, said: "deque[str]") -> str:
    timer = threading.Timer(STARTING, process.kill)
    timer.start()
    try:
        for line in process.stdout or ():
            if match := READY.search(line):
                return match.group().rstrip("/")
    finally:
        timer.cancel()
    process.wait()
    reader.join(STOPPING)  # what it said last may not have been read yet
    reason = " ".join(line.strip() for line in said) or f"it ended with code {process.returncode}"
    raise CannotRun(f"the server did not start: {reason}")


def _keep_reading(stream: "Iterator[str]", said: "deque[str]") -> None:
    # A pipe that nobody reads fills up and stops its writer.
    with suppress(ValueError):
        said.extend(stream)
