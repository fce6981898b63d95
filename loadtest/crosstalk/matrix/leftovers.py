"""What cells have left open at idle, where the server counts that by the cell's own name.

Nothing here imports Locust.
"""

import time
from collections.abc import Container, Iterable, Mapping

import gevent

from crosstalk.matrix.plan import PlannedCell
from crosstalk.site import CannotRun, Site


def is_counted(cell: PlannedCell, counted: Container[str]) -> bool:
    """Whether what ``cell`` leaves belongs to its finding, and has to be counted.

    Args:
        cell: the cell.
        counted: the cells that the server counts.

    """
    # Of a variant it has to be; what some strategies leave cannot be told.
    return cell.hazard.counts_left and (cell.key in counted or cell.strategy in cell.hazard.variants)


def left_of(
    site: Site, cells: Iterable[PlannedCell], patience: float, before: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Wait until the cells have nothing left, and return what they have: nothing if nobody says.

    Args:
        site: where they are.
        cells: those whose leftovers do not matter are passed over.
        patience: seconds until what is left then is taken to stay.
        before: what each had left before, of a server that others have used: nothing by default.

    """
    wanted = {cell.key for cell in cells if cell.hazard.counts_left}
    if not wanted:
        return {}
    earlier = before or {}
    deadline = time.monotonic() + patience
    while True:
        try:
            now = site.left()
        except CannotRun:
            return {}  # a server that died under load: what is not counted is not known
        left = {key: max(0, now[key] - earlier.get(key, 0)) for key in now.keys() & wanted}
        if not any(left.values()) or time.monotonic() > deadline:
            return left
        gevent.sleep(0.1)
