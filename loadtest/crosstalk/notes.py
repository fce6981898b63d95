"""The notes' oracle: what one visitor wrote, and whether a reply is exactly that.

It sees texts and nothing else: not how the server keeps visitors apart. Nothing here
imports Locust.
"""

import json
from collections import Counter, deque
from dataclasses import dataclass, field
from enum import Enum
from random import Random

EACH = 20
"""Notes that the server keeps of a visitor: the oldest make room."""

NAMED = 50
"""Wrong replies of each judgement that are described one by one; Locust keeps every distinct message."""


class InvalidReply(ValueError):  # noqa: N818 - the reply is what is invalid
    """A body that is no complete list of notes: the request failed."""


class Rows(Enum):
    """The judgement of one reply; the first that applies."""

    FOREIGN = "foreign"
    """A row that this visitor never wrote."""
    MISSING = "missing"
    """A row of the visitor's own is not there."""
    OTHER = "other"
    """Only own rows, but deleted ones, some twice, or in another order."""
    OWN = "own"
    """Exactly the visitor's own rows, the newest first."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete reply.

    Attributes:
        notes: numbers and texts, as the server gives them.
        token: what the next form has to bring.
        in_flight: the most requests that the server had in flight meanwhile.
        switched: whether another visitor's request acted between writing and reading.

    """

    notes: tuple[tuple[int, str], ...]
    token: str
    in_flight: int
    switched: bool


def parse(body: bytes) -> Reply:
    """Read the body of a 200 reply.

    Raises:
        InvalidReply: it is no JSON, or lacks something.

    """
    try:
        document = json.loads(body)
        notes = tuple((int(note["id"]), str(note["text"])) for note in document["notes"])
        return Reply(notes, str(document["token"]), int(document["in_flight"]), int(document["switches"]) > 0)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidReply(f"no list of notes: {error!r}") from None


@dataclass(slots=True)
class Tally:
    """What all visitors' requests came to.

    Attributes:
        replies: how many of each judgement.
        failed: requests without a complete, valid 200 reply.
        overlapped: replies between whose writing and reading another visitor's request acted.
        peak_in_flight: the most requests that the server had in flight.

    """

    replies: Counter[Rows] = field(default_factory=Counter)
    failed: int = 0
    overlapped: int = 0
    peak_in_flight: int = 0

    @property
    def requests(self) -> int:
        """Complete, valid replies."""
        return self.replies.total()

    def inconclusive(self) -> str | None:
        """Say why the replies prove nothing although no row was foreign; None when they do."""
        if not self.requests:
            return "there was no reply"
        if self.failed:
            return f"{self.failed:,} requests failed"
        if self.replies[Rows.OWN] != self.requests:
            return "replies lacked own rows, or had deleted ones"
        if self.peak_in_flight < 2 or self.overlapped < self.requests / 2:
            return "no overlap: most requests ran alone"
        return None


class Visitor:
    """One visitor: the rows that the server must show, and the texts ever written.

    Args:
        number: names the visitor in the texts.
        random: makes the texts unguessable.

    """

    def __init__(self, number: int, random: Random) -> None:
        self._number = number
        self._random = random
        self._texts: deque[str] = deque(maxlen=EACH)
        self._ever: set[str] = set()

    def write(self) -> str:
        """Return the text of a new note, which the next reply must show."""
        text = f"visitor {self._number}, note {len(self._ever)}, {self._random.getrandbits(64):016x}"
        self._ever.add(text)
        self._texts.appendleft(text)
        return text

    def delete(self, text: str) -> None:
        """Note that the note is deleted."""
        self._texts.remove(text)

    def judge(self, reply: Reply) -> Rows:
        """Compare what was read with what is the visitor's own."""
        read = [text for _number, text in reply.notes]
        if not self._ever.issuperset(read):
            return Rows.FOREIGN
        if not set(self._texts).issubset(read):
            return Rows.MISSING
        return Rows.OWN if read == list(self._texts) else Rows.OTHER

    def difference(self, reply: Reply) -> str:
        """Describe in a line what is wrong with a reply."""
        read = [text for _number, text in reply.notes]
        foreign = [text for text in read if text not in self._ever]
        if foreign:
            return f"visitor {self._number} read {foreign[0]!r}"
        lost = [text for text in self._texts if text not in read]
        return (
            f"visitor {self._number} did not read {lost[0]!r}"
            if lost
            else f"visitor {self._number} read {read}"
        )
