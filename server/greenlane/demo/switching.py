"""Switching: the ways in which a probe lets other greenlets run between its steps.

Every way waits on gevent alone, never on the native thread, and takes about the
time it is given. What requests share here (stripes, socket pairs) they hold only
for a moment and not for the whole wait, so that thousands of them form no convoy.

Must not import strategies: a switch knows nothing of whose data is kept where.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import gevent
import gevent.socket
from gevent.event import Event
from gevent.lock import Semaphore
from gevent.pool import Pool
from gevent.queue import Queue

Way = Callable[[float], None]

#: Locks to contend for. Few enough that two requests often meet at one, many
#: enough that a queue at any of them stays short.
STRIPES: Final = 256

#: Socket pairs open at once, of two file descriptors each: a bound, because
#: the connections that are being served need descriptors too.
SOCKET_PAIRS: Final = 256

#: Frames between the nested way's call and its switch.
NESTED_FRAMES: Final = 5

# Varies waits and orders, nothing that anybody could gain by guessing.
_chance = random.Random()  # noqa: S311


class Switcher:
    """The ways to switch, and what the requests of one demonstration share for them.

    Attributes:
        ways: ``(name, way)`` in the order in which a probe takes them; each way
            is called with a time to wait, in seconds.

    """

    def __init__(self) -> None:
        self._stripes = [Semaphore(1) for _ in range(STRIPES)]
        self._sockets = Semaphore(SOCKET_PAIRS)
        self._pool = Pool()
        self.ways: tuple[tuple[str, Way], ...] = (
            ("sleep", gevent.sleep),
            ("socket", self._socket),
            ("lock", self._lock),
            ("queue", self._queue),
            ("event", self._event),
            ("nested", self._nested),
            ("pool", self._run_in_pool),
        )

    def gap(self, pause: float) -> None:
        """Switch for a while of unequal length: one to three waits of about half ``pause`` seconds.

        Two writes are torn apart only by waits that differ between requests; in
        lock-step each request would finish its pair before the next one begins.
        """
        for _ in range(_chance.randint(1, 3)):
            gevent.sleep(jitter(pause) / 2)

    def start(self) -> int:
        """Choose the index in :attr:`ways` at which a probe begins."""
        return _chance.randrange(len(self.ways))

    def _socket(self, seconds: float) -> None:
        gevent.sleep(seconds)
        with self._sockets:
            near, far = gevent.socket.socketpair()
            with near, far, _helper(gevent.spawn(_echo, far)):
                near.sendall(b"?")
                near.recv(1)

    def _lock(self, seconds: float) -> None:
        gevent.sleep(seconds)
        with _chance.choice(self._stripes):
            gevent.sleep(0)  # whoever wants this stripe meanwhile has to wait

    def _queue(self, seconds: float) -> None:
        queue: Queue[None] = Queue()
        with _helper(gevent.spawn_later(seconds, queue.put, None)):
            queue.get()

    def _event(self, seconds: float) -> None:
        event = Event()
        with _helper(gevent.spawn_later(seconds, event.set)):
            event.wait()

    def _nested(self, seconds: float, frames: int = NESTED_FRAMES) -> None:
        if frames:
            self._nested(seconds, frames - 1)
        else:
            gevent.sleep(seconds)

    def _run_in_pool(self, seconds: float) -> None:
        with _helper(self._pool.spawn(gevent.sleep, seconds)) as worker:
            worker.join()


def jitter(pause: float) -> float:
    """Return between half and one and a half times ``pause``, in its unit."""
    return pause * _chance.uniform(0.5, 1.5)


@contextmanager
def _helper(greenlet: "gevent.Greenlet[Any, Any]") -> "Iterator[gevent.Greenlet[Any, Any]]":
    """End ``greenlet`` with the block: it does not outlive a probe that is killed in its wait."""
    try:
        yield greenlet
    finally:
        greenlet.kill()


def _echo(far: gevent.socket.socket) -> None:
    far.sendall(far.recv(1))
