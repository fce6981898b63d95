"""A call that waits natively: it stops every greenlet, nothing overlaps, and everything looks isolated."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gevent.monkey import get_original

from greenlane.demo.hazards.hazard import Cell, Exercise, Hazard, everywhere
from greenlane.demo.hazards.sharing import OneLocal
from greenlane.demo.switching import Switcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenlane.demo.switching import Way

#: Seconds that one call may stop the process.
LONGEST: Final = 0.005


class _BlockingSwitcher(Switcher):
    """Waits in native calls, each of which is to be a switch and is none."""

    def __init__(self) -> None:
        super().__init__()
        self._sleep: Callable[[float], None] = get_original("time", "sleep")
        self.ways: tuple[tuple[str, Way], ...] = (("native sleep", self._wait),)

    def gap(self, pause: float) -> None:
        """Wait."""
        self._wait(pause)

    def _wait(self, seconds: float) -> None:
        self._sleep(min(seconds, LONGEST))


class CallsNatively(OneLocal):
    """Waits in a call of the operating system, as a driver in C does that gevent has not patched."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(replace(cell, kit=replace(cell.kit, switcher=_BlockingSwitcher())))


class CallsCooperatively(OneLocal):
    """Waits in gevent's calls, and lets others run meanwhile."""


class BlockedLoop(Hazard):
    """A test that shows nothing because nothing happened."""

    name = "blocked-loop"
    summary = "A native call stops every greenlet: nothing overlaps, so everything looks isolated."
    shows = "no checkpoint sees another request act: nothing is proven"
    cause = (
        "Greenlets switch where they wait, and only if gevent does the waiting. A driver in C, or a module "
        "imported before patch_all(), waits natively, and the requests run one after another. A load test "
        "that does not ask for overlap calls that isolated."
    )
    incidents = ("https://www.gevent.org/intro.html#cooperative-multitasking",)
    caught_as = ("no-overlap",)
    exercise = Exercise("kept-alive")
    alone = True
    not_applicable = everywhere("a way of waiting and not of keeping data: without overlap nothing is proven")
    broken = CallsNatively
    fixed = CallsCooperatively
