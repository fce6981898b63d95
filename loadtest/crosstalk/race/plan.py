"""What to race: the cells that were asked for, and a control where none of them is known to be broken.

Nothing here imports Locust.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crosstalk.checker import Outcome
from crosstalk.matrix.listing import BROKEN, Hazard
from crosstalk.matrix.plan import PlannedCell, make_plan

CONTROL_REQUESTS = 200
"""Requests of a control that nobody asked for, at most: it is there to be caught, and shows it with fewer."""


class CannotRace(ValueError):  # noqa: N818 - the cells are what is wrong
    """What was asked for cannot be raced."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A cell in a race.

    Attributes:
        cell: the cell.
        requests: how many are issued in all.
        users: how many of them at once.

    """

    cell: PlannedCell
    requests: int
    users: int

    @property
    def is_control(self) -> bool:
        """Whether the server says that the cell is broken: it has to be caught as what it is."""
        return Outcome.ISOLATED not in self.cell.expected


@dataclass(frozen=True, slots=True)
class Race:
    """What is raced.

    Attributes:
        entries: the cells that were asked for, in that order.
        control: a cell that is raced besides; None where one of the others is known to be broken.
        together: whether all are loaded at once. Not where each request is to be alone, which it
            would not be beside another cell's, nor where one cell stops all others.

    """

    entries: tuple[Entry, ...]
    control: Entry | None
    together: bool

    @property
    def all(self) -> tuple[Entry, ...]:
        """All that is raced."""
        return self.entries if self.control is None else (*self.entries, self.control)


def make_race(
    hazards: Mapping[str, Hazard], keys: Sequence[str], *, requests: int, at_once: int, host: str
) -> Race:
    """Plan a race of the cells named ``keys``.

    Args:
        hazards: as the server lists them.
        keys: ``HAZARD/STRATEGY`` each, all of one hazard.
        requests: of each cell.
        at_once: of these, at the same time.
        host: the server's address.

    Raises:
        CannotRace: one of ``keys`` names no cell that can be raced, or they are of several hazards.

    """
    plan = make_plan(hazards, host=host)
    cells = {cell.key: cell for cell in plan.cells}
    chosen = [_chosen(key, hazards, cells, plan.not_applicable) for key in dict.fromkeys(keys)]
    if len({cell.hazard.name for cell in chosen}) > 1:
        raise CannotRace("the cells of a race are of one hazard: what breaks in another is no control")
    entries = tuple(Entry(cell, requests, at_once) for cell in chosen)
    control = None
    if not any(entry.is_control for entry in entries):
        fewer = min(requests, CONTROL_REQUESTS)
        control = Entry(cells[f"{chosen[0].hazard.name}/{BROKEN}"], fewer, min(at_once, fewer))
    return Race(entries, control, together=at_once > 1 and not chosen[0].hazard.alone)


def _chosen(
    key: str,
    hazards: Mapping[str, Hazard],
    cells: Mapping[str, PlannedCell],
    not_applicable: Mapping[tuple[str, str], str],
) -> PlannedCell:
    """Return the cell named ``key``.

    Raises:
        CannotRace: there is none, or it cannot be raced.

    """
    name, _, strategy = key.partition("/")
    hazard = hazards.get(name)
    if hazard is None:
        raise CannotRace(f"no hazard {name!r}; there are: {', '.join(hazards)}")
    if hazard.own_server is not None:
        raise CannotRace(f"{name!r} needs a server of its own: crosstalk matrix measures it")
    if reason := not_applicable.get((name, strategy)):
        raise CannotRace(f"{key!r} is not applicable: {reason}")
    if key not in cells:
        known = ", ".join((*hazard.strategies, *hazard.variants))
        raise CannotRace(f"{name!r} has no strategy {strategy!r}; there are: {known}")
    return cells[key]
