"""Probing: what makes an App a place to probe: the strategies, the hazards, and the figures on both.

The demonstration is one such place, and each race has one of its own.

Must not import the site.
"""

from collections.abc import Iterable
from typing import NamedTuple

from greenlane.app import App, Counts, counts
from greenlane.context import LocalManager
from greenlane.demo.doom import as_announced
from greenlane.demo.hazards import HAZARDS
from greenlane.demo.hazards.hazard import Hazard
from greenlane.demo.hazards.mount import HazardSite, LeftCollector
from greenlane.demo.parameters import MAX_CONTENT_LENGTH
from greenlane.demo.probe import Kit, Turns, Watch
from greenlane.demo.strategies import KeptInLocal, make_strategies
from greenlane.demo.switching import Switcher
from greenlane.demo.views import Views
from greenlane.ops import Ops


class Probing(NamedTuple):
    """What was mounted: the App behind its figures, and the hazards' cells."""

    ops: Ops
    hazards: HazardSite


def with_probes(
    app: App, hazards: Iterable[Hazard] = HAZARDS, watch: Watch | None = None, counted: Counts = counts
) -> Probing:
    """Mount strategies and hazards on ``app``, each with storage of its own.

    Args:
        app: gets the views, and the middleware that they need.
        hazards: which ones.
        watch: is told each step of each probe.
        counted: whose contexts are told of: by default all of the process.

    Returns:
        ``app`` behind ``/metrics``, ``/healthz`` and ``/live``, and the hazards.

    """
    strategies = make_strategies(counted)
    kept_in_locals = {
        name: strategy.local for name, strategy in strategies.items() if isinstance(strategy, KeptInLocal)
    }
    app.config["MAX_CONTENT_LENGTH"] = MAX_CONTENT_LENGTH
    ops = Ops(app, locals=kept_in_locals, counts=counted)
    kit = Kit(Switcher(), Turns(), in_flight=lambda: ops.in_flight, watch=watch or Watch())
    Views(strategies, kit).mount(app)
    site = HazardSite(kit, hazards, counted)
    site.mount(app)
    ops.register(LeftCollector(site))
    released = LocalManager([kept_in_locals["local"]]).make_middleware(app.wsgi_app)
    app.wsgi_app = as_announced(site.wrap(released))  # type: ignore[assignment]  # wrapping is what it is for
    return Probing(ops, site)
