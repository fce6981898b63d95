"""A Local and a stack on :mod:`contextvars`, whose rule is: never change what a variable holds.

A copied context has the same values as the original until one of them is *set*
(PEP 567). What changes the value in place changes it in every copy. The naive
stack has the mistake of the first releases of Werkzeug 2 (pallets/werkzeug#2102):
``push`` copied and ``pop`` did not, because only ``push`` had been tested.

A ContextVar is made for good, since every context that ever set it refers to it:
make few of these.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class InPlaceLocal:
    """Naive: changes the dict that all copies of the context share."""

    var: ContextVar[dict[str, Any]]

    def __init__(self) -> None:
        object.__setattr__(self, "var", ContextVar("naive lane"))

    def __setattr__(self, name: str, value: Any) -> None:
        lane = self.var.get(None)
        if lane is None:
            lane = {}
            self.var.set(lane)
        lane[name] = value

    def __getattr__(self, name: str) -> Any:
        try:
            return self.var.get({})[name]
        except KeyError:
            raise AttributeError(name) from None

    def __delattr__(self, name: str) -> None:
        getattr(self, name)  # an AttributeError when it is not set
        del self.var.get()[name]


class CopyOnWriteLocal:
    """Mended: sets a changed copy, and leaves the others their own."""

    var: ContextVar[Mapping[str, Any]]

    def __init__(self) -> None:
        object.__setattr__(self, "var", ContextVar("lane"))

    def __setattr__(self, name: str, value: Any) -> None:
        self.var.set({**self.var.get({}), name: value})

    def __getattr__(self, name: str) -> Any:
        try:
            return self.var.get({})[name]
        except KeyError:
            raise AttributeError(name) from None

    def __delattr__(self, name: str) -> None:
        getattr(self, name)  # an AttributeError when it is not set
        lane = dict(self.var.get({}))
        del lane[name]
        self.var.set(lane)


class PopInPlaceStack(Generic[T]):
    """Naive: ``push`` sets a copy, ``pop`` changes the shared list."""

    def __init__(self) -> None:
        self._var: ContextVar[list[T]] = ContextVar("stack")

    def push(self, item: T) -> list[T]:
        """Put ``item`` on top and return the stack."""
        items = [*self._var.get([]), item]
        self._var.set(items)
        return items

    def pop(self) -> T | None:
        """Take the top off and return it; None when there is nothing."""
        items = self._var.get([])
        return items.pop() if items else None

    @property
    def top(self) -> T | None:
        """The item on top; None when there is none."""
        items = self._var.get([])
        return items[-1] if items else None


class CopyingStack(PopInPlaceStack[T]):
    """Mended: ``pop`` sets a shorter copy as well."""

    def pop(self) -> T | None:
        """Take the top off and return it; None when there is nothing."""
        items = self._var.get([])
        if not items:
            return None
        self._var.set(items[:-1])
        return items[-1]
