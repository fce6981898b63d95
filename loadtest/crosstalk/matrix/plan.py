"""What to measure: the cells of a matrix, in parts that are loaded one after another.

Nothing here imports Locust.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from crosstalk.checker import Outcome
from crosstalk.matrix.listing import BROKEN, FIXED, Hazard


class NothingChosen(ValueError):  # noqa: N818 - names what is wrong
    """What was asked for names no cell."""


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """One hazard under one strategy, or in one variant.

    Attributes:
        hazard: the hazard.
        strategy: the strategy's name, or ``broken`` or ``fixed``.
        expected: what it may be judged for the matrix to be as its server says.

    """

    hazard: Hazard
    strategy: str
    expected: frozenset[Outcome]

    @property
    def key(self) -> str:
        """The cell's name in a history."""
        return f"{self.hazard.name}/{self.strategy}"


@dataclass(frozen=True, slots=True)
class Part:
    """Cells that are loaded at once: those of one hazard, or one that has to be alone."""

    name: str
    cells: tuple[PlannedCell, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure, and what cannot be.

    Attributes:
        parts: in the order in which they are loaded.
        not_applicable: the other cells, by hazard and strategy, each with the reason.

    """

    parts: tuple[Part, ...]
    not_applicable: Mapping[tuple[str, str], str]

    @property
    def cells(self) -> tuple[PlannedCell, ...]:
        """All cells that are measured."""
        return tuple(cell for part in self.parts for cell in part.cells)


def make_plan(hazards: Mapping[str, Hazard], *, only: Sequence[str] = (), host: str | None = None) -> Plan:
    """Plan the matrix of ``hazards``.

    Args:
        hazards: as the server lists them.
        only: patterns, as of a shell, of a hazard's name (``keep-alive``) or of a cell's
            (``*/local``, ``keep-alive/fixed``). Empty for all. The broken variant of each
            hazard is measured besides: where nothing is caught, nothing is shown.
        host: the address of a server that is given, beside which none is started; None where
            one is started.

    Raises:
        NothingChosen: one of ``only`` matches nothing.

    """
    cells: list[PlannedCell] = []
    not_applicable: dict[tuple[str, str], str] = {}
    for hazard in hazards.values():
        not_applicable |= {(hazard.name, name): reason for name, reason in hazard.not_applicable.items()}
        if reason := _out_of_reach(hazard, host):
            not_applicable |= {(hazard.name, name): reason for name in (*hazard.strategies, *hazard.variants)}
            continue
        cells += [
            PlannedCell(hazard, name, frozenset((outcome,))) for name, outcome in hazard.strategies.items()
        ]
        for variant in hazard.variants:
            expected = (Outcome.ISOLATED,) if variant == FIXED else hazard.caught_as
            cells.append(PlannedCell(hazard, variant, frozenset(expected)))
    if only:
        for pattern in only:
            if not any(_matches(cell.key, pattern) for cell in cells):
                reasons = [why for place, why in not_applicable.items() if _matches("/".join(place), pattern)]
                raise NothingChosen(": ".join((f"{pattern!r} matches no cell", *reasons[-1:])))
        chosen = [cell for cell in cells if any(_matches(cell.key, pattern) for pattern in only)]
        hazards_of_them = {cell.hazard.name for cell in chosen}
        cells = [
            cell
            for cell in cells
            if cell in chosen or (cell.hazard.name in hazards_of_them and cell.strategy == BROKEN)
        ]
    return Plan(tuple(_parts(cells)), not_applicable)


def _out_of_reach(hazard: Hazard, host: str | None) -> str | None:
    """Say why a hazard cannot be exercised on a server that is given, if it cannot."""
    if host is None:
        return None
    if hazard.own_server is not None:
        return f"needs a server of its own ({hazard.own_server}), and with --host none is started"
    if hazard.exercise.name == "abandoned" and host.startswith("https:"):
        return "needs a client that goes away in mid-stream, on a raw socket, which speaks no TLS"
    return None


def _matches(key: str, pattern: str) -> bool:
    return fnmatchcase(key if "/" in pattern else key.partition("/")[0], pattern)


def _parts(cells: Sequence[PlannedCell]) -> list[Part]:
    parts: list[Part] = []
    for name in dict.fromkeys(cell.hazard.name for cell in cells):
        of_hazard = tuple(cell for cell in cells if cell.hazard.name == name)
        if of_hazard[0].hazard.alone:
            parts += [Part(cell.key, (cell,)) for cell in of_hazard]
        else:
            parts.append(Part(name, of_hazard))
    return parts
