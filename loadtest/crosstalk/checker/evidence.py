"""What a tally keeps of single requests: little, and such that two tallies add up to one.

Whatever is dropped to stay small is dropped by a rule that does not depend on the
order in which requests come, so that adding the evidence of two workers gives what
one would have that saw all.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import crc32

SAMPLE = 2_000
"""Nonces that a sample holds before it halves its share."""

CHANNELS = 100
"""Channels whose victims are kept in order, for each cell."""

VICTIMS = 32
"""Victims kept for each channel, the earliest."""


@dataclass(slots=True)
class Sample:
    """A set of nonces that takes all at first, and then a smaller and smaller share of them.

    Which nonces belong to a share is told by a hash, so that two samples of one share
    hold the same ones: their difference is as true as that of the whole sets.

    Attributes:
        level: how often the share was halved.
        nonces: those that it holds.

    """

    level: int = 0
    nonces: set[str] = field(default_factory=set)

    def add(self, nonce: str) -> None:
        """Add ``nonce``, if it belongs to the share."""
        if _belongs(nonce, self.level):
            self.nonces.add(nonce)
            self._shrink()

    def merge(self, other: "Sample") -> None:
        """Add what the other one holds."""
        self.nonces |= other.nonces
        self.nonces = self.at(max(self.level, other.level))
        self.level = max(self.level, other.level)
        self._shrink()

    def at(self, level: int) -> set[str]:
        """Return what it holds of the share of ``level``, no lower than its own."""
        return {nonce for nonce in self.nonces if _belongs(nonce, level)}

    def _shrink(self) -> None:
        while len(self.nonces) > SAMPLE:
            self.level += 1
            self.nonces = self.at(self.level)


def _belongs(nonce: str, level: int) -> bool:
    return not level or crc32(nonce.encode("utf-8", "surrogatepass")) & ((1 << level) - 1) == 0


class Victim(NamedTuple):
    """A request that read a foreign value, in its place on a channel.

    Attributes:
        order: two times that tell its place among the channel's requests.
        nonce: what it wrote.
        value: the first foreign value that it read.

    """

    order: tuple[float, float]
    nonce: str
    value: str


@dataclass(slots=True)
class Victims:
    """The earliest victims of each channel, in order, of the first channels by name."""

    by_channel: dict[str, list[Victim]] = field(default_factory=dict)

    def add(self, channel: str, victims: Iterable[Victim]) -> None:
        """Add victims of one channel."""
        merged = set(self.by_channel.get(channel, ())).union(victims)
        self.by_channel[channel] = sorted(merged)[:VICTIMS]
        if len(self.by_channel) > CHANNELS:
            del self.by_channel[max(self.by_channel)]

    def merge(self, other: "Victims") -> None:
        """Add those of another."""
        for channel, victims in other.by_channel.items():
            self.add(channel, victims)


@dataclass(frozen=True, slots=True)
class Row:
    """Requests in a row on one channel, each of which read what one a fixed number before it wrote.

    Attributes:
        channel: what their data came through.
        shift: how many requests before.
        nonces: the requests, in order.

    """

    channel: str
    shift: int
    nonces: tuple[str, ...]


def rows(victims: Victims) -> Iterator[Row]:
    """Yield the rows of at least two victims with one and the same shift.

    The first victims of a row read what requests wrote that came to no harm, or that
    never replied. Those have no place among the victims, and as many of them as the
    shift may begin a row.
    """
    for channel, row in sorted(victims.by_channel.items()):
        places = {victim.nonce: place for place, victim in enumerate(row)}
        shifts = [_shift(place, places.get(victim.value)) for place, victim in enumerate(row)]
        start = 0
        while start < len(row):
            end = start
            while end < len(row) and shifts[end] is None:
                end += 1
            first = end
            while end < len(row) and shifts[end] is not None and shifts[end] == shifts[first]:
                end += 1
            shift = shifts[first] if first < len(row) else None
            if shift is not None:
                begins = max(start, first - shift)
                if end - begins >= 2:
                    yield Row(channel, shift, tuple(victim.nonce for victim in row[begins:end]))
            start = end


def _shift(place: int, writer: int | None) -> int | None:
    return place - writer if writer is not None and writer < place else None
