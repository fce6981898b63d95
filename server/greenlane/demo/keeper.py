"""A keeper: whatever a probe can write two fields to and read them back from.

The strategies are keepers, and so are most of the hazards' variants. Knows nothing of
probes, requests or hazards.
"""

from abc import ABC, abstractmethod
from typing import Final, Literal

Reading = dict[str, str | None]

#: What one reading is judged, from the worst on.
ReadingJudged = Literal["foreign", "torn", "missing", "own"]

#: What every keeper writes and reads: two fields, so that a torn write can show.
FIELDS: Final = ("first", "second")


class Keeper(ABC):
    """A way of keeping one request's two fields.

    It never sees the nonce that it ought to hold: what it reads is what its
    storage holds, and nothing else. Data that is not there reads as None; any
    other error is the caller's to report.
    """

    @abstractmethod
    def write(self, field: str, value: str) -> None:
        """Write one of :data:`FIELDS`."""

    @abstractmethod
    def read(self) -> Reading:
        """Read everything back; a field that is not there is None."""

    @abstractmethod
    def release(self) -> None:
        """Drop what is held for whoever calls; harmless when nothing is held."""

    def place(self) -> str | None:
        """Name the place where the caller's data is kept; None where the keeper has no name for it.

        Whoever gets the same name has the same place: that is what requests share.
        """
        return None

    def found(self) -> Reading:
        """Read the fields of :data:`FIELDS` alone: all None in a clean lane."""
        reading = self.read()
        return {field: reading[field] for field in FIELDS}


def judge(reading: Reading, nonce: str) -> ReadingJudged:
    """Judge what was read back, as the load test does: see ``docs/proof.md``.

    Args:
        reading: of whoever wrote ``nonce`` to all fields.
        nonce: its own.

    """
    values = set(reading.values())
    if values == {None}:
        return "missing"
    if len(values) > 1:
        return "torn"
    return "own" if values == {nonce} else "foreign"
