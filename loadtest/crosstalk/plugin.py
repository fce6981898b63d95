"""Plain Locust: what ``locust -f loadtest/locustfile.py`` needs beside the users.

Adds options to Locust's command line, learns the strategies when a test starts,
loads the subjects unless tags say otherwise, and sets Locust's exit code.
"""

import logging
import secrets
from argparse import ArgumentParser
from typing import Any

from locust import events
from locust.env import Environment

from crosstalk.connections import SharedClientPool
from crosstalk.history import History
from crosstalk.options import HOPS, PAUSE, USERS
from crosstalk.site import ROLES, CannotRun, Site
from crosstalk.users import TIMEOUT, Load, ProbeUser
from crosstalk.verdict import Verdict

logger = logging.getLogger("crosstalk")

CANNOT_RUN = 14
"""The exit code when there is no server to load, as of ``crosstalk prove``."""


def install(user_class: type[ProbeUser]) -> None:
    """Have Locust's events prepare ``user_class``, and judge what it did."""
    events.init_command_line_parser.add_listener(_add_options)
    events.init.add_listener(_leave_broken_strategies_out)

    def start(environment: Environment, **_: Any) -> None:
        try:
            user_class.load = _load(environment)
        except CannotRun as error:
            logger.error("%s", error)
            environment.process_exit_code = CANNOT_RUN
            if environment.runner is not None and not environment.web_ui:
                environment.runner.quit()

    def end(environment: Environment, **_: Any) -> None:
        load = getattr(user_class, "load", None)
        if load is not None:
            _set_exit_code(environment, load.history)
            load.pool.close()

    events.test_start.add_listener(start)
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
    listed = Site(environment.host or "").strategies()
    if chosen := options.strategy:
        if unknown := [name for name in chosen if name not in listed]:
            raise CannotRun(f"no strategy {', '.join(unknown)}; there are: {', '.join(listed)}")
        strategies = dict.fromkeys(ROLES, tuple(chosen))
    else:
        strategies = {
            role: tuple(name for name, each in listed.items() if each.role == role) for role in ROLES
        }
    seed = secrets.randbits(32) if options.seed is None else options.seed
    users = max(options.num_users or 0, USERS)
    return Load(History(seed), strategies, options.hops, options.pause, SharedClientPool(users, TIMEOUT))


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
    elif not requests:
        # Locust itself exits 0 when nothing was sent at all.
        environment.process_exit_code = Verdict.INCONCLUSIVE.exit_code
