"""A Local made by hand: a dict of dicts, keyed by whoever asks.

What remains naive in both forms: nothing leaves the dict but by ``del``. Keyed by a
number, a newcomer inherits what is left under it; keyed by the greenlet, entry and
greenlet stay for ever. :mod:`greenlane.context.storage` tells how to avoid both.
"""

import importlib
from collections.abc import Callable, Hashable
from typing import Any

from greenlet import getcurrent

from greenlane.demo.forms.native import get_native_ident


def find_ident(
    import_module: Callable[[str], Any] = importlib.import_module,
) -> Callable[[], Hashable]:
    """Choose what tells lanes apart: greenlets, or else native threads.

    Args:
        import_module: how to import, so that both ends can be shown.

    """
    try:
        ident: Callable[[], Hashable] = import_module("greenlet").getcurrent
    except ImportError:
        return get_native_ident
    return ident


class ThreadIdentLocal:
    """Naive: all greenlets of a native thread share one lane."""

    storage: dict[Hashable, dict[str, Any]]
    get_ident: Callable[[], Hashable] = staticmethod(get_native_ident)

    def __init__(self) -> None:
        object.__setattr__(self, "storage", {})

    def __setattr__(self, name: str, value: Any) -> None:
        self.storage.setdefault(self.get_ident(), {})[name] = value

    def __getattr__(self, name: str) -> Any:
        try:
            return self.storage[self.get_ident()][name]
        except KeyError:
            raise AttributeError(name) from None

    def __delattr__(self, name: str) -> None:
        try:
            del self.storage[self.get_ident()][name]
        except KeyError:
            raise AttributeError(name) from None


class GreenletIdentLocal(ThreadIdentLocal):
    """Mended: keyed by the greenlet; a plain thread has one of its own."""

    get_ident = staticmethod(getcurrent)
