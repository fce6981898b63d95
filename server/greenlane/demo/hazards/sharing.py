"""Data that all greenlets share, because all run on one native thread: the two classic ways."""

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from gevent.local import local as gevent_local
from gevent.monkey import get_original
from greenlet import getcurrent

from greenlane.context import Local, release_local
from greenlane.demo.hazards.hazard import ONE_LANE, Cell, Hazard, Kept, everywhere
from greenlane.demo.keeper import FIELDS, Reading
from greenlane.demo.naming import ONE_OBJECT, greenlet_name, native_thread_name
from greenlane.demo.parameters import Parameters
from greenlane.demo.strategies import Strategy, native_ident

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as BaseResponse


class InAttributes(Kept):
    """Sets attributes of :attr:`current`, and deletes them when the request is over.

    Unless a subclass says otherwise, :attr:`current` is local to the greenlet.
    """

    current: Any

    def write(self, field: str, value: str) -> None:
        """Set an attribute."""
        setattr(self.current, field, value)

    def read(self) -> Reading:
        """Read the attributes."""
        return {field: getattr(self.current, field, None) for field in FIELDS}

    def end(self) -> None:
        """Delete the attributes."""
        for field in FIELDS:
            if hasattr(self.current, field):
                delattr(self.current, field)

    def place(self) -> str:
        """Name the current greenlet."""
        return greenlet_name(getcurrent())


class OneObject(InAttributes):
    """One object, made when the module is imported, holds the current request's data."""

    current = SimpleNamespace()

    def place(self) -> str:
        """Name the object: everybody has the same."""
        return ONE_OBJECT


class OneLocal(InAttributes):
    """A Local: one object to look at, with attributes of each greenlet's own."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.current = Local()

    def end(self) -> None:
        """Release this greenlet's entry."""
        release_local(self.current)

    def left(self) -> int:
        """Return how many greenlets have an entry."""
        return len(self.current.__storage__)


class SharedObject(Hazard):
    """The first thing that anybody tries."""

    name = "shared-object"
    summary = "One object holds the current request's data, for all requests."
    shows = "after any switch, a checkpoint reads what the last writer wrote"
    cause = (
        "Between a write and the read that should return it, the greenlet waits, and others run. "
        "They write to the same attributes. One request at a time never shows it."
    )
    incidents = ("the classic first demonstration",)
    breaks = ONE_LANE
    broken = OneObject
    fixed = OneLocal

    def situate(self, cell: Cell, strategy: Strategy, parameters: Parameters) -> "BaseResponse":
        """Probe, and release in the end: a switch is then all that can go wrong."""
        return super().situate(cell, strategy, replace(parameters, release=True))


class NativeLocal(InAttributes):
    """A ``threading.local`` that monkey-patching has not replaced."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        # Asked for by name: what a module has that was imported before patch_all().
        self.current = get_original("threading", "local")()

    def place(self) -> str:
        """Name the native thread: all greenlets have the same."""
        return native_thread_name(native_ident())


class PatchedLocal(InAttributes):
    """The ``threading.local`` of a patched process, which is gevent's: one for each greenlet."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.current = gevent_local()


class NativeThreadLocal(Hazard):
    """What becomes of a thread-local where thousands of requests share a thread."""

    name = "native-thread-local"
    summary = "Request data is kept in a threading.local of the operating system's thread."
    shows = "after any switch, a checkpoint reads what the last writer wrote"
    cause = (
        "All greenlets run on one native thread, so an unpatched threading.local has one lane for all. "
        "It keeps threads apart, which is why it passed every test before gevent came."
    )
    incidents = ("https://github.com/dabapps/django-log-request-id/issues/10",)
    not_applicable = everywhere(
        "a way of keeping data and no situation: under shared-object it is tried as one"
    )
    broken = NativeLocal
    fixed = PatchedLocal
