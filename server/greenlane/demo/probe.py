"""The probe: one request that writes its nonce, lets others run, and reads back whose data it gets.

The reply is made of what was read from the strategy, never of what the request
said: a probe that answered from its own variables would always look right.

Must not import the site: it is given everything it needs.
"""

from collections.abc import Callable
from os import getpid
from threading import get_native_id
from typing import TypedDict

from greenlet import getcurrent

from greenlane.demo.parameters import Parameters
from greenlane.demo.strategies import FIELDS, Reading, Strategy
from greenlane.demo.switching import Switcher, Way, jitter


class Checkpoint(TypedDict):
    """What one checkpoint read.

    ``after`` names the way of switching; ``read`` is None throughout when reading
    raised, and ``error`` tells what; ``switches`` is counted since the previous
    checkpoint, for the first one since the first write.
    """

    after: str
    read: Reading
    error: str | None
    switches: int


class Report(TypedDict):
    """The reply of a probe.

    ``greenlet`` is the ``id()`` of the greenlet, ``thread`` the kernel's id of the
    native thread. ``in_flight`` is the most requests in flight that any step saw.
    ``switches`` is the sum over the checkpoints: see :class:`Turns`.
    """

    strategy: str
    found: Reading
    checkpoints: list[Checkpoint]
    greenlet: int
    thread: int
    pid: int
    in_flight: int
    switches: int


class Turns:
    """Who acted last, of all probes of one demonstration.

    When another probe acted since this one's previous step, the loop has switched
    away and back at least once in between: that is the proof of overlap which a
    probe counts, as "switches to other probes observed between own steps". It is a
    lower bound, since any number of switches between two steps count as one.
    """

    def __init__(self) -> None:
        self._last: object = None

    def take(self, actor: object) -> bool:
        """Note that ``actor`` acts now; return whether another one acted last."""
        other = self._last is not actor
        self._last = actor
        return other


class Probe:
    """One probe request, from what it finds to what it reads last.

    Args:
        strategy: what to write to and read from.
        parameters: what the request asks for.
        switcher: the ways to switch.
        turns: shared by all probes that may overlap.
        in_flight: returns the number of requests in flight now.

    """

    def __init__(
        self,
        strategy: Strategy,
        parameters: Parameters,
        *,
        switcher: Switcher,
        turns: Turns,
        in_flight: Callable[[], int],
    ) -> None:
        self._strategy = strategy
        self._parameters = parameters
        self._switcher = switcher
        self._turns = turns
        self._in_flight = in_flight
        self._most_in_flight = 0
        self._switches = 0

    def run(self) -> Report:
        """Go through all steps and return what was read.

        Raises:
            Exception: whatever the strategy raises on writing; errors of reading
                back are reported in their checkpoint.

        """
        try:
            return self._steps()
        finally:
            if self._parameters.release:
                self._strategy.release()

    def _steps(self) -> Report:
        first, second = FIELDS
        self._turns.take(self)
        found = self._strategy.found()
        self._write(first)
        self._switcher.gap(self._parameters.pause)
        self._write(second)
        checkpoints = [self._checkpoint(name, way) for name, way in self._ways()]
        return {
            "strategy": self._strategy.name,
            "found": found,
            "checkpoints": checkpoints,
            "greenlet": id(getcurrent()),
            "thread": get_native_id(),
            "pid": getpid(),
            "in_flight": self._most_in_flight,
            "switches": sum(checkpoint["switches"] for checkpoint in checkpoints),
        }

    def _ways(self) -> list[tuple[str, Way]]:
        """Take the ways in turn from a random one on, one for each hop."""
        start = self._switcher.start()
        ways = self._switcher.ways
        return [ways[(start + hop) % len(ways)] for hop in range(self._parameters.hops)]

    def _write(self, field: str) -> None:
        self._step()
        self._strategy.write(field, self._parameters.nonce)

    def _checkpoint(self, name: str, way: Way) -> Checkpoint:
        way(jitter(self._parameters.pause))
        self._step()
        switches, self._switches = self._switches, 0
        read: Reading = dict.fromkeys(FIELDS)
        error = None
        try:
            read = self._strategy.read()
        except Exception as raised:  # any error at all is a finding, and the client's to judge
            error = f"{type(raised).__name__}: {raised}"
        return {"after": name, "read": read, "error": error, "switches": switches}

    def _step(self) -> None:
        self._switches += self._turns.take(self)
        self._most_in_flight = max(self._most_in_flight, self._in_flight())
