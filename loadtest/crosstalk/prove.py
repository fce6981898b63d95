"""One proof, start to end: the controls, then the strategies that must hold, then the idle count.

Runs Locust as a library, one environment a part, against one server, so that a
control is caught in the same run as the verdict that leans on it. What comes back is
written into a history, and the verdict is drawn from that alone.
"""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

import gevent
from locust.env import Environment
from locust.html import get_html_report
from locust.stats import stats_history

from crosstalk import options
from crosstalk.checker import Checked, Left, Tally, check
from crosstalk.connections import SharedClientPool
from crosstalk.dooms import FATE, Dooms
from crosstalk.history import History, HistoryFile, read, spooled
from crosstalk.interrupts import put_off
from crosstalk.proof import Part, Settings, facts, header, role_of
from crosstalk.server import running_server
from crosstalk.site import CannotRun, Site
from crosstalk.users import TIMEOUT, Load, bound_user
from crosstalk.writing import check_written, writing


class UnknownStrategy(ValueError):  # noqa: N818 - names what is wrong
    """A strategy was asked for that the server does not list."""


Progress = Callable[[Part, float, Mapping[str, Tally]], None]
"""Is told, a few times a second: the part, how far it is (0 to 1), and the tallies."""


@dataclass(slots=True)
class Proof:
    """What a run has come to.

    Attributes:
        checked: what its history shows.
        html: Locust's own reports, by the name of the part.

    """

    checked: Checked
    html: dict[str, str]


@dataclass(slots=True)
class _Running:
    site: Site
    file: HistoryFile
    history: History
    progress: Progress
    parts: list[Part] = field(default_factory=list)
    html: dict[str, str] = field(default_factory=dict)


def run(settings: Settings, progress: Progress) -> Proof:
    """Run a proof and judge its history.

    Raises:
        CannotRun: there is no server, it cannot be probed, or the history cannot be written.
        UnknownStrategy: ``settings.strategies`` names one that the server lacks.

    """
    # Locust warns of spawn rates over 100 a second for the sake of response times,
    # which are not what is measured here.
    logging.getLogger("locust.runners").setLevel(logging.ERROR)
    with ExitStack() as stack:
        host = settings.host or stack.enter_context(running_server(2 * settings.users + 100))
        site = Site(host, settings.counts)
        strategies = site.strategies()
        site.counts()  # a server without metrics is told of now, not after the load
        if unknown := [name for name in settings.strategies if name not in strategies]:
            raise UnknownStrategy(f"no strategy {', '.join(unknown)}: the server has {', '.join(strategies)}")
        subjects = settings.strategies or tuple(
            name for name, strategy in strategies.items() if strategy.role == "subject"
        )
        others = {
            role: tuple(name for name in strategies if role_of(name, strategies, subjects) == role)
            for role in ("control", "observed")
        }
        path = stack.enter_context(spooled(settings.history))
        file = stack.enter_context(writing(path, header(settings, site.base, strategies, subjects)))
        running = _Running(site, file, History(settings.seed, file=file), progress)
        _load_controls(running, settings, others)
        _load_subjects(running, settings, subjects)
        idle, counts = site.at_idle()
        file.left(Left(idle.contexts, idle.entries, unknown=idle.unknown, processes=idle.processes))
        file.end(**facts(running.parts, counts))
        file.close()
        check_written(file)
        return Proof(check(lambda: read(path)), running.html)


def _load_controls(running: _Running, settings: Settings, others: dict[str, tuple[str, ...]]) -> None:
    pool = SharedClientPool(options.CONTROL_USERS, TIMEOUT)
    try:
        _run_part(
            running,
            Part("controls", others["control"] + others["observed"], options.CONTROL_USERS),
            Load(running.site.base, running.history, others, settings.hops, options.CONTROL_PAUSE, pool),
            options.CONTROL_DURATION,
            options.CONTROL_REQUESTS,
        )
    finally:
        pool.close()


def _load_subjects(running: _Running, settings: Settings, subjects: tuple[str, ...]) -> None:
    pool = SharedClientPool(settings.users, TIMEOUT)
    strategies = {"subject": subjects}
    dooms = Dooms(running.site.knows_fate(FATE))
    try:
        _run_part(
            running,
            Part("subjects", subjects, settings.users),
            Load(running.site.base, running.history, strategies, settings.hops, settings.pause, pool, dooms),
            settings.duration,
            settings.min_requests,
        )
    finally:
        pool.close()


def _run_part(running: _Running, part: Part, load: Load, duration: float, floor: int) -> None:
    """Load the part's strategies until its time is over and the floor met, or twice its time is over."""
    running.parts.append(part)
    if not part.strategies:
        return
    before = running.site.counts()
    environment = Environment(
        user_classes=[bound_user(load)],
        host=load.base,
        tags=[role for role, names in load.strategies.items() if names],
        stop_timeout=TIMEOUT,
    )
    with put_off():  # one that is half made complains when it is freed
        runner = environment.create_local_runner()
    statistics = gevent.spawn(stats_history, runner)
    started = time.monotonic()
    try:
        # Four seconds to full strength.
        runner.start(part.users, spawn_rate=max(part.users / 4, 10))
        _wait(running, part, duration, floor, started)
        load.end()
        runner.stop()  # lets each user finish its request, up to the stop timeout
        part.seconds = round(time.monotonic() - started, 1)
        running.history.fail_unanswered("no reply when the run had ended")
        running.html[part.name] = get_html_report(environment, show_download_link=False)
    finally:
        statistics.kill()
        environment.stop_timeout = 0
        runner.quit()
    try:
        after = running.site.counts()
    except CannotRun:
        return  # a server that died under load: its failed requests speak for themselves
    if after.idle.processes != before.idle.processes:
        return  # one of several has died or come
    part.requests = after.requests - before.requests
    part.connections = after.connections - before.connections


def _wait(running: _Running, part: Part, duration: float, floor: int, started: float) -> None:
    is_control = part.name == "controls"
    while True:
        elapsed = time.monotonic() - started
        tallies = {name: running.history.tally(name) for name in part.strategies}
        least = min(tally.requests for tally in tallies.values())
        enough = least >= floor
        share = min(1.0, least / floor) if is_control else min(elapsed / duration, 1.0)
        running.progress(part, share, tallies)
        check_written(running.file)
        if elapsed >= duration * (1 if is_control else 2):
            return
        if enough and (is_control or elapsed >= duration):
            return
        gevent.sleep(0.25)
