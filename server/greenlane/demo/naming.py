"""Names: what the places are called where data is kept, on the page as well, and the same without addresses.

All of them are made here, so that whoever takes the addresses out again knows the words.

Must not import any keeper.
"""

import re
from collections.abc import Mapping
from typing import Final

ONE_OBJECT: Final = "the one object"


def greenlet_name(greenlet: object) -> str:
    """Name a greenlet by its address."""
    return f"greenlet {id(greenlet):#x}"


def native_thread_name(ident: int) -> str:
    """Name a native thread by its ident."""
    return f"native thread {ident:#x}"


def id_name(key: int) -> str:
    """Name what is kept under an ``id()``."""
    return f"id {key:#x}"


def context_name(greenlet: object) -> str:
    """Name the ``contextvars`` context of a greenlet."""
    return f"the context of {greenlet_name(greenlet)}"


def g_name(number: int, greenlet: object) -> str:
    """Name one ``g`` of a greenlet, which may have several, by a number of its own."""
    return f"g {number} on {greenlet_name(greenlet)}"


_G: Final = re.compile(r"g \d+ on .*")
_GREENLET: Final = re.compile(r"\bgreenlet 0x[0-9a-f]+")
_ID: Final = re.compile(r"\bid 0x[0-9a-f]+")
_NATIVE_THREAD: Final = re.compile(r"native thread 0x[0-9a-f]+")


def steady_name(name: str, nonce: str, greenlets: Mapping[int, object]) -> str:
    """Return the name of a place as it is in every process: without addresses, and without who came first.

    Args:
        name: by any of the functions above; the native thread is the only one.
        nonce: of a request whose data is kept there. A ``g`` is called by it.
        greenlets: those that have numbers to be called by; any other is "another greenlet".

    """
    if _G.fullmatch(name):
        return f"g of {nonce}"
    for number, each in greenlets.items():
        name = name.replace(greenlet_name(each), f"greenlet {number}")
        name = name.replace(id_name(id(each)), f"id of greenlet {number}")
    name = _NATIVE_THREAD.sub("native thread", name)
    return _ID.sub("id of another greenlet", _GREENLET.sub("another greenlet", name))
