"""LocalStack: a stack in each lane."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from greenlane.context.local import Local
from greenlane.context.proxy import LocalProxy
from greenlane.context.storage import IdentFunc, current_ident

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

    __slots__ = ("__weakref__", "_local")

    def __init__(self) -> None:
        self._local = Local()

    @property
    def __ident_func__(self) -> IdentFunc:
        """The function whose result keys the stacks. Setting it starts over for new idents."""
        return self._local.__ident_func__

    @__ident_func__.setter
    def __ident_func__(self, ident_func: IdentFunc) -> None:
        object.__setattr__(self._local, "__ident_func__", ident_func)

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
        stack = self._own()
        if stack is None:
            self._local.stack = stack = []
        stack.append(obj)
        return stack

    def pop(self) -> T | None:
        """Take the top off and return it; None when there is nothing.

        Popping the last item releases the ident, so that an idle program has an
        empty ``__storage__``.
        """
        stack = self._own()
        if stack is None:
            return None
        if len(stack) <= 1:
            self._local.__release_local__()
        # push() hands the list out, so somebody may have emptied it.
        return stack.pop() if stack else None

    @property
    def top(self) -> T | None:
        """The item on top of the current ident's stack; None when there is none."""
        stack = self._own()
        return stack[-1] if stack else None

    def contents(self) -> Sequence[T]:
        """Return what the current ident has on its stack, bottom first: to look at, not to change."""
        return self._own() or ()

    def _own(self) -> list[T] | None:
        """Return the current ident's stack, if it has one.

        Asked of the storage and not as ``self._local.stack``: most lanes are empty
        most of the time, and an AttributeError for each look costs more than the look.
        """
        local = self._local
        values = local.__storage__.find(current_ident(local.__ident_func__))
        return None if values is None else values.get("stack")

    @property
    def __storage__(self) -> Any:
        """The inner Local's storage: ``{ident: {"stack": [...]}}``."""
        return self._local.__storage__
