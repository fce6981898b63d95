"""The feed of a race: its lines, made in a greenlet of their own, for whoever reads them.

Rule: one race runs at a time, so that nobody may hold its place by not reading. Whoever leaves
ends it, and whoever reads nothing for a while loses it.

Must not import the views.
"""

from collections.abc import Generator, Iterator
from typing import Final

import gevent
from gevent.queue import Full, Queue

from greenlane.demo.race.load import Line

#: Lines that wait for their reader.
ROOM: Final = 500

#: Seconds that one more may wait for room.
PATIENCE: Final = 10.0

NOT_READ: Final = f"Nobody read on for {PATIENCE:.0f} s, and the race was ended."


class Feed:
    """The lines of a race that runs from now on, to be iterated once and closed.

    Args:
        lines: the race's.

    """

    def __init__(self, lines: Generator[Line, None, None]) -> None:
        self._lines = lines
        self._waiting: Queue[Line | None] = Queue(maxsize=ROOM)
        self._runner = gevent.spawn(self._run)

    @property
    def over(self) -> bool:
        """Whether the race has ended, with all that belongs to it."""
        return self._runner.dead

    def __iter__(self) -> Iterator[Line]:
        """Yield the lines, as they come."""
        while (line := self._waiting.get()) is not None:
            yield line

    def close(self) -> None:
        """End the race, if it has not ended."""
        self._runner.kill()
        self._lines.close()  # of one that was killed before it began

    def _run(self) -> None:
        try:
            for line in self._lines:
                self._waiting.put(line, timeout=PATIENCE)
        except Full:
            while not self._waiting.empty():
                self._waiting.get()
            self._waiting.put({"kind": "error", "message": NOT_READ})
        finally:
            self._lines.close()
            if not self._waiting.full():  # otherwise it was killed, and nobody will read on
                self._waiting.put(None)
