"""Refusing what the explorer does not control, by Python's own audit events (PEP 578).

A native socket or child process does not ask gevent's loop, so the loop cannot
see it. The interpreter announces both before it makes one, and a hook may refuse.
A hook stays for the life of the process: it is added with the first program, and
looks at one variable while no program runs. Python 3.11 does not announce native
threads, so the functions that start them are replaced.
"""

import _thread
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from gevent.monkey import get_original

from greenlane.testing.interleave.errors import UnsupportedError
from greenlane.testing.interleave.swap import Swaps, native_ident

#: pytest leaves this module's frames out: they say nothing of the program.
__tracebackhide__ = True

#: What is refused: the event, and what to call it.
REFUSED: dict[str, str] = {
    "socket.__new__": "a real socket",
    "socket.getaddrinfo": "a name look-up",
    "subprocess.Popen": "a child process",
    "os.fork": "a child process",
    "os.forkpty": "a child process",
    "os.posix_spawn": "a child process",
    "os.system": "a child process",
}

_INSTEAD = (
    "It does not wait for its turn, so the orders explored would not be all there are. Put something in "
    "its place that waits as it does, for example gevent.sleep(0) or a gevent.queue.Queue."
)


def refusal(what: str) -> UnsupportedError:
    """Return the error that refuses ``what``."""
    return UnsupportedError(f"The program uses {what}, which cannot be explored. {_INSTEAD}")


class _Guard:
    """The hook's state.

    Attributes:
        owner: the native thread in which a program runs now; None while none does.
        refused: the first refusal of the current run. A program may swallow the
            error, and must still not pass.

    """

    def __init__(self) -> None:
        self.owner: int | None = None
        self.refused: UnsupportedError | None = None
        self._added = False

    def add(self) -> None:
        """Add the hook, once in the life of a process."""
        if not self._added:
            self._added = True
            sys.addaudithook(_audit)

    def refuse(self, what: str) -> NoReturn:
        """Raise the refusal of ``what``, and remember it."""
        self.refuse_with(refusal(what))

    def refuse_with(self, error: UnsupportedError) -> NoReturn:
        """Raise ``error``, and remember it if it is the program's."""
        if self.owner == native_ident():
            self.refused = self.refused or error
        raise error


guard = _Guard()


def _audit(event: str, _args: tuple[Any, ...]) -> None:
    # A plain function, because every id() in the process calls it from now on: that
    # costs 0.15 microseconds, and eight times as much with a bound method.
    if guard.owner is not None and event in REFUSED and guard.owner == native_ident():
        guard.refuse(REFUSED[event])


@contextmanager
def refusing() -> Iterator[None]:
    """Refuse, in the current native thread, what :data:`REFUSED` lists."""
    guard.add()
    guard.refused = None
    guard.owner = native_ident()
    try:
        yield
    finally:
        guard.owner = None


def swaps() -> Swaps:
    """Return what stands in for the functions that start a native thread."""

    def start(*_args: object, **_kwargs: object) -> NoReturn:
        guard.refuse("a native thread")

    names = ("start_new_thread", "start_new", "start_joinable_thread")
    return {get_original("_thread", name): start for name in names if hasattr(_thread, name)}
