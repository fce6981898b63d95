"""One matrix, start to end: part after part, each loaded by Locust, judged in the end from what was recorded.

Runs Locust as a library, one environment a part, all against one server, and what some
hazards need beside it.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gevent
from locust.env import Environment

from crosstalk.checker import Cell, Checked, Header, Left, Tally, check
from crosstalk.connections import SharedClientPool
from crosstalk.history import History, HistoryFile, read, spooled
from crosstalk.interrupts import put_off
from crosstalk.matrix import servers
from crosstalk.matrix.exercises import CellLoad, bound_user
from crosstalk.matrix.leftovers import is_counted, left_of
from crosstalk.matrix.listing import VARIANTS, parse
from crosstalk.matrix.plan import Part, Plan, PlannedCell, make_plan
from crosstalk.matrix.progress import Progress
from crosstalk.matrix.results import OWN_SERVER, header_settings
from crosstalk.server import running_server
from crosstalk.site import CannotRun, Site
from crosstalk.users import TIMEOUT
from crosstalk.writing import check_written, writing

LEFT_PATIENCE = 3.0
"""Seconds that what is left may take to go, once the load has ended and its connections are closed."""

PART_PATIENCE = 20.0
"""Seconds without a reply from the cells that are not through, after which a part ends as it is."""

LONGEST_PART = 600.0
"""Seconds after which a part ends in any case."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a matrix is to do.

    Attributes:
        host: a running server's address; None to start one.
        counts: where the servers behind that address are counted; empty for there.
        only: patterns of the hazards or cells to measure; empty for all.
        floor: complete requests for each cell.
        users: users at once on each cell.
        seed: makes the nonces and the draws repeatable.
        hops: switches in each request.
        pause: milliseconds that each switch waits.
        history: where the history is kept; None to keep none.

    """

    host: str | None
    counts: tuple[str, ...]
    only: tuple[str, ...]
    floor: int
    users: int
    seed: int
    hops: int
    pause: int
    history: Path | None

    def as_document(self) -> dict[str, Any]:
        """Return what tells this measurement from another."""
        return {
            "server": self.host or OWN_SERVER,
            "floor": self.floor,
            "users": self.users,
            "hops": self.hops,
            "pause_ms": self.pause,
        }


def run(settings: Settings, progress: Progress) -> Checked:
    """Measure a matrix and have its history judged.

    Raises:
        CannotRun: there is no server, it lists no hazards, or the history cannot be written.
        NothingChosen: ``settings.only`` names no cell.

    """
    logging.getLogger("locust.runners").setLevel(logging.ERROR)  # it warns of quick starts
    with ExitStack() as stack:
        host = settings.host or stack.enter_context(running_server(MOST_CONNECTIONS))
        site = Site(host, settings.counts)
        listing = site.hazards()
        plan = make_plan(parse(listing), only=settings.only, host=settings.host)
        path = stack.enter_context(spooled(settings.history))
        with writing(path, _header(settings, site, listing, plan)) as file:
            history = History(settings.seed, file=file)
            progress.begin(plan)
            left: dict[str, int] = {}
            seconds: dict[str, float] = {}
            for part in plan.parts:
                started = time.monotonic()
                left |= _run_part(settings, site, history, file, part, progress)
                seconds[part.name] = round(time.monotonic() - started, 1)
                progress.done(part, {cell.key: history.tally(cell.key) for cell in part.cells})
            idle, _counts = site.at_idle(LEFT_PATIENCE)
            file.left(Left(idle.contexts, idle.entries, left, idle.unknown, idle.processes))
            file.end(seconds=seconds)
            file.close()
            check_written(file)
        progress.judging(file.probes)
        return check(lambda: read(path))


MOST_CONNECTIONS = 4_000
"""Connections that the server must be able to hold: far more than all users of a part."""


def _header(settings: Settings, site: Site, listing: Mapping[str, Any], plan: Plan) -> Header:
    counted = site.left()
    return Header(
        seed=settings.seed,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        command=tuple(sys.argv[1:]),
        settings=header_settings(settings.as_document(), site.base, listing, site.strategies()),
        cells={
            cell.key: Cell(
                role="variant",
                floor=settings.floor,
                counts_left=is_counted(cell, counted),
            )
            for cell in plan.cells
        },
    )


def _run_part(
    settings: Settings, site: Site, history: History, file: HistoryFile, part: Part, progress: Progress
) -> dict[str, int]:
    """Load a part's cells until each has been seen enough, and return what each had left at idle."""
    with ExitStack() as stack:
        loads = []
        for cell in part.cells:
            base = stack.enter_context(_server_for(cell, site.base))
            pool = SharedClientPool(settings.users, TIMEOUT)
            stack.callback(pool.close)
            loads.append(CellLoad(base, cell, history, settings.floor, settings.hops, settings.pause, pool))

        def tell(share: float) -> None:
            check_written(file)
            progress.update(part, _tallies(loads), share)

        _load(settings, loads, tell)
    history.fail_unanswered("no reply when the part had ended")
    return left_of(site, part.cells, LEFT_PATIENCE)


def _load(settings: Settings, loads: list[CellLoad], tell: Callable[[float], None]) -> None:
    environment = Environment(
        user_classes=[bound_user(load, settings.users) for load in loads],
        host=loads[0].base,
        stop_timeout=TIMEOUT,
    )
    with put_off():  # one that is half made complains when it is freed
        runner = environment.create_local_runner()
    users = settings.users * len(loads)
    try:
        runner.start(users, spawn_rate=users)
        _wait(settings.floor, loads, tell)
        for load in loads:
            load.ended = True
        runner.stop()  # lets each user finish its request, up to the stop timeout
    finally:
        environment.stop_timeout = 0
        runner.quit()


def _wait(floor: int, loads: list[CellLoad], tell: Callable[[float], None]) -> None:
    """Wait until each cell has been seen enough, as long as those that have not still answer."""
    end = time.monotonic() + LONGEST_PART
    answered, patience = -1, 0.0
    while True:
        counts = [tally.requests for tally in _tallies(loads).values()]
        tell(sum(min(1.0, count / floor) for count in counts) / len(counts))
        now, going_on = time.monotonic(), [count for count in counts if count < floor]
        if not going_on or now > end:
            return
        if sum(going_on) != answered:
            answered, patience = sum(going_on), now + PART_PATIENCE
        elif now > patience:
            return
        gevent.sleep(0.1)


def _tallies(loads: list[CellLoad]) -> dict[str, Tally]:
    return {load.cell.key: load.history.tally(load.cell.key) for load in loads}


@contextmanager
def _server_for(cell: PlannedCell, base: str) -> Iterator[str]:
    """Give the address where the cell is, and start what it needs beside the server under test."""
    match cell.hazard.own_server:
        case None:
            yield base
        case "late-patch":
            with servers.late_patch(cell.strategy) as address:
                yield address
        case "desync":
            with servers.desync(cell.strategy) as address:
                yield address
        case "cached-cookie":
            with servers.caching_proxy(base, "nginx" if servers.nginx() else "own") as address:
                yield address
        case "self-test":
            with servers.echo("bad" if cell.strategy not in VARIANTS else "good") as address:
                yield address
        case other:
            raise CannotRun(f"{other} is no server that this load test knows")
