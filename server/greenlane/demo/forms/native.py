"""Native threads: their ident and their locals, also where gevent has replaced both.

After ``monkey.patch_all()`` the names in :mod:`threading` mean greenlets. What is
here means what the operating system runs, always.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from gevent.monkey import get_original

if TYPE_CHECKING:
    from threading import local as NativeLocal  # noqa: N812 - a class after all
else:
    NativeLocal = get_original("threading", "local")

__all__ = ["NativeLocal", "get_native_ident"]

get_native_ident: Callable[[], int] = get_original("threading", "get_ident")
"""The current native thread's ident: a number that is used again once the thread has ended."""
