"""A visit to the tour from the command line: where it is shown, how it may end, and its exit code."""

import signal
from collections.abc import Mapping
from typing import Final

import gevent
from gevent.util import wrap_errors
from greenlet import GreenletExit
from rich.console import Console

from greenlane.demo.tour.chapter import Chapter
from greenlane.demo.tour.guide import Guide

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C: 128 and the number of SIGINT, as shells have it."""


def visit(chapters: Mapping[int, Chapter]) -> int:
    """Show and run chapters on stdout.

    Args:
        chapters: by their numbers, in the order in which they are shown.

    Returns:
        The exit code: 0 when every check held, 1 when one did not, 130 after Ctrl-C.

    Raises:
        SystemExit: nobody reads stdout any more; Rich ends the program then, with 1.
        OSError: it cannot be written to for another reason.

    """
    # On a greenlet that Ctrl-C ends like any other, so that the scene at work cleans up
    # after itself. As a KeyboardInterrupt it could hit any greenlet, which gevent reports.
    guide = Guide(Console())
    tour = gevent.spawn(wrap_errors((OSError,), guide.lead), chapters)
    watcher = gevent.signal_handler(signal.SIGINT, tour.kill, block=False)
    try:
        tour.join()
    finally:
        watcher.cancel()
    outcome: object = tour.value
    if isinstance(outcome, GreenletExit):
        return INTERRUPTED
    if isinstance(outcome, OSError):
        raise outcome
    return 0 if outcome else 1
