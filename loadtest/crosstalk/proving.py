"""``crosstalk prove``: the command."""

import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from crosstalk import options
from crosstalk.arguments import (
    counts_option,
    floor_option,
    hops_option,
    host_option,
    pause_option,
    report_option,
    seed_option,
    users_option,
)
from crosstalk.checker import Tally
from crosstalk.endings import told_in_a_line
from crosstalk.history import HISTORY
from crosstalk.interrupts import interruptible
from crosstalk.preflight import CANNOT_RUN, check_descriptors, check_writable
from crosstalk.proof import Part, Settings
from crosstalk.prove import UnknownStrategy, run
from crosstalk.report import picture, show, write
from crosstalk.site import CannotRun

PLAIN_EVERY = 5.0
"""Seconds between two lines of progress where no terminal can redraw one."""


def _finite(_ctx: click.Context, param: click.Parameter, value: float) -> float:
    """Refuse "nan" and "inf", which pass every bound and would load for ever."""
    if not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a number of seconds", param=param)
    return value


@click.command()
@host_option("Prove a running server, such as http://127.0.0.1:8000.")
@counts_option
@users_option(
    2,
    None,
    options.USERS,
    "Users at once on the strategies that must hold, each with one request in flight.",
)
@click.option(
    "--duration",
    type=click.FloatRange(1),
    callback=_finite,
    default=options.DURATION,
    show_default=True,
    metavar="SECONDS",
    help="Load on the strategies that must hold; up to twice that until the floor is met.",
)
@floor_option(options.MIN_REQUESTS, "strategy that must hold")
@click.option(
    "--strategy",
    "strategies",
    multiple=True,
    metavar="NAME",
    help="A strategy that must hold (may be repeated). By default those that the server names. "
    "The controls always run too.",
)
@hops_option(options.HOPS)
@pause_option(options.PAUSE)
@seed_option
@report_option("report.json, history.jsonl.gz and Locust's HTML reports")
@click.option(
    "--history",
    "history_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keep every request in FILE, for `crosstalk check FILE`.",
)
def prove(host: str | None, counts: tuple[str, ...], users: int, duration: float, floor: int,
          strategies: tuple[str, ...], hops: int, pause: int, seed: int, folder: Path | None,
          history_file: Path | None) -> None:  # fmt: skip
    """Prove that requests stay apart, with known-broken strategies caught in the same run.

    Every request carries a nonce of its own and must read it back at every
    checkpoint. The controls are loaded first, then the strategies that must hold.

    \b
    Exit codes:
      0    ISOLATED      overlap shown, floor met, none failed, nothing left, controls caught
      10   CROSS-TALK    a request met data that was not its own
      11   LEAK          entries or contexts were left at idle
      12   BLIND         a control went uncaught: the run proves nothing
      13   INCONCLUSIVE  no overlap, too few requests, or failed requests
      14   the proof could not be run
      2    wrong usage
      130  interrupted
    """  # noqa: D301 - click wants the backspace character itself
    if counts and host is None:
        raise click.UsageError("--counts tells where the servers behind --host are counted: name that too")
    console, errors = Console(record=folder is not None), Console(stderr=True)
    check_descriptors(users)
    if folder is not None:
        check_writable(folder, "--report")
        history_file = history_file or folder / HISTORY
    if history_file is not None:
        check_writable(history_file.parent, "--history")
    settings = Settings(
        host=host,
        users=users,
        duration=duration,
        min_requests=floor,
        strategies=tuple(dict.fromkeys(strategies)),
        seed=seed,
        hops=hops,
        pause=pause,
        history=history_file,
        counts=counts,
    )
    try:
        with told_in_a_line(CannotRun), interruptible(), _Progress(errors) as progress:
            proof = run(settings, progress)
    except UnknownStrategy as error:
        raise click.BadParameter(str(error), param_hint="--strategy") from None
    show(proof.checked, console)
    if folder is not None:
        try:
            files = write(proof.checked, proof.html, folder, picture(console))
        except OSError as error:
            errors.print(f"crosstalk: no report: {error}", style="red", highlight=False, markup=False)
            sys.exit(CANNOT_RUN)
        console.print(f"report: {', '.join(map(str, files))}", highlight=False, soft_wrap=True)
    if history_file is not None:
        console.print(f"history: {history_file}", highlight=False, soft_wrap=True)
    sys.exit(proof.checked.finding.verdict.exit_code)


class _Progress:
    """A bar where a terminal can redraw it, a line now and then elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description:>9}"),
            BarColumn(),
            TextColumn("{task.fields[counts]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._last = 0.0

    def __enter__(self) -> "_Progress":
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def __call__(self, part: Part, share: float, tallies: Mapping[str, Tally]) -> None:
        requests = sum(tally.requests for tally in tallies.values())
        cross_talk = sum(tally.cross_talk for tally in tallies.values())
        failed = sum(tally.failed for tally in tallies.values())
        counts = f"{requests:,} requests, {cross_talk:,} with cross-talk, {failed:,} failed"
        if not self._console.is_terminal:
            if time.monotonic() - self._last >= PLAIN_EVERY:
                self._last = time.monotonic()
                self._console.print(f"{part.name}: {share:.0%}, {counts}", highlight=False)
            return
        if part.name not in self._tasks:
            self._tasks[part.name] = self._bar.add_task(part.name, total=1.0, counts="")
        self._bar.update(self._tasks[part.name], completed=share, counts=counts)
