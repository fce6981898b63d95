"""`/live`: the figures as a stream of server-sent events, for whoever watches.

Rule: a snapshot is made once, however many watch, and only while somebody
does; it reads what `/metrics` reads, from the same owners. Nobody who watches
holds anything up: neither a drain, nor the others. Must not import the demonstration.
"""

import json
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import gevent

from greenlane.ops.meter import meter
from greenlane.ops.process import living_greenlets, native_threads, resident_memory
from greenlane.ops.replies import reply

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from greenlane.ops.middleware import Ops

PERIOD: Final = 1 / 3
"""Seconds between two snapshots."""

MOST_WATCHERS: Final = 16
"""Watchers at once. Each takes a connection, and stays."""

MOST_LANES: Final = 200
"""Requests in flight that are told one by one; past that, how many there are of each age."""

AGES_MS: Final = (10, 100, 1_000, 10_000)
"""Where one class of ages ends and the next begins, in milliseconds."""

_GREENLETS_EVERY: Final = 1.0
"""Seconds between two counts of the greenlets: with 5,000 it takes three quarters of a snapshot's time."""

_LONGEST_NAME: Final = 80
"""Characters of method and path that are told."""

_HEADERS: Final = (
    ("Content-Type", "text/event-stream; charset=utf-8"),
    ("Cache-Control", "no-store"),
    # What it tells is partly what clients wrote: nobody shall take it for a page.
    ("X-Content-Type-Options", "nosniff"),
    ("X-Accel-Buffering", "no"),  # nginx would keep it until it has a page full
)

_NOT_NOW: Final = "503 Service Unavailable"

_WHY: Final = "Live-Refused"
"""Names the reason of a refusal: a proxy may answer 503 for reasons of its own."""

_REFUSED: Final = (
    f"{MOST_WATCHERS} watch this server already: as many as may at once. /metrics has the same figures.\n"
).encode()


class Live:
    """Streams what one `Ops` knows, in the format of the HTML standard.

    Each event is named `snapshot` and has one JSON object. When the server drains, one
    named `end` comes last.

    See https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation.

    Args:
        ops: whose requests, server and locals are reported.

    Attributes:
        watchers: how many watch now.

    """

    def __init__(self, ops: "Ops") -> None:
        self.watchers = 0
        self._ops = ops
        self._made_at = -PERIOD
        self._event = b""
        self._requests: deque[tuple[float, int]] = deque()
        self._greenlets = 0
        self._counted_at = -_GREENLETS_EVERY

    def answer(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a GET or HEAD for the stream (PEP 3333); with 503 when there are too many, or a drain."""
        if self._ops.draining:
            more = [(_WHY, "draining")]
            return reply(environ, start_response, b"draining\n", status=_NOT_NOW, more=more)
        if self.watchers >= MOST_WATCHERS:
            more = [(_WHY, "full"), ("Retry-After", "5")]
            return reply(environ, start_response, _REFUSED, status=_NOT_NOW, more=more)
        start_response("200 OK", list(_HEADERS))
        return [] if environ["REQUEST_METHOD"] == "HEAD" else _Watching(self)

    def events(self) -> Generator[bytes, None, None]:
        """Yield a watcher's events, the first at once; until the server drains."""
        # A browser comes back after a second: by then, a server that was restarted may be there.
        yield b"retry: 1000\n\n" + self._latest()
        while not self._ops.draining:
            # All wake together, and the first of them makes the snapshot for all.
            gevent.sleep(max(0.0, self._made_at + PERIOD - time.monotonic()))
            yield self._latest()
        yield b"event: end\ndata: draining\n\n"

    def _latest(self) -> bytes:
        now = time.monotonic()
        if now - self._made_at >= PERIOD:
            self._made_at = now
            document = json.dumps(self.snapshot(now), separators=(",", ":"))
            self._event = f"event: snapshot\ndata: {document}\n\n".encode()
        return self._event

    def snapshot(self, now: float) -> dict[str, Any]:
        """Read every figure once.

        Args:
            now: the time on the monotonic clock, in seconds.

        Returns:
            What docs/server.md says.

        """
        ops = self._ops
        delay, rate = meter().ask()
        flying = list(ops.flying.values())
        lanes = None
        if len(flying) <= MOST_LANES:
            lanes = [
                [number, _name(method, path), round((now - began) * 1000)]
                for number, (began, method, path) in ops.flying.items()
            ]
        return {
            "time": round(time.time(), 3),
            "in_flight": len(flying),
            "peak": ops.peak_in_flight,
            "requests": ops.requests,
            "requests_per_second": self._rate(now),
            "greenlets": self._count_greenlets(now),
            "native_threads": native_threads(),
            "connections": ops.connections,
            "contexts": {"request": ops.counts.requests, "application": ops.counts.apps},
            "entries": {name: len(local.__storage__) for name, local in ops.locals.items()},
            "switches_per_second": None if rate is None else round(rate),
            "loop_delay_ms": None if delay is None else round(delay * 1000, 1),
            "memory_bytes": resident_memory(),
            "lanes": lanes,
            "ages": _ages(flying, now),
        }

    def _count_greenlets(self, now: float) -> int:
        if now - self._counted_at >= _GREENLETS_EVERY:
            self._greenlets, self._counted_at = living_greenlets(), now
        return self._greenlets

    def _rate(self, now: float) -> float | None:
        """Requests a second, over the last second or so; None while nobody watched before."""
        past = self._requests
        past.append((now, self._ops.requests))
        while now - past[0][0] > 1 + PERIOD / 2:
            past.popleft()
        seconds = now - past[0][0]
        return round((self._ops.requests - past[0][1]) / seconds, 1) if seconds else None


class _Watching:
    """One watcher's response, which gives its place back when it is closed, whether it was read or not."""

    def __init__(self, live: Live) -> None:
        self._live: Live | None = live
        self._events = live.events()
        live.watchers += 1

    def __iter__(self) -> Iterator[bytes]:
        return self._events

    def close(self) -> None:
        if self._live is not None:
            self._live.watchers -= 1
            self._live = None
        self._events.close()


def _name(method: str, path: str) -> str:
    """Name a request by its method and path. PEP 3333 gives a path as bytes in the form of Latin-1."""
    name = f"{method} {path.encode('latin-1', 'replace').decode('utf-8', 'replace')}"
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _ages(flying: list[tuple[float, str, str]], now: float) -> list[tuple[int | None, int]]:
    """Count the requests of each class of ages, the youngest first; `flying` has the oldest first.

    Returns:
        Where each class ends, in milliseconds, and how many are in it.

    """
    # Where those begin that are younger than each bound: a few looks, however many there are.
    younger = [bisect_right(flying, now - end / 1000, key=_began) for end in AGES_MS]
    counts = [after - before for before, after in pairwise([0, *reversed(younger), len(flying)])]
    return list(zip((*AGES_MS, None), reversed(counts), strict=True))


def _began(flying: tuple[float, str, str]) -> float:
    return flying[0]
