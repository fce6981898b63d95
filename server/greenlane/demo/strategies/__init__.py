"""The strategies: nine ways to keep request data, of which two hold and seven fail in their own way.

Each is a small class that writes two fields, reads them back and can release them:
a :class:`~greenlane.demo.keeper.Keeper`, by whose rules it goes.

- :mod:`~greenlane.demo.strategies.strategy`: what a strategy is
- :mod:`~greenlane.demo.strategies.keeping`: ways of keeping that several have
- :mod:`~greenlane.demo.strategies.subjects`, :mod:`~greenlane.demo.strategies.observed` and
  :mod:`~greenlane.demo.strategies.controls`: the nine, by their roles

Must not import the probe or the site; knows nothing of HTTP beside ``g`` and ``request``.
"""

from typing import Final

from greenlane.app import Counts, counts
from greenlane.demo.strategies.controls import NativeThreadLocal, ReusedId, SharedObject, ThreadIdent
from greenlane.demo.strategies.keeping import KeptInLocal, native_ident
from greenlane.demo.strategies.observed import BareContextVar, GeventLocal, UnreleasedLocal
from greenlane.demo.strategies.strategy import Stored, Strategy
from greenlane.demo.strategies.subjects import ContextOfRequest, ReleasedLocal

__all__ = [
    "STRATEGIES",
    "ContextOfRequest",
    "KeptInLocal",
    "ReleasedLocal",
    "ReusedId",
    "SharedObject",
    "Stored",
    "Strategy",
    "make_strategies",
    "native_ident",
]

#: In the order in which they are listed: what must hold, what is shown, what must fail.
STRATEGIES: Final[tuple[type[Strategy], ...]] = (
    ReleasedLocal,
    ContextOfRequest,
    GeventLocal,
    BareContextVar,
    UnreleasedLocal,
    SharedObject,
    NativeThreadLocal,
    ThreadIdent,
    ReusedId,
)


def make_strategies(counted: Counts = counts) -> dict[str, Strategy]:
    """Make one of each, by name, for one demonstration.

    Args:
        counted: where contexts are counted; by default all of the process.

    """
    made = {strategy.name: strategy() for strategy in STRATEGIES}
    return made | {ContextOfRequest.name: ContextOfRequest(counted)}
