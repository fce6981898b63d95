"""Data in contexts, on a stack that a variant has for itself: a mistake with it is nobody else's."""

from greenlane.context import LocalStack
from greenlane.demo.hazards.hazard import Cell, Variant
from greenlane.demo.keeper import FIELDS, Keeper, Reading


class OnStack(Variant, Keeper):
    """Keeps data in the context on top of a stack of its own.

    When contexts are pushed and popped is a subclass's.

    Attributes:
        contexts: the stack.

    """

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.contexts: LocalStack[dict[str, str]] = LocalStack()

    def write(self, field: str, value: str) -> None:
        """Write into the current context.

        Raises:
            RuntimeError: there is none.

        """
        context = self.contexts.top
        if context is None:
            raise RuntimeError("there is no context")
        context[field] = value

    def read(self) -> Reading:
        """Read from the current context."""
        context = self.contexts.top or {}
        return {field: context.get(field) for field in FIELDS}

    def release(self) -> None:
        """Do nothing that a probe could ask for: the program pops by itself."""

    def left(self) -> int:
        """Return how many greenlets have a context."""
        return len(self.contexts.__storage__)
