"""A Local each of whose names holds a stack: the step from a Local to a LocalStack."""

from collections.abc import Callable, Hashable
from typing import Any

from greenlet import getcurrent


class OneNameStacks:
    """Naive: a lane knows its first name alone; a second: KeyError."""

    storage: dict[Hashable, dict[str, list[Any]]]
    get_ident: Callable[[], Hashable] = staticmethod(getcurrent)

    def __init__(self) -> None:
        object.__setattr__(self, "storage", {})

    def __setattr__(self, name: str, value: Any) -> None:
        ident = self.get_ident()
        if ident in self.storage:
            self.storage[ident][name].append(value)
        else:
            self.storage[ident] = {name: [value]}

    def __getattr__(self, name: str) -> Any:
        try:
            return self.storage[self.get_ident()][name][-1]
        except KeyError:
            raise AttributeError(name) from None


class ManyNameStacks(OneNameStacks):
    """Mended: each name gets a stack of its own when it is first set."""

    def __setattr__(self, name: str, value: Any) -> None:
        lane = self.storage.setdefault(self.get_ident(), {})
        lane.setdefault(name, []).append(value)
