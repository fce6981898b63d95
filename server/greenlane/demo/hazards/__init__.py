"""The hazards: every known way in which request data gets mixed up, each broken and fixed.

The broken variants are honest mistakes, as real programs made them; none swaps data on
purpose. What a load test has to see in each is in the hazard itself, for the listing;
whoever judges replies is not told.
"""

from typing import Final

from greenlane.demo.hazards.blind import BlindGenerator
from greenlane.demo.hazards.blocking import BlockedLoop
from greenlane.demo.hazards.caching import CachedCookie
from greenlane.demo.hazards.children import LostInSpawn, PoolResidue, SharedStack
from greenlane.demo.hazards.databases import ScopedByThread, SharedCursor
from greenlane.demo.hazards.desync import Desync
from greenlane.demo.hazards.endings import KilledMidway, RaiseEarly
from greenlane.demo.hazards.hazard import Hazard
from greenlane.demo.hazards.late_patch import LatePatch
from greenlane.demo.hazards.nested import NestedSameApp
from greenlane.demo.hazards.outbound import SharedClient
from greenlane.demo.hazards.poisoned import PoisonedConnection
from greenlane.demo.hazards.sharing import NativeThreadLocal, SharedObject
from greenlane.demo.hazards.storage import IdentReuse, KeepAlive, Unreleased
from greenlane.demo.hazards.streams import AbandonedStream, StreamAfterPop

#: In the order in which they are listed.
HAZARDS: Final[tuple[Hazard, ...]] = tuple(
    hazard()
    for hazard in (
        SharedObject,
        NativeThreadLocal,
        IdentReuse,
        KeepAlive,
        Unreleased,
        RaiseEarly,
        KilledMidway,
        AbandonedStream,
        StreamAfterPop,
        LostInSpawn,
        PoolResidue,
        SharedStack,
        NestedSameApp,
        BlockedLoop,
        PoisonedConnection,
        SharedCursor,
        ScopedByThread,
        SharedClient,
        CachedCookie,
        LatePatch,
        Desync,
        BlindGenerator,
    )
)
