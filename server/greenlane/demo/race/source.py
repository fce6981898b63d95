"""The source of what is raced, read from the files that this process runs.

Must not import the views.
"""

import inspect
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from greenlane.demo.hazards.hazard import Hazard, Kept, OfApp, Variant
from greenlane.demo.keeper import Keeper
from greenlane.demo.strategies import STRATEGIES, Strategy

#: The folder that the package lies in: files are named from there.
_ROOT = Path(__file__).parents[3]

#: What every strategy or variant is: tells nothing of the one at hand.
_COMMON = frozenset({Strategy, Keeper, Kept, OfApp, Variant})


@dataclass(frozen=True)
class Piece:
    """A class, as it stands in its file."""

    file: str
    line: int
    text: str


def source_of(hazard: Hazard, name: str) -> list[Piece]:
    """Return the source of a strategy, or of a hazard's variant, with what it inherits, its own first.

    Args:
        hazard: what is raced.
        name: one of its :func:`~greenlane.demo.race.settings.choices`.

    """
    strategy: type | None = next((each for each in STRATEGIES if each.name == name), None)
    kind: type = strategy or getattr(hazard, name)
    ours = (each for each in kind.__mro__ if each.__module__.startswith("greenlane.demo"))
    return [_piece(each) for each in ours if each not in _COMMON]


@cache  # to find a class, inspect parses its whole module: some 10 ms, in which nobody else runs
def _piece(kind: type) -> Piece:
    lines, number = inspect.getsourcelines(kind)
    file = Path(inspect.getfile(kind)).relative_to(_ROOT)
    return Piece(file.as_posix(), number, "".join(lines))
