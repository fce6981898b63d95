"""Ctrl-C and SIGTERM while Locust runs: they belong to the greenlet that waits for the run's end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import gevent

INTERRUPTED = 130
"""The exit code of a command that was interrupted."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the block with KeyboardInterrupt, so that what it started is stopped too.

    Python runs a signal's handler in whichever greenlet is current. One of Locust's
    would print a traceback, or take the interrupt for itself and let the run go on:
    it belongs to the greenlet that waits for the run's end.
    """
    waiting = gevent.getcurrent()

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if gevent.getcurrent() is waiting:
            raise KeyboardInterrupt
        gevent.kill(waiting, KeyboardInterrupt)

    previous = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def put_off() -> Iterator[None]:
    """Let an interrupt wait until the block has ended: for what must not be left half made."""
    waiting: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, lambda came, _: waiting.append(came)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if waiting:
        signal.raise_signal(waiting[0])
