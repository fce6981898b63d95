"""The controls: strategies that are known to be broken, each in a way of its own."""

from types import SimpleNamespace

from gevent.monkey import get_original
from greenlet import getcurrent

from greenlane.demo.naming import ONE_OBJECT, id_name, native_thread_name
from greenlane.demo.strategies.keeping import Attributes, Keyed, native_ident


class SharedObject(Attributes):
    """One plain object for all requests."""

    name = "shared-object"
    role = "control"
    summary = "One object for all requests: after any switch, everybody reads the last writer's data."
    shares = "All requests share one object."

    def __init__(self) -> None:
        self.holder = SimpleNamespace()

    def place(self) -> str:
        """Name the object: everybody has the same."""
        return ONE_OBJECT


class NativeThreadLocal(Attributes):
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

    def place(self) -> str:
        """Name the native thread."""
        return native_thread_name(native_ident())


class ThreadIdent(Keyed):
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


class ReusedId(Keyed):
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
        return id_name(key)
