"""The demonstration: strategies that hold and strategies that fail, behind one probe.

:func:`create_demo` makes the WSGI application that ``greenlane run`` serves when
it is given no other. Its broken strategies mix up the data of their own probes
only, but mix it up they do: it is meant for the machine it runs on.

Must not import ``greenlane.cli``.
"""

from greenlane.demo.database import NoDatabase
from greenlane.demo.site import create_demo

__all__ = ["NoDatabase", "create_demo"]
