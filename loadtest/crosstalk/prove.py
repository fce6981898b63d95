"""One proof, start to end: the controls, then the strategies that must hold, then the idle count.

Runs Locust as a library, one environment a part, against one server, so that a
control is caught in the same run as the verdict that leans on it.
"""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack

import gevent
from locust.env import Environment
from locust.html import get_html_report
from locust.stats import stats_history

from crosstalk import options
from crosstalk.connections import SharedClientPool
from crosstalk.history import History, Tally
from crosstalk.proof import Part, Proof, Settings, judge
from crosstalk.server import running_server
from crosstalk.site import CannotRun, Site
from crosstalk.users import TIMEOUT, Load, bound_user


class UnknownStrategy(ValueError):  # noqa: N818 - names what is wrong
    """A strategy was asked for that the server does not list."""


Progress = Callable[[Part, float, Mapping[str, Tally]], None]
"""Is told, a few times a second: the part, how far it is (0 to 1), and the tallies."""


def run(settings: Settings, progress: Progress) -> Proof:
    """Run a proof and judge it.

    Raises:
        CannotRun: there is no server, or it cannot be probed.
        UnknownStrategy: ``settings.strategies`` names one that the server lacks.

    """
    # Locust warns of spawn rates over 100 a second for the sake of response times,
    # which are not what is measured here.
    logging.getLogger("locust.runners").setLevel(logging.ERROR)
    with ExitStack() as stack:
        host = settings.host or stack.enter_context(running_server(2 * settings.users + 100))
        site = Site(host)
        proof = _plan(settings, site)
        others = {
            role: tuple(name for name in proof.strategies if proof.role(name) == role)
            for role in ("control", "observed")
        }
        control_pool = SharedClientPool(options.CONTROL_USERS, TIMEOUT)
        stack.callback(control_pool.close)
        _run_part(
            proof,
            site,
            Part("controls", others["control"] + others["observed"], options.CONTROL_USERS),
            Load(site.base, proof.history, others, settings.hops, options.CONTROL_PAUSE, control_pool),
            options.CONTROL_DURATION,
            options.CONTROL_REQUESTS,
            progress,
        )
        control_pool.close()
        pool = SharedClientPool(settings.users, TIMEOUT)
        stack.callback(pool.close)
        _run_part(
            proof,
            site,
            Part("subjects", proof.subjects, settings.users),
            Load(site.base, proof.history, {"subject": proof.subjects}, settings.hops, settings.pause, pool),
            settings.duration,
            settings.min_requests,
            progress,
        )
        pool.close()
        idle, proof.counts = site.at_idle()
    judge(proof, idle)
    return proof


def _plan(settings: Settings, site: Site) -> Proof:
    strategies = site.strategies()
    site.counts()  # a server without metrics is told of now, not after the load
    if unknown := [name for name in settings.strategies if name not in strategies]:
        raise UnknownStrategy(f"no strategy {', '.join(unknown)}: the server has {', '.join(strategies)}")
    subjects = settings.strategies or tuple(
        name for name, strategy in strategies.items() if strategy.role == "subject"
    )
    return Proof(settings, site.base, strategies, subjects, History(settings.seed))


def _run_part(
    proof: Proof, site: Site, part: Part, load: Load, duration: float, floor: int, progress: Progress
) -> None:
    """Load the part's strategies until its time is over and the floor met, or twice its time is over."""
    proof.parts.append(part)
    if not part.strategies:
        return
    before = site.counts()
    environment = Environment(
        user_classes=[bound_user(load)],
        host=proof.host,
        tags=[role for role, names in load.strategies.items() if names],
        stop_timeout=TIMEOUT,
    )
    runner = environment.create_local_runner()
    history = gevent.spawn(stats_history, runner)
    started = time.monotonic()
    try:
        # Four seconds to full strength.
        runner.start(part.users, spawn_rate=max(part.users / 4, 10))
        _wait(proof, part, duration, floor, started, progress)
        runner.stop()  # lets each user finish its request, up to the stop timeout
        part.seconds = time.monotonic() - started
        proof.history.fail_unanswered("no reply when the run had ended")
        part.html = get_html_report(environment, show_download_link=False)
    finally:
        history.kill()
        environment.stop_timeout = 0
        runner.quit()
    try:
        after = site.counts()
    except CannotRun:
        return  # a server that died under load: its failed requests speak for themselves
    part.requests = after.requests - before.requests
    part.connections = after.connections - before.connections


def _wait(proof: Proof, part: Part, duration: float, floor: int, started: float, progress: Progress) -> None:
    is_control = part.name == "controls"
    while True:
        elapsed = time.monotonic() - started
        tallies = {name: proof.tally(name) for name in part.strategies}
        least = min(tally.requests for tally in tallies.values())
        enough = least >= floor
        share = min(1.0, least / floor) if is_control else min(elapsed / duration, 1.0)
        progress(part, share, tallies)
        if elapsed >= duration * (1 if is_control else 2):
            return
        if enough and (is_control or elapsed >= duration):
            return
        gevent.sleep(0.25)
