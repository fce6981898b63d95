"""The load of a race: ``crosstalk race`` in a process of its own, and the lines that it prints.

In another process, so that what runs here are the requests alone. It ends with this one, or
when it is told to: its standard input is a pipe, whose end it heeds.

Must not import ``crosstalk``: the two know each other by these lines.
"""

import json
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import gevent
from gevent.queue import Empty, SimpleQueue
from gevent.subprocess import PIPE, Popen, TimeoutExpired

from greenlane.demo.race.settings import PAUSE_MS, Settings

Line = dict[str, Any]

#: Seconds that the program may take to end once it has said how the race went.
ENDING: Final = 2.0


class Load:
    """The running program.

    Args:
        host: the address of the arena.
        settings: what to race.

    """

    def __init__(self, host: str, settings: Settings) -> None:
        self._process: Any = Popen(command(host, settings), stdin=PIPE, stdout=PIPE, stderr=PIPE)
        self._lines: SimpleQueue[Line | None] = SimpleQueue()
        self._errors: deque[str] = deque(maxlen=1)
        self._readers = [gevent.spawn(self._read_lines), gevent.spawn(self._read_errors)]

    @property
    def pid(self) -> int:
        """The process."""
        pid: int = self._process.pid
        return pid

    def line(self, patience: float) -> Line | None:
        """Return the next line, or an empty one when none has come after ``patience`` seconds.

        Returns:
            None when there are no more.

        """
        try:
            return self._lines.get(timeout=patience)
        except Empty:
            return {}

    def last_words(self) -> str:
        """Return the last line that it wrote to its standard error, if any."""
        return self._errors[-1] if self._errors else ""

    def end(self, patience: float = 0.0) -> None:
        """End the program, after ``patience`` seconds in which it may end by itself."""
        process = self._process
        try:
            with suppress(TimeoutExpired):
                process.wait(timeout=patience)
            if process.poll() is None:
                process.kill()
            process.wait()
        finally:
            gevent.killall(self._readers)
            for pipe in (process.stdin, process.stdout, process.stderr):
                pipe.close()

    def _read_lines(self) -> None:
        try:
            for text in self._process.stdout:
                line = json.loads(text)
                if not isinstance(line, dict):
                    raise ValueError("a line is no object")
                self._lines.put(line)
        except ValueError as error:
            self._errors.append(f"the load test printed what is no line of a race: {error}")
        finally:
            self._lines.put(None)

    def _read_errors(self) -> None:
        for text in self._process.stderr:
            if words := text.decode(errors="replace").strip():
                self._errors.append(words)


def command(host: str, settings: Settings) -> Sequence[str]:
    """Return the command line of the load."""
    cells = [option for cell in settings.cells for option in ("--cell", cell)]
    numbers = {
        "--requests": settings.requests,
        "--at-once": settings.at_once,
        "--hops": settings.hops,
        "--pause": PAUSE_MS,
    }
    options = [option for name, number in numbers.items() for option in (name, str(number))]
    return [sys.executable, "-m", "crosstalk", "race", "--lines", "--host", host, *cells, *options]
