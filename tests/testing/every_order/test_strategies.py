"""The other way round: each broken strategy is caught in just the hazards that its demonstration names.

The demonstration's own probe runs in every order: what it reads must be the nonce that it
wrote. Where a strategy is broken some order fails, and by the finding that belongs to the
hazard; where it holds, none does.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from greenlet import getcurrent

from greenlane.app import App, Request, request
from greenlane.context import LocalManager
from greenlane.demo.hazards.hazard import ONE_LANE, Hazard
from greenlane.demo.hazards.sharing import SharedObject
from greenlane.demo.hazards.storage import IdentReuse, KeepAlive
from greenlane.demo.keeper import FIELDS
from greenlane.demo.parameters import Parameters
from greenlane.demo.probe import Kit, Report, Turns
from greenlane.demo.strategies import STRATEGIES, ReleasedLocal, Strategy, make_strategies
from greenlane.demo.switching import Switcher
from greenlane.testing import interleave

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from tests.testing.every_order.conftest import EveryOrder, Pause

CONNECTIONS = 10
"""Connections one after another, so that addresses come again."""


class FindingError(AssertionError):
    """A probe read what it had not written.

    Attributes:
        kind: ``foreign``: somebody else's nonce; ``torn``: two different ones; ``missing``:
            none; ``stale``: it found one before it wrote.

    """

    def __init__(self, kind: str, report: Report) -> None:
        super().__init__(f"{kind}: {report['found']} {report['checkpoints']}")
        self.kind = kind


def judge(report: Report, nonce: str, clean: bool) -> None:
    """Raise what a check of the report finds.

    Args:
        report: the reply to a probe.
        nonce: what it wrote.
        clean: it must also have found nothing before it wrote.

    """
    for checkpoint in report["checkpoints"]:
        read = [checkpoint["read"][field] for field in FIELDS]
        if None in read or checkpoint["error"]:
            raise FindingError("missing", report)
        if read != [nonce, nonce]:
            raise FindingError("foreign" if read[0] == read[1] else "torn", report)
    if clean and any(value is not None for value in report["found"].values()):
        raise FindingError("stale", report)


class PausingSwitcher(Switcher):
    """Switches once for each wait, where the demonstration's own is by chance."""

    def __init__(self, switch: "Pause") -> None:
        super().__init__()
        self._switch = switch
        self.ways = (("pause", self.gap),)

    def gap(self, pause: float) -> None:
        self._switch()


class Site:
    """The demonstration's probe of one strategy, with a switch that can be explored.

    Args:
        name: of the strategy.
        app: an App of its own.
        pause: the switch.

    """

    def __init__(self, name: str, app: App, pause: "Pause") -> None:
        self._name = name
        self._strategy: Strategy = make_strategies()[name]
        self._kit = Kit(PausingSwitcher(pause), Turns(), in_flight=lambda: 2)
        app.add_url_rule("/", view_func=self._view)
        self._app = app

    def begin(self) -> None:
        """Make all anew for another order: what a broken strategy has kept is part of the last one."""
        self._strategy = make_strategies()[self._name]

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Answer, with the strategy released at the end where the demonstration does so."""
        app: WSGIApplication = self._app
        if isinstance(self._strategy, ReleasedLocal):
            app = LocalManager([self._strategy.local]).make_middleware(app)
        return app(environ, start_response)

    def _view(self) -> Any:
        current: Request = request._get_current_object()  # type: ignore[attr-defined]
        probe = self._kit.probe(self._name, self._strategy, Parameters.of(current))
        return dict(probe.run())

    def visitor(self, nonce: str, *, release: bool = False) -> Callable[[], None]:
        """Return a function that sends a probe and judges the reply.

        Args:
            nonce: what it writes.
            release: the strategy drops at its end what it holds, and nobody asks what
                the probe found before it wrote.

        """
        send = interleave.request(self, f"/?nonce={nonce}&hops=2&release={release:d}")

        def visit() -> None:
            judge(send().json, nonce, clean=not release)  # type: ignore[arg-type]  # a report, or the judge will say so

        return visit


@pytest.fixture
def site(name: str, app: App, pause: "Pause") -> Site:
    return Site(name, app, pause)


def switching(site: Site) -> Callable[[], Any]:
    """Two requests, each of which releases what it holds: only a switch can harm them."""
    visitors = [site.visitor(nonce, release=True) for nonce in ("ada", "bob")]

    def program() -> Iterator[Any]:
        site.begin()
        yield visitors

    return program


def keep_alive(site: Site) -> Callable[[], Any]:
    """Two connections; one has two requests, in one greenlet."""
    ada, again, bob = (site.visitor(nonce) for nonce in ("ada", "again", "bob"))

    def connection() -> None:
        ada()
        again()

    def program() -> Iterator[Any]:
        site.begin()
        yield [connection, bob]

    return program


def ident_reuse(site: Site) -> Callable[[], Any]:
    """When two connections have ended, others come one after another: some get the address of a dead one."""
    ada, bob, heir = (site.visitor(nonce) for nonce in ("ada", "bob", "heir"))

    def program() -> Iterator[Any]:
        site.begin()
        addresses: list[int] = []
        findings: list[FindingError] = []

        def connection() -> None:
            addresses.append(id(getcurrent()))
            try:
                heir()
            except FindingError as finding:
                findings.append(finding)

        def in_turn() -> None:
            for _connection in range(CONNECTIONS):
                gevent.spawn(connection).join()
                gevent.sleep(0)  # what has woken us up still refers to it
            assert len(set(addresses)) < CONNECTIONS, "no address came again, so nothing was tried"
            # At the end and not at once: which of them inherits depends on memory, not on the order.
            for finding in findings:
                raise finding

        yield [ada, bob]
        yield [in_turn]

    return program


PROGRAMS: dict[type[Hazard], Callable[[Site], Callable[[], Any]]] = {
    SharedObject: switching,
    KeepAlive: keep_alive,
    IdentReuse: ident_reuse,
}

BROKEN = [
    (hazard, name)
    for hazard in PROGRAMS
    for name in hazard.breaks
    # What one lane for all shows in every hazard, it shows here in the first.
    if hazard is SharedObject or name not in ONE_LANE
]
FIXED = [
    (hazard, strategy.name)
    for hazard in PROGRAMS
    for strategy in STRATEGIES
    if strategy.name not in hazard.breaks
]


def names(value: Any) -> str:
    return str(getattr(value, "name", value))


@pytest.mark.parametrize(("hazard", "name"), BROKEN, ids=names)
def test_a_broken_strategy_is_caught(hazard: Any, site: Site, every_order: "EveryOrder") -> None:
    """B1, B53, B55: some order shows the finding of the hazard; only for switching it needs a switch."""
    failure = every_order.fails(PROGRAMS[hazard](site))
    error = failure.problem.error
    assert failure.problem.kind == "exception"
    assert isinstance(error, FindingError)
    assert failure.fewest
    if hazard is SharedObject:
        assert error.kind in ("foreign", "torn", "missing")
        assert failure.switches >= 1
    else:
        assert error.kind == "stale"


@pytest.mark.parametrize(("hazard", "name"), FIXED, ids=names)
def test_a_strategy_holds_where_it_says_so(hazard: Any, site: Site, every_order: "EveryOrder") -> None:
    """B53, B54, B55: no order shows anything, by the very program that catches the others."""
    every_order.holds(PROGRAMS[hazard](site))
