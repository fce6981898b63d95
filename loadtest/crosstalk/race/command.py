"""``crosstalk race``: the command."""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
import gevent
from gevent.socket import wait_read

from crosstalk import options
from crosstalk.arguments import hops_option, pause_option, seed_option
from crosstalk.endings import told_in_a_line
from crosstalk.interrupts import interruptible
from crosstalk.preflight import CANNOT_RUN, check_descriptors
from crosstalk.race.lines import Lines
from crosstalk.race.plan import CannotRace
from crosstalk.race.spectator import Settings
from crosstalk.site import CannotRun


@click.command()
@click.option("--host", required=True, metavar="URL", help="A running server, such as http://127.0.0.1:8000.")
@click.option(
    "--cell",
    "cells",
    multiple=True,
    required=True,
    metavar="HAZARD/STRATEGY",
    help="What to race, such as shared-object/local or keep-alive/broken; twice for two side by side.",
)
@click.option(
    "--requests",
    type=click.IntRange(1, options.RACE_MOST_REQUESTS),
    default=options.RACE_REQUESTS,
    show_default=True,
    help="Requests of each cell: exactly as many are sent.",
)
@click.option(
    "--at-once",
    type=click.IntRange(1, options.RACE_MOST_AT_ONCE),
    help="Requests of each cell at the same time. By default a quarter of them, and two at least.",
)
@hops_option(options.RACE_HOPS, most=options.RACE_MOST_HOPS)
@pause_option(options.RACE_PAUSE, least=1)
@seed_option
@click.option(
    "--lines",
    is_flag=True,
    help="Write lines of JSON, each as soon as it is known, for another program. "
    "The race ends when its standard input does.",
)
def race(lines: bool, at_once: int | None, **given: Any) -> None:
    """Race one or two strategies in a hazard, request by request.

    Where none of them is known to be broken, the broken variant is raced beside them: what holds
    is called isolated only where that was caught.

    \b
    Exit codes, by the gravest verdict on what was asked for:
      0    ISOLATED      no request met data that was not its own, and what is broken was caught
      10   CROSS-TALK    a request met data that was not its own
      11   LEAK          entries or contexts were left at idle
      12   BLIND         what is known to be broken went uncaught
      13   INCONCLUSIVE  no overlap, or requests without a reply
      14   there was no race
      2    wrong usage
      130  interrupted
    """  # noqa: D301 - click wants the backspace character itself
    if len(given["cells"]) > options.RACE_MOST_CELLS:
        raise click.BadParameter(
            f"at most {options.RACE_MOST_CELLS} are raced side by side", param_hint="--cell"
        )
    requests = given["requests"]
    at_once = at_once or min(max(2, requests // 4), options.RACE_MOST_AT_ONCE, requests)
    if at_once > requests:
        raise click.BadParameter(f"at most as many as there are requests, {requests}", param_hint="--at-once")
    check_descriptors(at_once * (options.RACE_MOST_CELLS + 1))
    settings = Settings(at_once=at_once, **given)
    try:
        with told_in_a_line(CannotRun), interruptible():
            code = _in_lines(settings) if lines else _for_a_person(settings)
    finally:
        # All that Locust is made of would be looked through once more for what can be freed.
        gc.freeze()
    sys.exit(code)


def _for_a_person(settings: Settings) -> int:
    """Race for somebody who looks on, and return the exit code."""
    # Here and not above: Locust takes long to import, and until then a race can be interrupted already.
    from crosstalk.race.show import watch

    try:
        return watch(settings).exit_code
    except CannotRace as error:
        raise click.BadParameter(str(error), param_hint="--cell") from None


def _in_lines(settings: Settings) -> int:
    """Race for another program, as long as it is there, and return the exit code."""
    if sys.stdin is None or sys.stdout is None:
        raise click.UsageError("--lines needs a standard input and a standard output")
    waiting = gevent.getcurrent()

    def interrupt() -> None:
        gevent.kill(waiting, KeyboardInterrupt)

    with _as_long_as(sys.stdin.fileno(), interrupt):
        lines = Lines(sys.stdout.fileno(), interrupt)
        # Here, as above; and what draws on a terminal another program need not wait for.
        from crosstalk.race.run import run

        try:
            code = run(settings, lines).verdict.exit_code
        except (CannotRun, CannotRace) as error:
            lines.error(str(error))
            code = CANNOT_RUN
        lines.close()
        return code


@contextmanager
def _as_long_as(descriptor: int, ended: Callable[[], None]) -> Iterator[None]:
    """Call ``ended`` when nothing more can come from ``descriptor``: who held its other end has gone."""

    def read() -> None:
        try:
            wait_read(descriptor)
            while os.read(descriptor, 4096):
                wait_read(descriptor)
        except OSError:
            pass  # closed in another way
        ended()

    reader = gevent.spawn(read)
    try:
        yield
    finally:
        reader.kill()
