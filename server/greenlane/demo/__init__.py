"""The demonstration: strategies that hold and strategies that fail, behind one probe.

:func:`create_demo` makes the WSGI application that ``greenlane run`` serves when
it is given no other. Its broken strategies mix up the data of their own probes
only, but mix it up they do: it is meant for the machine it runs on.

Names are exported lazily (PEP 562), so that a program of this package, such as
``python -m greenlane.demo.orders``, can patch before anything else is imported.

Must not import ``greenlane.cli``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from greenlane.demo.database import NoDatabase as NoDatabase
    from greenlane.demo.site import create_demo as create_demo

_HOME = {"NoDatabase": "greenlane.demo.database", "create_demo": "greenlane.demo.site"}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    """Import an exported name from its home.

    Raises:
        AttributeError: the package exports no such name.

    """
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
