"""``python -m greenlane.demo.orders PROGRAM`` prints the document of a program, and ends.

An exploration takes the place of its native thread's event loop, so it has a process of
its own. The server starts it by gevent's launcher, which patches before anything of
Greenlane is imported; by hand it may run unpatched, since the explorer and the strategies
are the same in both.
"""

import ctypes
import signal
import sys
from typing import Final

from greenlane.demo.orders.document import document
from greenlane.demo.orders.process import LONGEST
from greenlane.demo.orders.programs import PROGRAMS

_PR_SET_PDEATHSIG: Final = 1
"""See prctl(2), which Linux alone has."""


def main(arguments: list[str]) -> int:
    """Print the document of the program that is named; return 2 where there is none of that name."""
    if len(arguments) != 1 or arguments[0] not in PROGRAMS:
        sys.stderr.write(f"usage: python -m greenlane.demo.orders {{{','.join(PROGRAMS)}}}\n")
        return 2
    _end_with_parent()
    sys.stdout.write(document(PROGRAMS[arguments[0]]))
    return 0


def _end_with_parent() -> None:
    """Do not go on for nobody: end with the process that started this, and when it has given up."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.alarm(LONGEST)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
