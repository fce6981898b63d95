"""One run of plain Locust, from its plan to its verdict: alone, or as the master of workers.

It is judged like a proof: subjects and controls in one run, and what is left at idle.
Nothing here imports Locust.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from crosstalk.checker import Checked, Checker, Left, Verdict, conclude
from crosstalk.proof import Settings, header, role_of
from crosstalk.report import document
from crosstalk.site import ROLES, CannotRun, Site, Strategy

GOING_ON = Left({}, {}, unknown="the run goes on")


def strategies_by_role(
    listed: Mapping[str, Strategy], chosen: tuple[str, ...]
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Return the strategies to load, by role, and the subjects among them.

    Args:
        listed: what the server has.
        chosen: the names of the subjects; empty for those that the server names.

    Raises:
        CannotRun: the server lacks one of ``chosen``.

    """
    if unknown := [name for name in chosen if name not in listed]:
        raise CannotRun(f"no strategy {', '.join(unknown)}; there are: {', '.join(listed)}")
    subjects = chosen or tuple(name for name, each in listed.items() if each.role == "subject")
    by_role = {
        role: tuple(name for name in listed if role_of(name, listed, subjects) == role) for role in ROLES
    }
    return by_role, subjects


class Run:
    """A run: what it demands, and what has come of it so far.

    Args:
        site: what is loaded.
        settings: how; ``strategies`` names the subjects.
        roles: the roles that are loaded. Without subjects and controls there is no
            verdict on the whole.
        checker: returns what all have counted so far.

    Raises:
        CannotRun: the server cannot be probed or counted.

    Attributes:
        name: tells this run's messages from another's.

    """

    def __init__(
        self, site: Site, settings: Settings, roles: frozenset[str], checker: Callable[[], Checker]
    ) -> None:
        self.name = secrets.token_hex(8)
        self._site = site
        self._checker = checker
        self._began = time.monotonic()
        self._final: Checked | None = None
        listed = site.strategies()
        by_role, subjects = strategies_by_role(listed, settings.strategies)
        loaded = {name for role in roles for name in by_role[role]}
        self._proves = {"subject", "control"} <= roles
        if self._proves:
            site.counts()  # a server without metrics is told of now, not after the load
        whole = header(settings, site.base, listed, subjects)
        self._header = replace(
            whole, cells={name: cell for name, cell in whole.cells.items() if name in loaded}
        )

    @property
    def final(self) -> bool:
        """Whether the run is over and judged."""
        return self._final is not None

    def end(self, cut: str | None = None) -> None:
        """Judge the run, whose users have stopped.

        Args:
            cut: why not everything has been counted, if so.

        """
        idle, _counts = self._site.at_idle() if self._proves else (None, None)
        left = GOING_ON
        if idle is not None:
            left = Left(idle.contexts, idle.entries, unknown=idle.unknown, processes=idle.processes)
        self._final = conclude(self._header, self._checker(), left, cut=cut)

    def checked(self) -> Checked:
        """Return what the run shows, so far or in the end."""
        return self._final or conclude(self._header, self._checker(), GOING_ON)

    @property
    def exit_code(self) -> int | None:
        """What Locust is to exit with; None to leave that to Locust."""
        checked = self.checked()
        if self._proves:
            return checked.finding.verdict.exit_code
        if any(tally.cross_talk for tally in checked.tallies.values()):
            return Verdict.CROSS_TALK.exit_code
        if not any(tally.requests or tally.failed for tally in checked.tallies.values()):
            return Verdict.INCONCLUSIVE.exit_code  # Locust itself exits 0 when nothing was sent at all
        return None

    def state(self) -> dict[str, Any]:
        """Return what is known so far, as JSON can have it."""
        checked = self.checked()
        state = document(checked) | {"final": self.final, "seconds": round(time.monotonic() - self._began, 1)}
        if not self._proves:
            state |= {
                "verdict": None,
                "exit_code": self.exit_code,
                "reasons": [
                    "the tags leave out the subjects or the controls: there is no verdict on the whole"
                ],
            }
        return state
