"""What these tests share: a program runs in every order, or in a sample of them.

``make test`` runs a sample of each program's orders, in seconds; ``make exhaustive``
(``pytest --every-order``) runs them all. Whatever a program is about, each of its
orders must end with nothing on the two stacks and as many pops as pushes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest
from gevent import sleep

from greenlane.app import App, app_stack, counts, g, request, request_stack
from greenlane.testing import interleave
from greenlane.testing.interleave import Exploration, Failure
from greenlane.testing.interleave.modes import Mode

Pause: TypeAlias = Callable[[], None]

SAMPLE = 40
"""Orders of each program that ``make test`` runs."""

SEARCH = 2_000
"""Orders in which ``make test`` looks for a failure that must be there, at most."""


@dataclass
class _Covered:
    """How much was run in all, for the summary."""

    every: bool
    orders: int = 0
    programs: int = 0


_COVERED = pytest.StashKey[_Covered]()


def _covered(config: pytest.Config) -> _Covered:
    return config.stash.setdefault(_COVERED, _Covered(config.getoption("every_order")))


class EveryOrder:
    """Runs programs in every order, or in a sample.

    Args:
        covered: where to count the orders.

    """

    def __init__(self, covered: _Covered) -> None:
        self._covered = covered
        self._turn = 0
        self._overlaps = 0

    def pause(self) -> None:
        """Let others go on; count it when somebody did who pauses too: proof of overlap."""
        self._turn += 1
        mine = self._turn
        sleep(0)
        self._overlaps += self._turn != mine

    def holds(self, program: Callable[[], Any], orders: int | None = None, **options: Any) -> None:
        """Check that no order fails, that some of them overlapped, and that nothing is left in any.

        Args:
            program: as for :func:`greenlane.testing.interleave.explore`.
            orders: how many there are, where a formula tells.
            options: the other arguments of ``explore``.

        """
        self._overlaps = 0
        every, some = interleave.exhaustive(), interleave.random(seed=1, runs=SAMPLE)
        mode: Mode = every if self._covered.every else some
        found = interleave.explore(_left_clean(program), mode, **{"max_schedules": 200_000} | options).check()
        assert self._overlaps, "in no order did anybody go on between two lines of another"
        assert found.covered is self._covered.every
        if self._covered.every and orders is not None:
            assert found.schedules == orders
        self._count(found)

    def fails(self, program: Callable[[], Any], **options: Any) -> Failure:
        """Check that some order fails, and return the smallest found.

        Args:
            program: as for :func:`greenlane.testing.interleave.explore`; what it
                leaves behind is its own matter.
            options: the other arguments of ``explore``.

        """
        every, some = interleave.exhaustive(), interleave.pct(seed=1, depth=3, runs=SEARCH)
        mode: Mode = every if self._covered.every else some
        found = interleave.explore(program, mode, **options)
        assert found.failure is not None, f"{found} But this program must fail."
        self._count(found)
        return found.failure

    def _count(self, found: Exploration) -> None:
        self._covered.orders += found.schedules
        self._covered.programs += 1


def _open() -> tuple[int, int]:
    """Return how many request and application contexts are pushed and not popped."""
    return counts.request_pushed - counts.request_popped, counts.app_pushed - counts.app_popped


def _left_clean(program: Callable[[], Any]) -> Callable[[], Any]:
    """Add to a program the check that every order ends as it began."""

    def checked() -> Any:
        before = _open()
        yield from program()
        assert _open() == before, "pushes and pops differ"
        for stack in (request_stack, app_stack):
            assert not stack.__storage__, f"left behind: {stack.__storage__!r}"

    return checked


@pytest.fixture
def every_order(pytestconfig: pytest.Config) -> EveryOrder:
    return EveryOrder(_covered(pytestconfig))


@pytest.fixture
def pause(every_order: EveryOrder) -> Pause:
    """The switch that programs use: without it they prove nothing."""
    return every_order.pause


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    covered = _covered(config)
    if covered.programs:
        how = "each in every order" if covered.every else "a sample; `make exhaustive` runs them all"
        terminalreporter.write_line(
            f"Orders: {covered.orders:,} of {covered.programs:,} programs ({how})", bold=True
        )


class Ledger:
    """Writes down which requests began and which ended, by path: each must do so once.

    Args:
        app: whose requests.

    """

    def __init__(self, app: App) -> None:
        self._app = app
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.apps_ended: list[str] = []
        app.before_request(self._begin)
        # The first registered is the last to run, so it sees what the others left.
        app.teardown_request(self._end)
        app.teardown_appcontext(self._end_app)

    def clear(self) -> None:
        """Forget the last order."""
        for each in (self.begun, self.ended, self.apps_ended):
            each.clear()

    def check(self) -> None:
        """Check that every request that began has ended, once, with its application context."""
        assert sorted(self.ended) == sorted(self.apps_ended) == sorted(self.begun)

    def _begin(self) -> None:
        assert not hasattr(g, "path"), f"{request.path} finds what {g.path} wrote"
        g.path = request.path
        self.begun.append(request.path)

    def _end(self, _exc: BaseException | None) -> None:
        assert g.path == request.path
        self.ended.append(request.path)

    def _end_app(self, _exc: BaseException | None) -> None:
        self.apps_ended.append(g.path)


@pytest.fixture
def make_app() -> Iterator[Callable[[str], App]]:
    """Make an App in testing mode, with a secret key and nothing said in its log."""
    made: list[App] = []

    def make(name: str) -> App:
        app = App(name)
        app.testing = True
        app.secret_key = "for tests only"
        app.logger.disabled = True
        made.append(app)
        return app

    yield make
    for app in made:
        app.logger.disabled = False


@pytest.fixture
def app(make_app: Callable[[str], App]) -> App:
    return make_app("shop")


@pytest.fixture
def ledger(app: App) -> Ledger:
    return Ledger(app)
