"""The attribute hooks that a home-made Local is built on, and the trap in its ``__init__``.

``__setattr__`` is called for every assignment, ``__getattr__`` only for names that
are found nowhere else (data model, "Customizing attribute access").
"""

from typing import Any


class Announcing:
    """Says what is done to it, keeps nothing, and gives None."""

    def __setattr__(self, name: str, value: Any) -> None:
        print(f"set {name} to {value!r}")

    def __getattr__(self, name: str) -> None:
        print(f"get {name}")


class Recursive:
    """Naive: ``self.storage = {}`` calls a ``__setattr__`` that needs it.

    There is no ``storage`` yet, so ``__getattr__`` is called for it,
    which looks for ``storage`` as well, and so on: RecursionError.
    """

    def __init__(self) -> None:
        self.storage: dict[str, Any] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        self.storage[name] = value

    def __getattr__(self, name: str) -> Any:
        return self.storage.get(name)


class Storing(Recursive):
    """Mended: object's own ``__setattr__`` calls none of these hooks."""

    storage: dict[str, Any]

    def __init__(self) -> None:
        object.__setattr__(self, "storage", {})
