"""Whose data is this? The greenlet-local family.

:class:`Local` keeps attributes apart by ident, :class:`LocalStack` keeps a stack
for each ident, :class:`LocalProxy` stands for whatever the current ident has
bound, and :class:`LocalManager` releases them when a response is closed. Names
and signatures are those of the classic family that Werkzeug made known, so that
code written for it runs unchanged.

This package needs greenlet and nothing else; it imports nothing of Greenlane.
"""

from greenlane.context.local import Local, census, release_local
from greenlane.context.manager import LocalManager
from greenlane.context.proxy import LocalProxy
from greenlane.context.stack import LocalStack
from greenlane.context.storage import get_ident

__all__ = ["Local", "LocalManager", "LocalProxy", "LocalStack", "census", "get_ident", "release_local"]
