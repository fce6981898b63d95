"""Where a server's time goes: ``python -m bench.sampler FILE COMMAND...`` runs `greenlane` and samples it.

A timer of the processor time that the process uses (ITIMER_PROF) interrupts it, and the handler looks where
the main thread stands, on whatever greenlet. Unlike `cProfile` it costs the same however many calls there
are, and greenlets do not confuse it. Time in C counts for the function of Python that called. It begins with
a SIGUSR2, so that starting and warming are not counted. When the server has drained, FILE gets JSON: samples
by function, as (own, with callees).

Rule: nothing that patching is to replace may be imported before the server's own entry point has patched.
"""

import atexit
import json
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

_INTERVAL = 0.001
"""Seconds of processor time between samples; the kernel may round up to its own tick."""


class Sampler:
    """Counts where the main thread stood."""

    def __init__(self) -> None:
        self.samples = 0
        self.own: Counter[str] = Counter()
        self.total: Counter[str] = Counter()

    def start(self) -> None:
        """Begin at the next SIGUSR2; from the main thread, since signals are handled there."""
        signal.signal(signal.SIGUSR2, self._begin)
        signal.signal(signal.SIGPROF, self._sample)
        # A system call that is interrupted goes on by itself.
        signal.siginterrupt(signal.SIGPROF, False)

    def _begin(self, _number: int, _frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_PROF, _INTERVAL, _INTERVAL)

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        if frame is None:
            return
        self.samples += 1
        self.own[_name(frame)] += 1
        seen = set()
        step: FrameType | None = frame
        while step is not None:
            seen.add(_name(step))
            step = step.f_back
        self.total.update(seen)

    def write(self, path: Path) -> None:
        """Stop, and write what was counted."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        found = {name: [self.own[name], count] for name, count in self.total.items()}
        path.write_text(json.dumps({"samples": self.samples, "functions": found}))


def _name(frame: FrameType) -> str:
    return f"{frame.f_globals.get('__name__', '?')}:{frame.f_code.co_qualname}"


def main() -> None:
    """Run `greenlane` with the rest of the command line."""
    from greenlane.__main__ import main as run

    path, sys.argv[1:] = Path(sys.argv[1]), sys.argv[2:]
    sampler = Sampler()
    atexit.register(sampler.write, path)
    sampler.start()
    run()


if __name__ == "__main__":
    main()
