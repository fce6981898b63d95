"""Places: a bounded number of them, taken in the order of arrival.

Rule: a place that was given to somebody who no longer lives to use it goes to the next
one. Knows nothing of databases.
"""

from collections import deque

from gevent import monkey
from gevent.event import Event

# Native, because greenlets of several native threads may share the places. Nothing switches
# while it is held. Re-entrant, because the collector may come by meanwhile and find a lease
# that was thrown away, whose place is given back there and then.
_Lock = monkey.get_original("threading", "RLock")


class Places:
    """A semaphore that is fair, and that neither a kill nor a timeout puts out of count.

    In gevent's, who arrives may overtake those who wait, and under load some of these wait for
    seconds. SQLAlchemy's pool waits on a condition variable, which loses a wake-up when the
    greenlet that it woke is killed before it runs: the next one in line sleeps on, beside
    a free connection, until its time is over.

    Args:
        number: how many places there are.

    Attributes:
        free: how many are free. While somebody waits, none is.

    """

    def __init__(self, number: int) -> None:
        self.free = number
        self._waiting: deque[Event] = deque()
        self._lock = _Lock()

    def take(self, timeout: float) -> bool:
        """Take a place, after those who came before.

        Args:
            timeout: seconds to wait at most.

        Returns:
            Whether there was one in time. Then it has to be given back.

        """
        turn = Event()
        with self._lock:
            if self.free:
                self.free -= 1
                return True
            self._waiting.append(turn)
        try:
            turn.wait(timeout)
        except BaseException:  # killed, or another timeout: it may have had its turn all the same
            if not self._leaves(turn):
                self.give_back()
            raise
        return not self._leaves(turn)

    def give_back(self) -> None:
        """Give a place back: to the one who has waited longest, if there is one."""
        with self._lock:
            if not self._waiting:
                self.free += 1
                return
            turn = self._waiting.popleft()
        turn.set()

    def _leaves(self, turn: Event) -> bool:
        """Stop waiting; False when the turn has come, and with it a place."""
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return True
            return False
