"""The checker: is given the records of a history, one after another, and counts what they show.

The same class counts while a run goes on and judges its history afterwards. It keeps
tallies and a small table of the latest writers, however long the history is.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from crosstalk.checker.records import Probe
from crosstalk.checker.rules import RULES, Judgement, Rules, judge
from crosstalk.checker.tally import Tally
from crosstalk.checker.witness import Party, party

RECENT = 5_000
"""Writers that are remembered: what is read was mostly written a moment ago."""


class Checker:
    """Counts probes, cell by cell.

    Args:
        rules: what is called wrong.

    Attributes:
        tallies: what each cell's requests came to.

    """

    def __init__(self, rules: Rules = RULES) -> None:
        self.rules = rules
        self.tallies: dict[str, Tally] = {}
        self._recent: OrderedDict[str, Party] = OrderedDict()
        self._wanted: dict[str, set[str]] = {}
        # Of 64 bits each: in a million nonces, two with one hash are met once in some ten million runs.
        self._seen: set[int] = set()

    def tally(self, cell: str) -> Tally:
        """Return the tally of ``cell``, which may be empty."""
        tally = self.tallies.get(cell)
        if tally is None:
            tally = self.tallies[cell] = Tally()
        return tally

    def add(self, probe: Probe) -> Judgement | None:
        """Count ``probe``, and return the judgement of its reply; None when there is nothing to judge."""
        tally = self.tally(probe.cell)
        judgement, changed = None, False
        tally.repeated += self._has_seen(probe.nonce)
        if probe.failed is not None:
            tally.add_failure(probe.failed)
        elif probe.fate is not None:
            tally.doomed += 1
        elif probe.reply is not None:
            judgement = judge(probe.nonce, probe.reply, self.rules)
            changed = tally.add(probe, probe.reply, judgement)
        self._remember(party(probe))
        if changed:
            self._look_up(probe.cell, tally)
        return judgement

    def find_writers(self, probes: Iterable[Probe]) -> None:
        """Look through all the probes once more for the writers that were not remembered."""
        for cell, tally in self.tallies.items():
            self._look_up(cell, tally)
        if self._wanted:
            for probe in probes:
                self._name(party(probe))

    def merge(self, tallies: Mapping[str, Tally]) -> None:
        """Add the tallies of another checker, such as a worker's."""
        for cell, tally in tallies.items():
            self.tally(cell).merge(tally)

    def _has_seen(self, nonce: str) -> bool:
        key = hash(nonce)
        if key in self._seen:
            return True
        self._seen.add(key)
        return False

    def _remember(self, writer: Party) -> None:
        self._name(writer)
        self._recent[writer.nonce] = writer
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)

    def _look_up(self, cell: str, tally: Tally) -> None:
        """Name the writers that are remembered, and want the others."""
        for cells in self._wanted.values():
            cells.discard(cell)
        tally.forget_unwanted()
        for value in tally.wanted:
            if writer := self._recent.get(value):
                tally.name_writer(writer)
            else:
                self._wanted.setdefault(value, set()).add(cell)
        self._wanted = {value: cells for value, cells in self._wanted.items() if cells}

    def _name(self, writer: Party) -> None:
        for cell in self._wanted.pop(writer.nonce, ()):
            self.tallies[cell].name_writer(writer)
