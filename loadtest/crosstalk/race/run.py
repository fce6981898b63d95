"""One race, start to end: asks the server what there is, loads the cells by Locust, and judges them.

Runs Locust as a library. Exactly as many requests are issued as were asked for, and the load
ends with the last of them: somebody looks on.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from gevent.event import Event
from locust.env import Environment

from crosstalk.checker import Judgement, Left, Probe, Tally
from crosstalk.connections import SharedClientPool
from crosstalk.history import History, Request
from crosstalk.interrupts import put_off
from crosstalk.matrix.exercises import CellLoad, bound_user
from crosstalk.matrix.leftovers import is_counted, left_of
from crosstalk.matrix.listing import parse
from crosstalk.race.plan import Entry, Race, make_race
from crosstalk.race.spectator import Result, Settings, Spectator
from crosstalk.race.verdict import gravest, judge
from crosstalk.site import Counts, Site
from crosstalk.users import TIMEOUT

LEFT_PATIENCE = 1.0
"""Seconds that what is left may take to go, once the load has ended and its connections are closed."""

PATIENCE = 10.0
"""Seconds without any reply, beside what one request may take at most, after which a race ends as it is."""

ENDING = 1.0
"""Seconds that users may take to see that there is nothing left to do."""

WAY = 3.0
"""How often a request waits for a switch, at most, for each of its checkpoints, with pauses that vary."""


def run(settings: Settings, spectator: Spectator) -> Result:
    """Race, and judge what came back.

    Raises:
        CannotRun: there is no server, or it lists no hazards, or its metrics cannot be read.
        CannotRace: ``settings.cells`` cannot be raced.

    """
    # It warns of quick starts, for the sake of response times, which are not what is measured here.
    logging.getLogger("locust.runners").setLevel(logging.ERROR)
    site = Site(settings.host)
    race = make_race(
        parse(site.hazards()),
        settings.cells,
        requests=settings.requests,
        at_once=settings.at_once,
        host=site.base,
    )
    left_before = _left_before(site, race)
    before = site.counts()
    spectator.begin(settings, race)
    course = _Course(settings, race, spectator)
    started = time.monotonic()
    for entries in [race.all] if race.together else [(entry,) for entry in race.all]:
        course.load(site.base, entries)
    seconds = time.monotonic() - started
    left = _left(site, race, before, left_before)
    raced = judge(race, course.tallies, left, _counted(race, left_before))
    result = Result(round(seconds, 3), raced, gravest(race, raced))
    spectator.end(result)
    return result


class _Course:
    """Where a race is run: counts what is still to come.

    Args:
        settings: of the race.
        race: what is raced.
        spectator: is told of each request.

    """

    def __init__(self, settings: Settings, race: Race, spectator: Spectator) -> None:
        self._settings = settings
        self._race = race
        self._spectator = spectator
        self._history = History(settings.seed, listener=self._ended)
        self._awaited = 0
        self._answered = Event()
        self._patience = PATIENCE + WAY * (settings.hops + 1) * settings.pause / 1000

    @property
    def tallies(self) -> dict[str, Tally]:
        """What the requests of each cell came to."""
        return {entry.cell.key: self._history.tally(entry.cell.key) for entry in self._race.all}

    def load(self, base: str, entries: Sequence[Entry]) -> None:
        """Load ``entries`` at once, until the last of their requests has ended."""
        self._awaited = sum(entry.requests for entry in entries)
        with ExitStack() as stack:
            loads = []
            for entry in entries:
                pool = SharedClientPool(entry.users, TIMEOUT)
                stack.callback(pool.close)
                loads.append(self._load(base, entry, pool))
            environment = Environment(
                user_classes=[
                    bound_user(load, entry.users) for load, entry in zip(loads, entries, strict=True)
                ],
                host=base,
            )
            with put_off():  # one that is half made complains when it is freed
                runner = environment.create_local_runner()
            users = sum(entry.users for entry in entries)
            try:
                runner.start(users, spawn_rate=users)
                self._wait()
                # Locust has a word to say of each that it would have to stop while it ends by itself.
                runner.user_greenlets.join(timeout=ENDING)
            finally:
                for load in loads:
                    load.ended = True
                runner.quit()
        self._history.fail_unanswered("no reply when the race had ended")

    def _load(self, base: str, entry: Entry, pool: SharedClientPool) -> CellLoad:
        return CellLoad(
            base,
            entry.cell,
            self._history,
            entry.requests,
            self._settings.hops,
            self._settings.pause,
            pool,
            most=entry.requests,
        )

    def _ended(self, request: Request, probe: Probe, judgement: Judgement | None) -> None:
        self._awaited -= 1
        self._spectator.request(request, probe, judgement)
        self._answered.set()

    def _wait(self) -> None:
        """Wait for the last request, as long as any come."""
        while self._awaited and self._answered.wait(self._patience):
            self._answered.clear()


def _left_before(site: Site, race: Race) -> dict[str, int]:
    """Return what each cell of the hazard has left, where that belongs to a finding."""
    return site.left() if any(entry.cell.hazard.counts_left for entry in race.all) else {}


def _counted(race: Race, left_before: Mapping[str, int]) -> frozenset[str]:
    """Return the cells whose leftovers belong to their finding."""
    return frozenset(entry.cell.key for entry in race.all if is_counted(entry.cell, left_before))


def _left(site: Site, race: Race, before: Counts, left_before: Mapping[str, int]) -> Left:
    idle, _counts = site.at_idle(LEFT_PATIENCE, before)
    left = left_of(site, [entry.cell for entry in race.all], LEFT_PATIENCE, left_before)
    return Left(idle.contexts, idle.entries, left, idle.unknown, idle.processes)
