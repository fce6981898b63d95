"""The probe: one request that writes its nonce, lets others run, and reads back whose data it gets.

The reply is made of what was read from the keeper, never of what the request
said: a probe that answered from its own variables would always look right. What is kept
bears a :mod:`~greenlane.demo.seal`, so that a keeper which does that is seen too.

Must not import the site: it is given everything it needs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from os import getpid
from threading import get_native_id
from time import monotonic
from typing import NotRequired, TypedDict

from greenlet import getcurrent

from greenlane.demo.doom import RAISES, Doom
from greenlane.demo.keeper import FIELDS, Keeper, Reading
from greenlane.demo.parameters import Parameters
from greenlane.demo.seal import Seal
from greenlane.demo.switching import Switcher, Way, jitter
from greenlane.ops.process import process_name


class Checkpoint(TypedDict):
    """What one checkpoint read.

    ``after`` names the way of switching; ``read`` is None throughout when reading
    raised, and ``error`` tells what; ``switches`` is counted since the previous
    checkpoint, for the first one since the first write; ``at`` is when it read.
    """

    after: str
    read: Reading
    error: str | None
    switches: int
    at: float


class Report(TypedDict):
    """The reply of a probe.

    ``greenlet`` is the ``id()`` of the greenlet, ``thread`` the kernel's id of the
    native thread, ``process`` the name of the process, which no other one shares,
    be it in another container. ``in_flight`` is the most requests in flight that any step saw.
    ``switches`` is the sum over the checkpoints: see :class:`Turns`. Times are
    seconds of :func:`time.monotonic`: ``began`` before the look at what is found,
    ``wrote`` after each write. ``hazard`` is there under ``/hazards/`` alone, and
    ``channel`` where the data came through something that requests take turns
    with, such as a pooled connection: it names that.
    """

    strategy: str
    hazard: NotRequired[str]
    found: Reading
    began: float
    wrote: list[float]
    checkpoints: list[Checkpoint]
    greenlet: int
    thread: int
    pid: int
    process: str
    in_flight: int
    switches: int
    channel: NotRequired[str]


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


class Watch:
    """Is told each step of each probe. This one takes no notice; a race's recorder does.

    It is told in the probe's own greenlet, right after the step.
    """

    def began(self, probe: "Probe", found: Reading) -> None:
        """A probe has looked at what is there."""

    def wrote(self, probe: "Probe", field: str) -> None:
        """A probe has written a field."""

    def read(self, probe: "Probe", read: Reading, error: str | None) -> None:
        """A probe has read back, at a checkpoint."""

    def reported(self, probe: "Probe") -> None:
        """A probe has read all that it was to read."""

    def released(self, probe: "Probe") -> None:
        """A probe has dropped what was held for it, as its last step."""


@dataclass(frozen=True)
class Kit:
    """What all probes of one demonstration share.

    Attributes:
        switcher: the ways to switch.
        turns: who acted last.
        in_flight: returns the number of requests in flight now.
        watch: is told each step.
        seal: is put on what they keep.

    """

    switcher: Switcher
    turns: Turns
    in_flight: Callable[[], int]
    watch: Watch = field(default_factory=Watch)
    seal: Seal = field(default_factory=Seal)

    def probe(self, name: str, keeper: Keeper, parameters: Parameters) -> "Probe":
        """Make the probe of one request, that writes to ``keeper`` and reads from it."""
        return Probe(self, name, keeper, parameters)


class Probe:
    """One probe request, from what it finds to what it reads last.

    Args:
        kit: what it shares with others.
        name: the strategy's, for the report.
        keeper: what to write to and read from.
        parameters: what the request asks for.

    Attributes:
        name: the strategy's, or the variant's.
        nonce: what it writes.
        keeper: what it writes to and reads from.

    """

    def __init__(self, kit: Kit, name: str, keeper: Keeper, parameters: Parameters) -> None:
        self.name = name
        self.nonce = parameters.nonce
        self.keeper = keeper
        self._kit = kit
        self._parameters = parameters
        self._most_in_flight = 0
        self._switches = 0
        self._all_switches = 0
        self._began = 0.0
        self._found: Reading = dict.fromkeys(FIELDS)
        self._wrote: list[float] = []

    def run(self) -> Report:
        """Go through all steps and return what was read.

        Raises:
            Doom: the request had announced that it would raise, which it does between write and read.
            Exception: whatever the keeper raises on writing; errors of reading
                back are reported in their checkpoint.

        """
        try:
            self.write()
            return self.report(list(self.checkpoints()))
        finally:
            if self._parameters.release:
                self.keeper.release()
                self._kit.watch.released(self)

    def write(self) -> None:
        """Look at what is there, and write both fields, with a switch between.

        Raises:
            Doom: both are written, and the request had announced that it would raise then.
            Exception: whatever the keeper raises.

        """
        first, second = FIELDS
        self._kit.turns.take(self)
        self._began = _now()
        self._found = self._unsealed(self.keeper.found())
        self._kit.watch.began(self, self._found)
        self._write(first)
        self._kit.switcher.gap(self._parameters.pause)
        self._write(second)
        if self._parameters.fate == RAISES:
            raise Doom(RAISES)

    def checkpoints(self) -> Iterator[Checkpoint]:
        """Switch and read back, as often as is asked for: the ways in turn from a random one on."""
        start = self._kit.switcher.start()
        ways = self._kit.switcher.ways
        for hop in range(self._parameters.hops):
            yield self._checkpoint(*ways[(start + hop) % len(ways)])

    def report(self, checkpoints: list[Checkpoint]) -> Report:
        """Return the reply with ``checkpoints``, which is empty where they were sent before it."""
        self._kit.watch.reported(self)
        return {
            "strategy": self.name,
            "found": self._found,
            "began": self._began,
            "wrote": self._wrote,
            "checkpoints": checkpoints,
            "greenlet": id(getcurrent()),
            "thread": get_native_id(),
            "pid": getpid(),
            "process": process_name(),
            "in_flight": self._most_in_flight,
            "switches": self._all_switches,
        }

    def _write(self, field: str) -> None:
        self._step()
        self.keeper.write(field, self._kit.seal.put_on(self.nonce))
        self._wrote.append(_now())
        self._kit.watch.wrote(self, field)

    def _checkpoint(self, name: str, way: Way) -> Checkpoint:
        way(jitter(self._parameters.pause))
        self._step()
        switches, self._switches = self._switches, 0
        read: Reading = dict.fromkeys(FIELDS)
        error = None
        try:
            read = self._unsealed(self.keeper.read())
        except Exception as raised:  # any error at all is a finding, and the client's to judge
            error = f"{type(raised).__name__}: {raised}"
        self._kit.watch.read(self, read, error)
        return {"after": name, "read": read, "error": error, "switches": switches, "at": _now()}

    def _unsealed(self, reading: Reading) -> Reading:
        """Take the seals off what was kept; a carrier brings the nonce as the request said it."""
        return reading | {field: self._kit.seal.take_off(reading[field]) for field in FIELDS}

    def _step(self) -> None:
        other = self._kit.turns.take(self)
        self._switches += other
        self._all_switches += other
        self._most_in_flight = max(self._most_in_flight, self._kit.in_flight())


def _now() -> float:
    return round(monotonic(), 6)
