"""LocalStack: a stack in each lane."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from greenlane.context.local import Local
from greenlane.context.proxy import LocalProxy
from greenlane.context.storage import LANE, IdentFunc, Values, current_ident

T = TypeVar("T")


class LocalStack(Generic[T]):
    """A stack for each ident: what one greenlet pushes, only that greenlet pops.

    ::

        stack = LocalStack()
        stack.push(42)     # [42]
        stack.top          # 42
        stack()            # a LocalProxy to the top
        stack.pop()        # 42

    A child greenlet starts with an empty stack, so no pop of its own reaches its
    parent's. A copied ``contextvars`` context changes nothing, since the ident is
    the greenlet: code that runs in the copy sees the same stack.
    """

    __slots__ = ("__weakref__", "_ident_func", "_key", "_local", "_storage")

    def __init__(self) -> None:
        self._local = local = Local()
        # The Local's, at hand: they are read several times for each request.
        self._storage = local.__storage__
        self._key = self._storage.key
        self._ident_func: IdentFunc = local.__ident_func__

    @property
    def __ident_func__(self) -> IdentFunc:
        """The function whose result keys the stacks. Setting it starts over for new idents."""
        return self._ident_func

    @__ident_func__.setter
    def __ident_func__(self, ident_func: IdentFunc) -> None:
        object.__setattr__(self._local, "__ident_func__", ident_func)
        self._ident_func = ident_func

    def __release_local__(self) -> None:
        """Drop the current ident's whole stack."""
        self._local.__release_local__()

    def __call__(self, name: str | None = None, *, unbound_message: str | None = None) -> LocalProxy[T]:
        """Return a proxy to whatever is on top when the proxy is used.

        Args:
            name: an attribute of it to stand for instead.
            unbound_message: the text of the RuntimeError where the stack is empty.

        """
        return LocalProxy(self, name, unbound_message)

    def push(self, obj: T) -> list[T]:
        """Put ``obj`` on top of the current ident's stack and return that stack."""
        values = self._values()
        if values is None:
            values = self._storage.own(current_ident(self._ident_func))
        stack: list[T] | None = values.get("stack")
        if stack is None:
            values["stack"] = stack = []
        stack.append(obj)
        return stack

    def pop(self) -> T | None:
        """Take the top off and return it; None when there is nothing.

        Popping the last item releases the ident, so that an idle program has an
        empty ``__storage__``.
        """
        values = self._values()
        stack: list[T] | None = values.get("stack") if values else None
        if values is None or stack is None:
            return None
        if len(stack) <= 1:
            values.clear()
            if self._storage.others:  # an ident that is no greenlet has to be forgotten too
                self._local.__release_local__()
        # push() hands the list out, so somebody may have emptied it.
        return stack.pop() if stack else None

    @property
    def top(self) -> T | None:
        """The item on top of the current ident's stack; None when there is none."""
        try:  # the short way, for whoever has something on it: every use of a proxy comes here
            item: T | None = self._ident_func().__dict__[LANE][self._key]["stack"][-1]
        except (KeyError, AttributeError, IndexError, RuntimeError):
            stack = self.contents()
            item = stack[-1] if stack else None
        return item

    def contents(self) -> Sequence[T]:
        """Return what the current ident has on its stack, bottom first: to look at, not to change."""
        values = self._values()
        return (values.get("stack") if values else None) or ()

    def _values(self) -> Values | None:
        """Return what the current ident has, if anything.

        Asked by ``get``, because most lanes are empty most of the time, and an
        exception for each look costs more than the look.
        """
        try:
            lane = self._ident_func().__dict__.get(LANE)
        except (AttributeError, RuntimeError):
            lane = None
        if lane is None:  # no greenlet perhaps, or the interpreter is going away
            return self._storage.find(current_ident(self._ident_func))
        values: Values | None = lane.get(self._key)
        return values

    @property
    def __storage__(self) -> Any:
        """The inner Local's storage: ``{ident: {"stack": [...]}}``."""
        return self._storage
