"""The strategies: nine ways to keep request data, of which two hold and seven fail in their own way.

Each is a small class that writes two fields, reads them back and can release them.
A strategy never sees the nonce that it ought to hold: what it reads is what its
storage holds, and nothing else. Data that is not there reads as None; any other
error is the caller's to report.

Must not import the probe or the site; knows nothing of HTTP beside ``g`` and ``request``.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from itertools import count
from types import SimpleNamespace
from typing import Any, ClassVar, Final, Literal, TypeAlias, TypeVar

from gevent.local import all_local_dicts_for_greenlet  # type: ignore[attr-defined]  # the stubs lack it
from gevent.local import local as gevent_local
from gevent.monkey import get_original
from greenlet import getcurrent, greenlet

from greenlane.app import Counts, app_stack, copy_current_request_context, counts, g, request
from greenlane.app.globals import Globals
from greenlane.context import Local, release_local
from greenlane.demo.carriers import read_carriers
from greenlane.demo.keeper import FIELDS, Keeper, Reading, greenlet_name

Role = Literal["subject", "observed", "control"]

T = TypeVar("T")

Stored: TypeAlias = dict[str, dict[str, str]]
"""What lies where: the fields that are set, by the name of their place, as ``Keeper.lane()`` has it."""


#: The ident of the native thread, also in a patched process: all its greenlets get the same.
native_ident: Final[Callable[[], int]] = get_original("threading", "get_ident")


def native_thread_name(ident: int) -> str:
    """Name a native thread by its ident."""
    return f"native thread {ident:#x}"


def _fields(values: Mapping[str, object]) -> dict[str, str]:
    """Return the fields that are set in ``values``."""
    return {field: str(values[field]) for field in FIELDS if values.get(field) is not None}


def _filled(places: Mapping[str, Mapping[str, object]]) -> Stored:
    """Return the places in which any field is set."""
    return {name: fields for name, values in places.items() if (fields := _fields(values))}


class Strategy(Keeper):
    """A way of keeping request data that any situation can be tried with.

    Its release is called by the probe only when it is asked to (``release=1``). Whether
    it is otherwise called, and by whom, is the point of each strategy.

    Attributes:
        name: its last path segment under ``/probe/``.
        role: ``subject`` must hold, ``control`` must fail, ``observed`` is shown without a demand.
        summary: one sentence: why it holds, or why it fails.
        shares: one sentence: what requests share under it.
        locals: the values of the label ``local`` of the metric
            ``greenlane_local_entries`` that count this strategy's entries; empty
            where no Local holds its data.

    """

    name: ClassVar[str]
    role: ClassVar[Role]
    summary: ClassVar[str]
    shares: ClassVar[str]
    locals: ClassVar[tuple[str, ...]] = ()

    def entries(self) -> int | None:
        """Return how much is open now: lanes with data, or contexts; None where that cannot be told."""
        return None

    def storage(self, greenlets: Iterable[greenlet] = ()) -> Stored:
        """Return everything that it holds now, by the name of its place; empty places are left out.

        Args:
            greenlets: where to look, for a strategy that has no list of who uses it.

        """
        return {}

    def carried(self, function: Callable[[], T]) -> Callable[[], T]:
        """Return ``function`` as this strategy's own program would hand it to another greenlet.

        By default as it is: nothing goes with it.
        """
        return function


class _Attributes(Strategy):
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
    def lane(self) -> str:
        """Name the place of the caller's attributes."""

    def storage(self, greenlets: Iterable[greenlet] = ()) -> Stored:
        """Return the attributes as the caller has them: all that there are, where all share them."""
        return _filled({self.lane(): vars(self.holder)})


class _Keyed(Strategy):
    """Fields in a dict of dicts, by a key that is meant to tell requests apart."""

    def __init__(self) -> None:
        self.lanes: dict[int, dict[str, str]] = {}

    @abstractmethod
    def key(self) -> int:
        """Return the key of whoever calls."""

    @abstractmethod
    def name_of(self, key: int) -> str:
        """Name the place under ``key``."""

    def lane(self) -> str:
        """Name the place under the caller's key."""
        return self.name_of(self.key())

    def storage(self, greenlets: Iterable[greenlet] = ()) -> Stored:
        """Return the lane under each key."""
        return _filled({self.name_of(key): lane for key, lane in self.lanes.items()})

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

    def lane(self) -> str:
        """Name the current greenlet, which is the ident of its entry."""
        return greenlet_name(getcurrent())

    def storage(self, greenlets: Iterable[greenlet] = ()) -> Stored:
        """Return the entry of each greenlet that has one."""
        return _filled({greenlet_name(ident): values for ident, values in self.local})


class ReleasedLocal(KeptInLocal):
    """Greenlane's Local, released by LocalManager when the response is closed."""

    name = "local"
    role = "subject"
    summary = (
        "Each greenlet has an entry of its own, and LocalManager releases it when the response is closed."
    )
    shares = "Nothing: each greenlet's ident is the key of an entry of its own, released with the response."
    locals = ("local",)

    def carried(self, function: Callable[[], T]) -> Callable[[], T]:
        """Hand the values over by hand, and release them when the other greenlet is done with them."""
        values = {field: value for field, value in self.read().items() if value is not None}

        def with_values() -> T:
            try:
                for field, value in values.items():
                    self.write(field, value)
                return function()
            finally:
                self.release()

        return with_values


class ContextOfRequest(Strategy):
    """``g`` and ``request`` of the App: each request pushes contexts of its own and pops them.

    Besides what it wrote to ``g`` it reads, through the ``request`` proxy, each
    carrier of the nonce that the request has.

    Args:
        counted: where the contexts that are open are counted.

    """

    name = "context"
    role = "subject"
    summary = "Each request pushes contexts of its own and pops them at its end; g and request look there."
    shares = "Nothing: each request has a g of its own, on a stack in its greenlet's own lane."
    locals = ("request_stack", "app_stack")

    def __init__(self, counted: Counts = counts) -> None:
        self._counted = counted
        self._numbers = count(1)

    def write(self, field: str, value: str) -> None:
        """Set an attribute of ``g``."""
        setattr(g, field, value)

    def read(self) -> Reading:
        """Read ``g``, and the nonce of each carrier through ``request``."""
        return {field: g.get(field) for field in FIELDS} | read_carriers(request)

    def release(self) -> None:
        """Delete the attributes of ``g``: the App pops all of it anyway."""
        for field in FIELDS:
            g.pop(field, None)

    def entries(self) -> int:
        """Return how many contexts were pushed and not popped: a dead greenlet's are on no stack."""
        counted = self._counted
        return counted.request_pushed - counted.request_popped + counted.app_pushed - counted.app_popped

    def lane(self) -> str | None:
        """Name the current ``g``: by a number, since one greenlet has several, one after another."""
        context = app_stack.top
        return None if context is None else self._name(context.g, getcurrent())

    def storage(self, greenlets: Iterable[greenlet] = ()) -> Stored:
        """Return the ``g`` of each context that is pushed, whoever pushed it."""
        return _filled(
            {
                self._name(context.g, ident): vars(context.g)
                for ident, values in list(app_stack.__storage__.items())
                for context in values["stack"]
            }
        )

    def _name(self, namespace: Globals, ident: object) -> str:
        # Its address would not do: the next request's g has it again as a rule.
        if "number" not in namespace:
            namespace.number = next(self._numbers)
        return f"g {namespace.number} on {greenlet_name(ident)}"

    def carried(self, function: Callable[[], T]) -> Callable[[], T]:
        """Take the current request along; its ``g`` stays behind, so hand over what is in that by hand."""
        values = {field: g.get(field) for field in FIELDS}

        @copy_current_request_context
        def with_values() -> T:
            for field, value in values.items():
                setattr(g, field, value)
            return function()

        return with_values


class GeventLocal(_Attributes):
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

    def lane(self) -> str:
        """Name the current greenlet, which has attributes of its own."""
        return greenlet_name(getcurrent())

    def storage(self, greenlets: Iterable[greenlet] = ()) -> Stored:
        """Return the attributes of each of the greenlets."""
        return _filled({greenlet_name(each): self._attributes_of(each) for each in greenlets})

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

    def lane(self) -> str:
        """Name the current greenlet's context."""
        return self._name(getcurrent())

    def storage(self, greenlets: Iterable[greenlet] = ()) -> Stored:
        """Return the mapping in the context of each of the greenlets."""
        return _filled({self._name(each): self._mapping_of(each) or {} for each in greenlets})

    @staticmethod
    def _mapping_of(owner: greenlet) -> Mapping[str, str] | None:
        return None if owner.gr_context is None else owner.gr_context.get(_lane)

    @staticmethod
    def _name(owner: greenlet) -> str:
        return f"the context of {greenlet_name(owner)}"

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


class SharedObject(_Attributes):
    """One plain object for all requests."""

    name = "shared-object"
    role = "control"
    summary = "One object for all requests: after any switch, everybody reads the last writer's data."
    shares = "All requests share one object."

    def __init__(self) -> None:
        self.holder = SimpleNamespace()

    def lane(self) -> str:
        """Name the object: everybody has the same."""
        return "the one object"


class NativeThreadLocal(_Attributes):
    """``threading.local`` as it is without monkey-patching.

    The original is asked for by name, so that it is native in a patched process
    as well, the way a module imported before ``patch_all()`` has it.
    """

    name = "native-thread-local"
    role = "control"
    summary = "An unpatched threading.local: all greenlets run on one native thread, so all share one lane."
    shares = "All requests share the data of the one native thread that serves them."

    def __init__(self) -> None:
        self.holder = get_original("threading", "local")()

    def lane(self) -> str:
        """Name the native thread."""
        return native_thread_name(native_ident())


class ThreadIdent(_Keyed):
    """A dict keyed by the native thread's ident, as home-made locals have it."""

    name = "thread-ident"
    role = "control"
    summary = "A dict keyed by the native thread's ident: it is one and the same for all greenlets."
    shares = "All requests share one entry: the key is the ident of the one native thread that serves them."

    def key(self) -> int:
        """Return the native thread's ident."""
        return native_ident()

    def name_of(self, key: int) -> str:
        """Name the native thread of that ident."""
        return native_thread_name(key)


class ReusedId(_Keyed):
    """A dict keyed by ``id(greenlet)``, never released.

    Its memory is bounded by the number of distinct ids, not of requests: an id is
    an address, and addresses are used again. That they are is the fault it shows.
    """

    name = "id-reused"
    role = "control"
    summary = (
        "A dict keyed by id(greenlet), never released: ids of dead greenlets are used again, "
        "and a request finds the data of whoever had its id before."
    )
    shares = "All requests whose greenlets have one address, one after another, share one entry."

    def key(self) -> int:
        """Return the greenlet's id, which is its address."""
        return id(getcurrent())

    def name_of(self, key: int) -> str:
        """Name the address."""
        return f"id {key:#x}"


#: In the order in which they are listed: what must hold, what is shown, what must fail.
STRATEGIES: Final[tuple[type[Strategy], ...]] = (
    ReleasedLocal,
    ContextOfRequest,
    GeventLocal,
    BareContextVar,
    UnreleasedLocal,
    SharedObject,
    NativeThreadLocal,
    ThreadIdent,
    ReusedId,
)


def make_strategies(counted: Counts = counts) -> dict[str, Strategy]:
    """Make one of each, by name, for one demonstration.

    Args:
        counted: where contexts are counted; by default all of the process.

    """
    made = {strategy.name: strategy() for strategy in STRATEGIES}
    return made | {ContextOfRequest.name: ContextOfRequest(counted)}
