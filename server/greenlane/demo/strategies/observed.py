"""The observed: strategies that keep greenlets apart, and not the requests of one kept-alive connection."""

from collections.abc import Iterable, Mapping
from contextvars import ContextVar

from gevent.local import all_local_dicts_for_greenlet  # type: ignore[attr-defined]  # the stubs lack it
from gevent.local import local as gevent_local
from greenlet import getcurrent, greenlet

from greenlane.demo.keeper import FIELDS, Reading
from greenlane.demo.naming import context_name, greenlet_name
from greenlane.demo.strategies.keeping import Attributes, KeptInLocal
from greenlane.demo.strategies.strategy import Stored, Strategy, filled


class GeventLocal(Attributes):
    """``gevent.local.local``, never released."""

    name = "gevent-local"
    role = "observed"
    summary = (
        "Keeps greenlets apart, but nothing releases it: "
        "the next request of a kept-alive connection, on the same greenlet, finds the last one's data."
    )
    shares = "All requests of a kept-alive connection share the attributes of its greenlet."

    def __init__(self) -> None:
        self.holder = gevent_local()

    def place(self) -> str:
        """Name the current greenlet, which has attributes of its own."""
        return greenlet_name(getcurrent())

    def storage(self, greenlets: Iterable[greenlet] = ()) -> Stored:
        """Return the attributes of each of the greenlets."""
        return filled({greenlet_name(each): self._attributes_of(each) for each in greenlets})

    def _attributes_of(self, owner: greenlet) -> dict[str, str]:
        # gevent's own helper to look from outside: reading an attribute sees the caller's alone.
        mine = (type(self.holder), id(self.holder))
        found = dict(all_local_dicts_for_greenlet(owner))
        values: dict[str, str] = found.get(mine, {})
        return values


# One for all demonstrations: a ContextVar is made for good, since every context
# that ever set it refers to it (PEP 567).
_lane: ContextVar[Mapping[str, str] | None] = ContextVar("greenlane.demo.lane", default=None)


class BareContextVar(Strategy):
    """A ``ContextVar`` that is set and never reset."""

    name = "contextvar"
    role = "observed"
    summary = (
        "Each greenlet starts with an empty context, but nothing resets the variable: "
        "the next request of a kept-alive connection finds the last one's data."
    )
    shares = "All requests of a kept-alive connection share the context of its greenlet."

    def place(self) -> str:
        """Name the current greenlet's context."""
        return context_name(getcurrent())

    def storage(self, greenlets: Iterable[greenlet] = ()) -> Stored:
        """Return the mapping in the context of each of the greenlets."""
        return filled({context_name(each): self._mapping_of(each) or {} for each in greenlets})

    @staticmethod
    def _mapping_of(owner: greenlet) -> Mapping[str, str] | None:
        return None if owner.gr_context is None else owner.gr_context.get(_lane)

    def write(self, field: str, value: str) -> None:
        """Set the variable to a new mapping: a copied context shares the old one."""
        _lane.set({**(_lane.get() or {}), field: value})

    def read(self) -> Reading:
        """Read the current context's mapping."""
        lane = _lane.get() or {}
        return {field: lane.get(field) for field in FIELDS}

    def release(self) -> None:
        """Set the variable back to nothing."""
        _lane.set(None)


class UnreleasedLocal(KeptInLocal):
    """Greenlane's Local, which no LocalManager knows."""

    name = "local-unreleased"
    role = "observed"
    summary = (
        "Keeps greenlets apart and dies with them, but nothing releases it between requests: "
        "the next one of a kept-alive connection finds the last one's data."
    )
    shares = "All requests of a kept-alive connection share the entry of its greenlet."
    locals = ("local-unreleased",)
