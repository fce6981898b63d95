"""The subjects: strategies that hold, in every hazard that they have to do with."""

from collections.abc import Callable, Iterable
from itertools import count

from greenlet import getcurrent, greenlet

from greenlane.app import Counts, app_stack, copy_current_request_context, counts, g, request
from greenlane.app.globals import Globals
from greenlane.demo.carriers import read_carriers
from greenlane.demo.keeper import FIELDS, Reading
from greenlane.demo.naming import g_name
from greenlane.demo.strategies.keeping import KeptInLocal
from greenlane.demo.strategies.strategy import Stored, Strategy, T, filled


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
        return self._counted.requests + self._counted.apps

    def place(self) -> str | None:
        """Name the current ``g``: by a number, since one greenlet has several, one after another."""
        context = app_stack.top
        return None if context is None else self._name(context.g, getcurrent())

    def storage(self, greenlets: Iterable[greenlet] = ()) -> Stored:
        """Return the ``g`` of each context that is pushed, whoever pushed it."""
        return filled(
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
        return g_name(namespace.number, ident)

    def carried(self, function: Callable[[], T]) -> Callable[[], T]:
        """Take the current request along; its ``g`` stays behind, so hand over what is in that by hand."""
        values = {field: g.get(field) for field in FIELDS}

        @copy_current_request_context
        def with_values() -> T:
            for field, value in values.items():
                setattr(g, field, value)
            return function()

        return with_values
