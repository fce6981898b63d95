"""One object for everybody, and one whose attributes belong to the native thread.

The first of the classic demonstrations: workers write their number to an object,
wait, and read it back.
"""

from typing import Any

from greenlane.demo.forms.native import NativeLocal, get_native_ident


class SharedObject:
    """Naive: whoever reads gets what the last writer left."""

    name: Any = None


class OwnedByThread(NativeLocal):
    """Mended, for native threads alone: attributes of each one's own.

    Args:
        births: gets the ident of each native thread that uses this
            object, since a subclass's ``__init__`` runs anew in each.

    """

    name: Any = None

    def __init__(self, births: list[int]) -> None:
        births.append(get_native_ident())
