"""What exploring costs, and how soon it finds a race.

First: all 34,650 orders of three requests of four steps each through the App, on
one core, beside the aim of a minute. Then: how many orders it takes to catch each
broken strategy of the demonstration, by random priorities (pct), by chance, and in
gevent's own order; on an easy program, and on one whose window is rare. Each figure
is measured anew, over as many seeds as asked for.
"""

import time
from collections.abc import Callable
from functools import partial
from math import ceil, factorial
from typing import NamedTuple

import click
import gevent
from gevent.queue import Queue
from greenlet import getcurrent
from rich import box
from rich.console import Console
from rich.table import Table

from greenlane.app import App, current_app, g, request
from greenlane.demo.keeper import FIELDS
from greenlane.demo.strategies import Strategy, make_strategies
from greenlane.testing import interleave
from greenlane.testing.interleave.modes import Mode
from greenlane.testing.interleave.run import Body

AIM = 60.0
"""Seconds in which all orders of three requests of four steps should be through."""

NAMES = ("ada", "bob", "cyd")
THREE_OF_FOUR = factorial(12) // factorial(4) ** 3

OTHERS = 4
"""Greenlets beside the two that race, or tasks and connections at once."""

STEPS = 10
RARER_STEPS = 14
"""Steps of each greenlet where the window is rare, and where it is rarer still."""

Program = Callable[[], Body]


class CrossTalkError(Exception):
    """A greenlet read what it had not written."""


def three_requests() -> Program:
    """Make the program of three requests of four steps, with a check through the proxies at each."""
    app = App("bench")
    app.testing = True

    @app.get("/<name>")
    def view(name: str) -> str:
        for step in range(4):
            g.name, g.step = name, step
            if step < 3:
                gevent.sleep(0)
            if (g.name, g.step, request.args["name"], current_app.name) != (name, step, name, "bench"):
                raise CrossTalkError
        return name

    visits = [interleave.request(app, f"/{name}?name={name}") for name in NAMES]

    def program() -> Body:
        yield visits

    return program


def two_requests(name: str) -> Program:
    """Two greenlets of four steps: each writes two fields, reads them back, and releases them."""

    def visit(strategy: Strategy, nonce: str) -> None:
        for field in FIELDS:
            strategy.write(field, nonce)
            gevent.sleep(0)
        _read_back(strategy, nonce)
        gevent.sleep(0)
        strategy.release()

    def program() -> Body:
        strategy = make_strategies()[name]
        yield [partial(visit, strategy, nonce) for nonce in NAMES[:2]]

    return program


def rare_window(name: str, steps: int = STEPS) -> Program:
    """Six greenlets, two of which race: one reads early, at its third step, what the other writes late.

    The late one writes at its last step but one, and releases at the last: it has to come
    so far while the early one stands between its second step and its third.
    """

    def early(strategy: Strategy) -> None:
        gevent.sleep(0)
        for field in FIELDS:
            strategy.write(field, "early")
        gevent.sleep(0)
        _read_back(strategy, "early")
        strategy.release()
        _wait(steps - 3)

    def late(strategy: Strategy) -> None:
        _wait(steps - 2)
        for field in FIELDS:
            strategy.write(field, "late")
        gevent.sleep(0)
        strategy.release()

    def program() -> Body:
        strategy = make_strategies()[name]
        yield [lambda: early(strategy), lambda: late(strategy), *[lambda: _wait(steps - 1)] * OTHERS]

    return program


def one_connection(name: str) -> Program:
    """Two requests on one connection, beside another connection: nothing is released between."""

    def connection(strategy: Strategy, *nonces: str) -> None:
        for nonce in nonces:
            _find_nothing(strategy)
            for field in FIELDS:
                strategy.write(field, nonce)
                gevent.sleep(0)

    def program() -> Body:
        strategy = make_strategies()[name]
        yield [lambda: connection(strategy, "ada", "bob"), lambda: connection(strategy, "cyd")]

    return program


def shared_workers(name: str) -> Program:
    """Four workers with four tasks of ten steps: it shows only where one worker gets two of them.

    In gevent's own order each worker has taken one by the time the first is done.
    """

    def worker(strategy: Strategy, tasks: "Queue[str]") -> None:
        while not tasks.empty():
            nonce = tasks.get()
            _find_nothing(strategy)
            for field in FIELDS:
                strategy.write(field, nonce)
            _wait(STEPS - 1)

    def program() -> Body:
        strategy = make_strategies()[name]
        tasks: Queue[str] = Queue()
        for nonce in range(OTHERS):
            tasks.put(str(nonce))
        yield [lambda: worker(strategy, tasks)] * OTHERS

    return program


def recycled_address(name: str) -> Program:
    """Four greenlets of ten steps; another one starts a fifth at the address of any that has ended.

    The others have to come to their end while the one that starts the fifth waits
    twice. Which address comes again is for the system to say, hence four of them.
    """

    def visit(strategy: Strategy, nonce: str) -> None:
        _find_nothing(strategy)
        for field in FIELDS:
            strategy.write(field, nonce)
        _wait(STEPS - 1)

    def accept(strategy: Strategy) -> None:
        addresses = [id(gevent.spawn(visit, strategy, str(number))) for number in range(OTHERS)]
        _wait(2)
        made = [gevent.Greenlet(visit, strategy, "heir") for _ in range(64)]
        heir = next((one for one in made if id(one) in addresses), made[0])
        heir.start()
        heir.get()

    def program() -> Body:
        strategy = make_strategies()[name]
        yield [lambda: accept(strategy)]

    return program


CASES: tuple[tuple[str, Callable[[str], Program], tuple[str, ...]], ...] = (
    ("two requests of 4 steps", two_requests, ("shared-object", "native-thread-local", "thread-ident")),
    ("6 of 10 steps, rare window", rare_window, ("shared-object", "native-thread-local", "thread-ident")),
    ("6 of 14 steps, rarer window", partial(rare_window, steps=RARER_STEPS), ("shared-object",)),
    ("one connection, 2 requests", one_connection, ("gevent-local", "contextvar", "local-unreleased")),
    ("4 workers, 4 tasks of 10 steps", shared_workers, ("gevent-local", "contextvar", "local-unreleased")),
    ("4 of 10 steps, an address again", recycled_address, ("id-reused",)),
)
"""What to find: the program in words, how to make it, and the strategies that it must catch."""


def _wait(steps: int) -> None:
    for _ in range(steps):
        gevent.sleep(0)


def _read_back(strategy: Strategy, nonce: str) -> None:
    read = strategy.read()
    if any(read[field] != nonce for field in FIELDS):
        raise CrossTalkError(f"{getcurrent()!r} wrote {nonce} and read {read}")


def _find_nothing(strategy: Strategy) -> None:
    found = strategy.found()
    if any(value is not None for value in found.values()):
        raise CrossTalkError(f"{getcurrent()!r} found {found}")


class Until(NamedTuple):
    """How many orders it took, by seed, in ascending order; None where the limit came first."""

    counts: list[int | None]

    def at(self, share: float) -> int | None:
        """Return the smallest number of orders that was enough for ``share`` of the seeds."""
        return self.counts[ceil(share * len(self.counts)) - 1]

    def in_words(self, limit: int) -> str:
        """Return how many were enough for half of the seeds, for 95 %, and for all."""
        counts = [self.at(share) for share in (0.5, 0.95, 1.0)]
        return " / ".join(f"> {limit:,}" if count is None else f"{count:,}" for count in counts)


def orders_until(program: Program, mode: Mode) -> int | None:
    """Return how many orders it took to catch the strategy, or None if the mode ended first.

    Raises:
        RuntimeError: the program fails otherwise than by cross-talk.

    """
    found = interleave.explore(program, mode, max_shrinks=0)
    if found.failure is None:
        return None
    if not isinstance(found.failure.problem.error, CrossTalkError):
        raise RuntimeError(str(found))
    return found.schedules


def over_seeds(program: Program, make: Callable[[int], Mode], seeds: int) -> Until:
    """Measure with each seed."""
    counts = [orders_until(program, make(seed)) for seed in range(seeds)]
    return Until(sorted(counts, key=lambda count: (count is None, count or 0)))


def run_all_orders(console: Console) -> None:
    """Print how long all orders of three requests of four steps take."""
    program = three_requests()
    wall, cpu = time.perf_counter(), time.process_time()
    found = interleave.explore(program).check()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if found.schedules != THREE_OF_FOUR:
        raise RuntimeError(f"{found.schedules:,} orders instead of {THREE_OF_FOUR:,}")
    verdict = "reached" if wall < AIM else "not reached"
    console.print(
        f"All {found.schedules:,} orders of three requests of four steps: {wall:.1f} s, "
        f"{cpu:.1f} s of them on the one core ({wall / found.schedules * 1e6:,.0f} us an order). "
        f"The aim of {AIM:g} s: {verdict}."
    )


def run_searches(console: Console, seeds: int, depth: int, limit: int) -> None:
    """Print how many orders it takes to catch each broken strategy."""
    console.print(f"\nOrders until caught, over {seeds:,} seeds: the median / of 95 % / the worst.")
    columns = (f"pct of depth {depth}", "random", "gevent's order")
    for words, make, names in CASES:
        table = Table(title=words, title_justify="left", box=box.SIMPLE)
        table.add_column("strategy", min_width=20)
        for column in columns:
            table.add_column(column, justify="right", min_width=16)
        for name in names:
            program = make(name)
            by_pct = over_seeds(program, lambda seed: interleave.pct(seed, depth, limit), seeds)
            by_chance = over_seeds(program, lambda seed: interleave.random(seed, limit), seeds)
            own = "never" if orders_until(program, interleave.gevent_order()) is None else "at once"
            table.add_row(name, by_pct.in_words(limit), by_chance.in_words(limit), own)
        console.print(table)


@click.command(help=__doc__)
@click.option("--seeds", type=click.IntRange(1), default=200, show_default=True, help="How often to search.")
@click.option(
    "--depth", type=click.IntRange(1), default=3, show_default=True, help="How many orderings a bug may need."
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=2000,
    show_default=True,
    help="Orders after which a search ends.",
)
@click.option("--all-orders/--no-all-orders", default=True, help="Run the 34,650 orders, too.")
def main(seeds: int, depth: int, limit: int, all_orders: bool) -> None:
    """Print the figures."""
    console = Console()
    if all_orders:
        run_all_orders(console)
    run_searches(console, seeds, depth, limit)


if __name__ == "__main__":
    main()
