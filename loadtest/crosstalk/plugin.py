"""Plain Locust: what ``locust -f loadtest/locustfile.py`` needs beside the users.

Adds options to Locust's command line, learns the strategies when a test starts,
loads the subjects unless tags say otherwise, and sets Locust's exit code.
"""

import logging
import secrets
from argparse import ArgumentParser
from typing import Any

import gevent
from locust import events
from locust.env import Environment
from locust.runners import LocalRunner

from crosstalk.checker import Verdict
from crosstalk.connections import SharedClientPool
from crosstalk.history import History
from crosstalk.options import HOPS, PAUSE
from crosstalk.site import ROLES, CannotRun, Site
from crosstalk.users import TIMEOUT, Load, ProbeUser

logger = logging.getLogger("crosstalk")

CANNOT_RUN = 14
"""The exit code when there is no server to load, as of ``crosstalk prove``."""

CONNECTIONS = 65_535
"""Connections that users may share: no limit, since one address has no more ports to give to one server."""


def install(user_class: type[ProbeUser]) -> None:
    """Have Locust's events prepare ``user_class``, and judge what it did."""
    events.init_command_line_parser.add_listener(_add_options)
    events.init.add_listener(_leave_broken_strategies_out)

    def start(environment: Environment, **_: Any) -> None:
        # The web UI runs one test after another: nothing of the last one counts.
        environment.process_exit_code = None
        if hasattr(user_class, "load"):
            del user_class.load
        try:
            user_class.load = _load(environment)
        except CannotRun as error:
            logger.error("%s", error)
            environment.process_exit_code = CANNOT_RUN
            if environment.web_ui is None:
                gevent.spawn(environment.runner.quit)  # type: ignore[union-attr]  # there is one: it starts
            if isinstance(environment.runner, LocalRunner):
                raise gevent.GreenletExit from None  # ends the greenlet that would make the users now

    def stop(**_: Any) -> None:
        if hasattr(user_class, "load"):
            user_class.load.pool.close()

    def end(environment: Environment, **_: Any) -> None:
        if hasattr(user_class, "load"):
            _set_exit_code(environment, user_class.load.history)

    events.test_start.add_listener(start)
    events.test_stop.add_listener(stop)
    events.quitting.add_listener(end)


def _add_options(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("Crosstalk")
    group.add_argument(
        "--strategy",
        action="append",
        metavar="NAME",
        env_var="CROSSTALK_STRATEGY",
        help="load this strategy (may be repeated); by default all those that must hold",
    )
    group.add_argument("--hops", type=int, default=HOPS, help=f"switches in each request (default: {HOPS})")
    group.add_argument(
        "--pause", type=int, default=PAUSE, help=f"milliseconds that a switch waits (default: {PAUSE})"
    )
    group.add_argument("--seed", type=int, help="makes the nonces repeatable (default: a random one)")


def _leave_broken_strategies_out(environment: Environment, **_: Any) -> None:
    options = environment.parsed_options
    if options is not None and not options.tags and not options.exclude_tags:
        environment.exclude_tags = [role for role in ROLES if role != "subject"]


def _load(environment: Environment) -> Load:
    options: Any = environment.parsed_options
    site = Site(environment.host or "")
    listed = site.strategies()
    if chosen := _names(options.strategy):
        if unknown := [name for name in chosen if name not in listed]:
            raise CannotRun(f"no strategy {', '.join(unknown)}; there are: {', '.join(listed)}")
        strategies = dict.fromkeys(ROLES, tuple(chosen))
    else:
        strategies = {
            role: tuple(name for name, each in listed.items() if each.role == role) for role in ROLES
        }
    # Several workers with one seed would issue the same nonces, and be blind to each other's.
    history = History(_seed(options.seed) + getattr(environment.runner, "worker_index", 0))
    pool = SharedClientPool(CONNECTIONS, TIMEOUT)
    return Load(site.base, history, strategies, options.hops, options.pause, pool)


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


def _set_exit_code(environment: Environment, history: History) -> None:
    requests = cross_talk = 0
    for name, tally in sorted(history.tallies.items()):
        requests += tally.requests
        cross_talk += tally.cross_talk
        checks = ", ".join(f"{count:,} {check.value}" for check, count in tally.checks.items())
        logger.info(
            "%s: %s requests (%s met data not their own), checks: %s",
            name,
            f"{tally.requests:,}",
            f"{tally.cross_talk:,}",
            checks or "none",
        )
    if cross_talk:
        environment.process_exit_code = Verdict.CROSS_TALK.exit_code
    elif not requests and not environment.stats.total.num_requests:
        # Locust itself exits 0 when nothing was sent at all. (A master sends nothing and
        # has its workers' figures.)
        environment.process_exit_code = Verdict.INCONCLUSIVE.exit_code
