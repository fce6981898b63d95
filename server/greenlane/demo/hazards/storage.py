"""Where data is kept and for how long: by an address, past a request's end, past a greenlet's death."""

from abc import abstractmethod
from collections import deque
from typing import TYPE_CHECKING, ClassVar, Final
from weakref import WeakSet

from gevent.local import local as gevent_local
from greenlet import getcurrent, greenlet

from greenlane.context import Local
from greenlane.demo.hazards.hazard import ONE_LANE, Cell, Exercise, Hazard, Kept, cross_talk
from greenlane.demo.hazards.sharing import InAttributes
from greenlane.demo.keeper import FIELDS, Reading
from greenlane.demo.naming import greenlet_name, id_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class ByAddress(Kept):
    """A dict by id(getcurrent()), as home-made locals have it, that nobody cleans up."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.lanes: dict[int, dict[str, str]] = {}

    def write(self, field: str, value: str) -> None:
        """Write under this greenlet's address."""
        self.lanes.setdefault(id(getcurrent()), {})[field] = value

    def read(self) -> Reading:
        """Read what is under this greenlet's address."""
        lane = self.lanes.get(id(getcurrent()), {})
        return {field: lane.get(field) for field in FIELDS}

    def place(self) -> str:
        """Name this greenlet's address."""
        return id_name(id(getcurrent()))


class OnTheGreenlet(InAttributes):
    """A Local, that nobody cleans up either: what a greenlet has set goes with it."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.current = Local()

    def end(self) -> None:
        """Do nothing."""

    def left(self) -> int:
        """Return how many greenlets have an entry."""
        return len(self.current.__storage__)


class IdentReuse(Hazard):
    """An id is unique among the living."""

    name = "ident-reuse"
    summary = "Request data is kept under the id of its greenlet, and stays when the greenlet is gone."
    shows = "a request finds data before it has written any"
    cause = (
        "CPython's id() is an address, and a thread's ident a handle: both are used again once their "
        "owner is gone. With a greenlet for each connection, the next one has a dead one's id within moments."
    )
    incidents = (
        "https://docs.python.org/3/library/threading.html#threading.get_ident",
        "https://docs.python.org/3/library/functions.html#id",
    )
    exercise = Exercise("fresh")
    breaks = ONE_LANE | cross_talk(
        "a new greenlet has the id of a dead one, and reads what that one has left", "id-reused"
    )
    broken = ByAddress
    fixed = OnTheGreenlet


class NeverReleased(InAttributes):
    """A gevent.local, one for each greenlet, with what the last request of the connection has set."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.current = gevent_local()

    def end(self) -> None:
        """Do nothing: "it is local to the greenlet, and that ends"."""


class ReleasedAtTheEnd(InAttributes):
    """The same gevent.local, emptied at the end of each request."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.current = gevent_local()

    def end(self) -> None:
        """Empty this greenlet's."""
        self.current.__dict__.clear()


class KeepAlive(Hazard):
    """A greenlet is not a request."""

    name = "keep-alive"
    summary = "Request data is kept for each greenlet, and one greenlet serves a whole connection."
    shows = "a request finds what the connection's previous one has written"
    cause = (
        "A server runs a greenlet, or a thread, for each connection, and HTTP keeps connections open. "
        "Behind a proxy the next request on one is anybody's. A context variable that nobody resets "
        "does the same."
    )
    incidents = ("https://github.com/rorodata/firefly/issues/70",)
    breaks = ONE_LANE | cross_talk(
        "nothing releases it, and the next request of the connection runs on the same greenlet",
        "gevent-local",
        "contextvar",
        "local-unreleased",
        "id-reused",
    )
    broken = NeverReleased
    fixed = ReleasedAtTheEnd


class Record:
    """What a request has set; it can be referred to weakly, so that it can be counted without being kept."""

    __slots__ = ("__weakref__", *FIELDS)

    def __init__(self) -> None:
        self.first: str | None = None
        self.second: str | None = None


class _Recorded(Kept):
    """Keeps a record for each greenlet; beside it, some monitoring refers to the last greenlets.

    Its records are counted by weak references: a Local that is asked how many it has looks for dead
    greenlets first, and drops theirs.
    """

    MONITORED: ClassVar = 1_000

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.recent: deque[greenlet] = deque(maxlen=self.MONITORED)
        self.alive: WeakSet[Record] = WeakSet()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        """Note whom the monitoring watches, and answer."""
        self.recent.append(getcurrent())
        return super().__call__(environ, start_response)

    @abstractmethod
    def record(self) -> Record | None:
        """Return this greenlet's record."""

    @abstractmethod
    def keep(self, record: Record) -> None:
        """Keep a new record for this greenlet."""

    def write(self, field: str, value: str) -> None:
        """Write into this greenlet's record, the first time into a new one."""
        record = self.record()
        if record is None:
            record = Record()
            self.alive.add(record)
            self.keep(record)
        setattr(record, field, value)

    def read(self) -> Reading:
        """Read this greenlet's record."""
        record = self.record()
        return {field: getattr(record, field, None) for field in FIELDS}

    def place(self) -> str:
        """Name this greenlet, which its record is kept for."""
        return greenlet_name(getcurrent())

    def left(self) -> int:
        """Return how many records there are."""
        return len(self.alive)


#: Where the showcase of a leak ends: at some megabytes.
MOST_RECORDS: Final = 10_000


class ByGreenlet(_Recorded):
    """A dict by greenlet, which no greenlet's end takes anything out of."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.records: dict[greenlet, Record] = {}

    def record(self) -> Record | None:
        """Look under the greenlet: no other one is equal to it, ever."""
        return self.records.get(getcurrent())

    def keep(self, record: Record) -> None:
        """Keep it for ever, and the greenlet with it."""
        self.records[getcurrent()] = record
        if len(self.records) > MOST_RECORDS:
            del self.records[next(iter(self.records))]


class ByLocal(_Recorded):
    """A Local, which a greenlet's end takes its data out of, whoever still refers to the greenlet."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.current = Local()

    def record(self) -> Record | None:
        """Look into the Local."""
        record: Record | None = getattr(self.current, "record", None)
        return record

    def keep(self, record: Record) -> None:
        """Keep it as long as the greenlet runs."""
        self.current.record = record


class Unreleased(Hazard):
    """Nobody's data is mixed up, and the service still ends."""

    name = "unreleased"
    summary = "Entries stay after their greenlets have ended."
    shows = "the number of entries at idle grows with every connection"
    cause = (
        "A dict keyed by greenlets keeps both alive: nobody is mixed up, but each connection leaves an "
        "entry. Weak keys help only while nothing else refers to the greenlet, and monitoring, tracebacks "
        "and cycles do."
    )
    incidents = (
        "https://github.com/pallets/werkzeug/issues/2205",
        "https://github.com/django/asgiref/issues/144",
    )
    caught_as = ("leak",)
    exercise = Exercise("fresh")
    counts_left = True
    breaks = IdentReuse.breaks
    broken = ByGreenlet
    fixed = ByLocal
