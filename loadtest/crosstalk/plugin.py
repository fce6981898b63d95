"""Plain Locust: what ``locust -f loadtest/locustfile.py`` needs beside the users.

Adds options to Locust's command line, learns the strategies when a test starts, and
judges it when it has stopped: in one process, or in a master for all its workers. The
verdict sets Locust's exit code, as that of ``crosstalk prove``.
"""

import logging
import secrets
from argparse import ArgumentParser
from typing import Any

import gevent
from locust import events
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner
from rich.console import Console

from crosstalk import webtab
from crosstalk.checker import Checker
from crosstalk.connections import SharedClientPool
from crosstalk.distributed import Master, Worker
from crosstalk.dooms import FATE, Dooms
from crosstalk.history import History
from crosstalk.options import HOPS, PAUSE
from crosstalk.preflight import CANNOT_RUN
from crosstalk.proof import Settings
from crosstalk.report import show
from crosstalk.running import Run, strategies_by_role
from crosstalk.site import ROLES, CannotRun, Site
from crosstalk.users import TIMEOUT, Load, ProbeUser

logger = logging.getLogger("crosstalk")

CONNECTIONS = 65_535
"""Connections that users may share: no limit, since one address has no more ports to give to one server."""

MIN_REQUESTS = 1_000
"""The floor: lower than a proof's, since Locust's users and time are the user's to choose."""


def install(user_class: type[ProbeUser]) -> None:
    """Have Locust's events prepare ``user_class``, and judge what it did."""
    plugin = _Plugin(user_class)
    events.init_command_line_parser.add_listener(_add_options)
    events.init.add_listener(plugin.init)
    events.test_start.add_listener(plugin.start)
    events.test_stopping.add_listener(plugin.stopping)
    events.test_stop.add_listener(plugin.stop)


class _Plugin:
    """What one process keeps from one event of Locust to the next."""

    def __init__(self, user_class: type[ProbeUser]) -> None:
        self._user_class = user_class
        self._master: Master | None = None
        self._worker: Worker | None = None
        self._load: Load | None = None
        self._run: Run | None = None
        self._stop_timeout: float | None = None

    def init(self, environment: Environment, **_: Any) -> None:
        runner = environment.runner
        if isinstance(runner, WorkerRunner):
            self._worker = Worker(environment, runner)
        else:
            _leave_observed_out(environment)
        if isinstance(runner, MasterRunner):
            self._master = Master(environment, runner)
        if environment.web_ui is not None:
            webtab.install(environment.web_ui, self._state)
        # Here, after the runner's own, so that in Locust's reversed order it comes before that.
        environment.events.quitting.add_listener(self._quitting)

    def start(self, environment: Environment, **_: Any) -> None:
        # The web UI runs one test after another: nothing of the last one counts.
        environment.process_exit_code = None
        self._load = self._run = None
        if hasattr(self._user_class, "load"):
            del self._user_class.load
        options: Any = environment.parsed_options
        try:
            if self._worker is None:
                options.crosstalk_seed = _seed(options.seed)  # the workers get the options, and so the seed
                self._run = self._begin(environment)
            if self._master is None:
                self._load = self._user_class.load = _load(environment)
        except CannotRun as error:
            logger.error("%s", error)
            environment.process_exit_code = CANNOT_RUN
            if environment.web_ui is None:
                gevent.spawn(environment.runner.quit)  # type: ignore[union-attr]  # there is one: it starts
            if self._worker is None:
                raise gevent.GreenletExit from None  # ends the greenlet that would make the users now
        if self._worker is not None and self._load is not None:
            self._worker.begin(options.crosstalk_run, self._load.history)

    def _begin(self, environment: Environment) -> Run:
        options: Any = environment.parsed_options
        run = Run(_site(environment), _settings(environment), _roles(environment), self._checker)
        options.crosstalk_run = run.name
        if self._master is not None:
            self._master.begin(run.name)
        return run

    def _checker(self) -> Checker:
        if self._master is not None:
            return self._master.checker()
        return self._load.history.checker if self._load is not None else Checker()

    def stopping(self, environment: Environment, **_: Any) -> None:
        if self._master is not None:
            self._master.finish()
        if self._load is not None:
            self._load.end()
        if self._stop_timeout is None:
            # A request that is cut off proves nothing, and its server is still at it.
            self._stop_timeout = environment.stop_timeout
            environment.stop_timeout = max(environment.stop_timeout, TIMEOUT)

    def stop(self, environment: Environment, **_: Any) -> None:
        if self._stop_timeout is not None:
            environment.stop_timeout, self._stop_timeout = self._stop_timeout, None
        if self._load is not None:
            self._load.end()  # for users that a late message makes
            self._load.history.fail_unanswered("no reply when the run had ended")
            self._load.pool.close()
        if self._run is None or self._run.final:
            return
        self._run.end(self._master.cut() if self._master is not None else None)
        if self._run.exit_code is not None:
            environment.process_exit_code = self._run.exit_code
        show(self._run.checked(), Console(stderr=True))

    def _quitting(self, environment: Environment, **_: Any) -> None:
        if self._worker is not None:
            self._worker.end()
        elif environment.runner is not None and self._run is not None:
            environment.runner.stop()

    def _state(self) -> dict[str, Any]:
        workers = self._master.state() if self._master is not None else []
        if self._run is None:
            return {"final": False, "verdict": None, "reasons": [], "strategies": [], "workers": workers}
        return self._run.state() | {"workers": workers}


def _add_options(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("Crosstalk")
    group.add_argument(
        "--strategy",
        action="append",
        metavar="NAME",
        env_var="CROSSTALK_STRATEGY",
        help="a strategy that must hold (may be repeated); by default those that the server names",
    )
    group.add_argument("--hops", type=int, default=HOPS, help=f"switches in each request (default: {HOPS})")
    group.add_argument(
        "--pause", type=int, default=PAUSE, help=f"milliseconds that a switch waits (default: {PAUSE})"
    )
    group.add_argument("--seed", type=int, help="makes the nonces repeatable (default: a random one)")
    group.add_argument(
        "--min-requests",
        type=int,
        default=MIN_REQUESTS,
        help=f"complete requests for each strategy that must hold (default: {MIN_REQUESTS})",
    )
    group.add_argument(
        "--counts",
        action="append",
        metavar="URL",
        env_var="CROSSTALK_COUNTS",
        help="where the servers behind a balancer are counted: each address that the name has is one server"
        " (may be repeated; default: --host)",
    )


def _leave_observed_out(environment: Environment) -> None:
    options = environment.parsed_options
    if options is not None and not options.tags and not options.exclude_tags:
        # For this process, and for the workers, who get the options.
        environment.exclude_tags = options.exclude_tags = ["observed"]


def _roles(environment: Environment) -> frozenset[str]:
    """Return the roles that Locust's tags let users load."""
    options: Any = environment.parsed_options
    tags, excluded = options.tags or ROLES, options.exclude_tags or ()
    return frozenset(role for role in ROLES if role in tags and role not in excluded)


def _site(environment: Environment) -> Site:
    options: Any = environment.parsed_options
    return Site(environment.host or "", _names(options.counts))


def _settings(environment: Environment) -> Settings:
    options: Any = environment.parsed_options
    return Settings(
        host=environment.host,
        users=options.num_users or 1,
        duration=float(options.run_time or 0),
        min_requests=options.min_requests,
        strategies=tuple(_names(options.strategy)),
        seed=options.crosstalk_seed,
        hops=options.hops,
        pause=options.pause,
    )


def _load(environment: Environment) -> Load:
    options: Any = environment.parsed_options
    site = _site(environment)
    by_role, _subjects = strategies_by_role(site.strategies(), tuple(_names(options.strategy)))
    seed, prefix = options.crosstalk_seed, ""
    if isinstance(environment.runner, WorkerRunner):
        # Several workers with one seed would issue the same nonces, and be blind to each other's.
        index = environment.runner.worker_index
        seed, prefix = seed + 1 + index, f"w{index}-"
    roles = _roles(environment)
    return Load(
        site.base,
        History(seed, prefix=prefix),
        {role: names for role, names in by_role.items() if role in roles},
        options.hops,
        options.pause,
        SharedClientPool(CONNECTIONS, TIMEOUT),
        dooms=Dooms(site.knows_fate(FATE)),
        # Beside the subjects they are there to be caught; alone, to be looked at.
        expected=frozenset(by_role["control"] if "subject" in roles else ()),
    )


# The form of the web UI gives the options as text, and those left empty as "".


def _names(given: str | list[str] | None) -> list[str]:
    texts = [given] if isinstance(given, str) else given or []
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


def _seed(given: str | int | None) -> int:
    if given is None or given == "":
        return secrets.randbits(32)
    try:
        return int(given)
    except ValueError:
        raise CannotRun(f"{given!r} is no seed: it takes a whole number") from None
