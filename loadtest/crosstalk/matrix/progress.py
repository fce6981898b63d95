"""How far a matrix is: two bars on a terminal, a line for each part elsewhere.

Nothing here imports Locust.
"""

import time
from collections.abc import Mapping

from rich import progress
from rich.console import Console

from crosstalk.checker import Tally
from crosstalk.matrix.plan import Part, Plan


class Progress:
    """Is told how far a matrix is; does nothing with it."""

    def begin(self, plan: Plan) -> None:
        """Be told what will be measured."""

    def update(self, part: Part, tallies: Mapping[str, Tally], share: float) -> None:
        """Be told, a few times a second, how far the part is (0 to 1)."""

    def done(self, part: Part, tallies: Mapping[str, Tally]) -> None:
        """Be told that the part's load is over."""

    def judging(self, requests: int) -> None:
        """Be told that the load is over, and so many requests are judged."""


class Bar(Progress):
    """Two bars, for all parts and for the current one, on a terminal; a line for each part elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = progress.Progress(
            progress.TextColumn("{task.description:<22}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[counts]}"),
            progress.TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._plan = Plan((), {})
        self._number = 0
        self._started = time.monotonic()

    def __enter__(self) -> "Bar":
        self._bars.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bars.stop()

    def begin(self, plan: Plan) -> None:
        """Be told what will be measured."""
        self._plan = plan
        self._all = self._bars.add_task("matrix", total=len(plan.parts), counts="hazards")
        self._current = self._bars.add_task("", total=0, counts="")
        if not self._console.is_terminal:
            hazards = len({cell.hazard.name for cell in plan.cells})
            self._console.print(f"{len(plan.cells)} cells of {hazards} hazards", highlight=False)

    def update(self, part: Part, tallies: Mapping[str, Tally], share: float) -> None:
        """Redraw."""
        self._bars.update(
            self._current,
            description=part.name,
            total=len(part.cells),
            completed=round(share * len(part.cells), 1),
            counts=_counts(tallies),
        )

    def done(self, part: Part, tallies: Mapping[str, Tally]) -> None:
        """Count the part, and leave a line that stays."""
        self._number += 1
        line = f"{self._number:>3} of {len(self._plan.parts)}  {part.name:<22} {_counts(tallies)}"
        if self._console.is_terminal:
            self._bars.update(self._all, completed=self._number)
        else:
            elapsed = time.monotonic() - self._started
            self._console.print(f"{line}  ({elapsed:.0f} s)", highlight=False, markup=False)

    def judging(self, requests: int) -> None:
        """Say what is still to be done."""
        text = f"judging {requests:,} requests from their history"
        if self._console.is_terminal:
            self._bars.update(self._current, description="", counts=text)
        else:
            self._console.print(text, highlight=False)


def _counts(tallies: Mapping[str, Tally]) -> str:
    requests = sum(tally.requests for tally in tallies.values())
    cross_talk = sum(tally.cross_talk for tally in tallies.values())
    return f"{requests:,} requests, {cross_talk:,} with cross-talk"
