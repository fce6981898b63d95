"""The process that runs every order of a program: started when somebody asks, once, and bounded in time.

An exploration holds its native thread until it is done, so the server's own would serve
nobody meanwhile. What came out is kept: it is the same every time.

Must not import the explorer, which that process has to itself.
"""

import json
import logging
import sys
from collections.abc import Callable, Sequence
from subprocess import TimeoutExpired
from typing import Any, Final

import gevent
from gevent.subprocess import DEVNULL, PIPE, Popen

LONGEST: Final = 30
"""Seconds that a program may take. The slowest takes about two, on a quiet machine."""

_logger = logging.getLogger(__name__)


class NotComputed(Exception):  # noqa: N818 - what is said of a program, as NoDatabase is of a database
    """The orders could not be run; the message says why in a line, and is safe to show."""


def command(program: str) -> Sequence[str]:
    """Return the command line that prints the document of a program."""
    return [sys.executable, "-m", "greenlane.demo.orders", program]


class Documents:
    """The documents of the programs, each made when it is first asked for.

    Args:
        command: returns the command line for a program.
        longest: seconds after which it is killed.

    """

    def __init__(self, command: Callable[[str], Sequence[str]] = command, longest: float = LONGEST) -> None:
        self._command = command
        self._longest = longest
        self._made: dict[str, bytes] = {}
        self._making: dict[str, gevent.Greenlet[[str], bytes | NotComputed]] = {}

    def of(self, program: str) -> bytes:
        """Return the document of a program; whoever asks while it is made waits for the same one.

        Raises:
            NotComputed: it could not be made. The next one who asks tries again.

        """
        made = self._made.get(program)
        if made is not None:
            return made
        # A greenlet of its own: that the first one to ask goes away is nothing to the others.
        making = self._making.get(program)
        if making is None or making.dead:
            making = self._making[program] = gevent.spawn(self._make, program)
        outcome = making.get()
        if isinstance(outcome, bytes):
            return outcome
        # A greenlet that was killed gives its GreenletExit.
        raise NotComputed(str(outcome) or "The process that runs the orders was ended.")

    def _make(self, program: str) -> bytes | NotComputed:
        try:
            made = self._made[program] = self._printed(program)
        except NotComputed as error:
            return error
        else:
            return made
        finally:
            self._making.pop(program, None)

    def _printed(self, program: str) -> bytes:
        try:
            process: Any = Popen(self._command(program), stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
        except OSError as error:
            raise NotComputed(f"The process that runs the orders did not start: {error.strerror}.") from error
        with process:
            try:
                printed: bytes
                printed, errors = process.communicate(timeout=self._longest)
            except TimeoutExpired:
                raise NotComputed(f"Running the orders took more than {self._longest:g} seconds.") from None
            finally:
                process.kill()  # when it has not ended by itself
        if process.returncode or not _is_document(printed):
            # What it said is for the log: it may have a traceback.
            said = errors.decode(errors="replace")
            _logger.error("the orders of %s: status %s\n%s", program, process.returncode, said)
            raise NotComputed("The process that runs the orders failed; the server's log has the reason.")
        return printed


def _is_document(printed: bytes) -> bool:
    try:
        return isinstance(json.loads(printed), dict)
    except ValueError:
        return False
