"""Ways of keeping that several strategies have: in attributes, in a dict by key, in Greenlane's Local.

Must not import any strategy, the probe or the site.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, Final

from gevent.monkey import get_original
from greenlet import greenlet

from greenlane.context import Local, release_local
from greenlane.demo.keeper import FIELDS, Reading
from greenlane.demo.naming import greenlet_name
from greenlane.demo.strategies.strategy import Stored, Strategy, filled

#: The ident of the native thread, also in a patched process: all its greenlets get the same.
native_ident: Final[Callable[[], int]] = get_original("threading", "get_ident")


class Attributes(Strategy):
    """Fields as attributes of one object, which makes of them what it will."""

    holder: Any

    def write(self, field: str, value: str) -> None:
        """Set an attribute."""
        setattr(self.holder, field, value)

    def read(self) -> Reading:
        """Read the attributes."""
        return {field: getattr(self.holder, field, None) for field in FIELDS}

    def release(self) -> None:
        """Delete the attributes."""
        for field in FIELDS:
            if hasattr(self.holder, field):
                delattr(self.holder, field)

    @abstractmethod
    def place(self) -> str:
        """Name the place of the caller's attributes."""

    def storage(self, greenlets: Iterable[greenlet] = ()) -> Stored:
        """Return the attributes as the caller has them: all that there are, where all share them."""
        return filled({self.place(): vars(self.holder)})


class Keyed(Strategy):
    """Fields in a dict of dicts, by a key that is meant to tell requests apart."""

    def __init__(self) -> None:
        self.lanes: dict[int, dict[str, str]] = {}

    @abstractmethod
    def key(self) -> int:
        """Return the key of whoever calls."""

    @abstractmethod
    def name_of(self, key: int) -> str:
        """Name the place under ``key``."""

    def place(self) -> str:
        """Name the place under the caller's key."""
        return self.name_of(self.key())

    def storage(self, greenlets: Iterable[greenlet] = ()) -> Stored:
        """Return the lane under each key."""
        return filled({self.name_of(key): lane for key, lane in self.lanes.items()})

    def write(self, field: str, value: str) -> None:
        """Write to the lane under the caller's key."""
        self.lanes.setdefault(self.key(), {})[field] = value

    def read(self) -> Reading:
        """Read the lane under the caller's key."""
        lane = self.lanes.get(self.key(), {})
        return {field: lane.get(field) for field in FIELDS}

    def release(self) -> None:
        """Drop the lane under the caller's key."""
        self.lanes.pop(self.key(), None)

    def entries(self) -> int:
        """Return how many keys have a lane."""
        return len(self.lanes)


class KeptInLocal(Strategy):
    """Fields in Greenlane's Local; the subclasses differ in who releases it.

    Attributes:
        local: the Local, whose entries the metric counts.

    """

    def __init__(self) -> None:
        self.local = Local()

    def write(self, field: str, value: str) -> None:
        """Set an attribute, for the current greenlet alone."""
        setattr(self.local, field, value)

    def read(self) -> Reading:
        """Read what the current greenlet has set."""
        return {field: getattr(self.local, field, None) for field in FIELDS}

    def release(self) -> None:
        """Drop the current greenlet's entry."""
        release_local(self.local)

    def entries(self) -> int:
        """Return how many greenlets have an entry."""
        return len(self.local.__storage__)

    def place(self) -> str:
        """Name the ident of the current entry, as the Local itself sees it: a greenlet."""
        return greenlet_name(self.local.__ident_func__())

    def storage(self, greenlets: Iterable[greenlet] = ()) -> Stored:
        """Return the entry of each greenlet that has one."""
        return filled({greenlet_name(ident): values for ident, values in self.local})
