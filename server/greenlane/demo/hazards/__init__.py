"""The hazards: every known way in which request data gets mixed up, each broken and fixed.

The broken variants are honest mistakes, as real programs made them; none swaps data on
purpose. What a load test has to see in each is in the hazard itself, for the listing;
whoever judges replies is not told.
"""

from typing import Final

from greenlane.demo.hazards.caching import CachedCookie
from greenlane.demo.hazards.databases import ScopedByThread, SharedCursor
from greenlane.demo.hazards.desync import Desync
from greenlane.demo.hazards.hazard import Hazard
from greenlane.demo.hazards.late_patch import LatePatch
from greenlane.demo.hazards.poisoned import PoisonedConnection
from greenlane.demo.hazards.sharing import NativeThreadLocal, SharedObject

#: In the order in which they are listed.
HAZARDS: Final[tuple[Hazard, ...]] = tuple(
    hazard()
    for hazard in (
        SharedObject,
        NativeThreadLocal,
        PoisonedConnection,
        SharedCursor,
        ScopedByThread,
        CachedCookie,
        LatePatch,
        Desync,
    )
)
