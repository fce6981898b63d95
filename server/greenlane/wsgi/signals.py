"""SIGTERM and SIGINT: the first drains, the second stops at once.

Rule: the handlers are Python's own (`signal.signal`) and not watchers of the
event loop: those run only when the loop turns, and a second signal must end a
process whose loop is blocked. A watcher only wakes the loop, so that Python gets to
run them. Must not know what the server serves.
"""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from gevent import get_hub
from gevent.event import Event

from greenlane.wsgi.server import WSGIServer

ALL_FINISHED = 0
CUT_OFF = 1
STOPPED_AT_ONCE = 130
"""As a shell reports a program that SIGINT ended."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def serve_until_signal(
    server: WSGIServer, *, on_ready: Callable[[], None], on_drain: Callable[[], None]
) -> int:
    """Serve until a signal arrives, then drain. Call it on the main thread.

    Args:
        server: started already, so that its port is known.
        on_ready: called once signals are handled: from here on, one drains.
        on_drain: called when the first signal arrives, before draining.

    Returns:
        The exit code: `ALL_FINISHED`, or `CUT_OFF` when the settings'
        `drain_timeout` ended requests. A second signal ends the process with
        `STOPPED_AT_ONCE`, from wherever it is, also after this has returned:
        the handlers stay, because what ends a program may hang as well.

    """
    told = Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if told.is_set():
            try:
                sys.stdout.flush()
            finally:  # also when nobody reads it any more, or the signal came in the middle of a print
                # Not SystemExit: it would be raised in whatever greenlet runs, which may catch it.
                os._exit(STOPPED_AT_ONCE)
        told.set()

    _wake_on_signals()
    for number in _SIGNALS:
        signal.signal(number, on_signal)
    on_ready()
    told.wait()
    on_drain()
    return CUT_OFF if server.drain() else ALL_FINISHED


def _wake_on_signals() -> None:
    """Let each signal write a byte that the loop waits for.

    Python only takes note of a signal, and runs its handler between two of its own steps. One that
    arrives just before the loop goes to sleep would wait for the next event, which on an idle server
    may never come. Stays for the life of the process, as the handlers do.
    """
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    # Without a reference: it must not be what keeps a loop running that has nothing else to wait for.
    get_hub().loop.io(reader, 1, ref=False).start(os.read, reader, 4_096)
