"""The command line of the benchmarks: `make bench`, or ``python -m bench``."""

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click
from rich.console import Console

from bench import environments, figures, hotspots, measure, sheets
from bench.figures import Report
from bench.refusal import CannotRun
from bench.servers import BY_NAME, GREENLANE, ROOT
from bench.session import Session
from bench.workloads import BY_NAME as WORKLOADS_BY_NAME

PROGRAMS = {"lanes": "lanes", "orders": "interleave", "live": "watching"}
"""Parts that are programs of their own, and their modules."""

PARTS = (*WORKLOADS_BY_NAME, "flight", "locals", *PROGRAMS)

_WIDTH = 140


class _Names(click.ParamType["tuple[str, ...]"]):
    """Names of a list, separated by commas."""

    name = "names"

    def __init__(self, known: tuple[str, ...]) -> None:
        self.known = known

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in value.split(","))
        for name in names:
            if name not in self.known:
                self.fail(f"{name!r} is none of {', '.join(self.known)}", param, ctx)
        return names


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Rounds of everything.")
@click.option("--seconds", type=click.IntRange(1), default=4, show_default=True, help="Of each load.")
@click.option("--quick", is_flag=True, help="To try it: 1 round of 2 s, 2,000 requests in flight.")
@click.option(
    "--only", type=_Names(PARTS), default=PARTS, help=f"Parts: {', '.join(PARTS)}.", metavar="PARTS"
)
@click.option(
    "--servers",
    type=_Names(tuple(BY_NAME)),
    default=tuple(BY_NAME),
    metavar="SERVERS",
    help=f"Servers: {', '.join(BY_NAME)}.",
)
@click.option(
    "--in-flight", type=click.IntRange(1), default=19_000, show_default=True, help="Requests at once."
)
@click.option(
    "--nap", type=click.IntRange(1), default=15, show_default=True, help="Seconds that each sleeps."
)
@click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=ROOT / "reports" / "bench.json",
    help="Where the report goes.  [default: reports/bench.json]",
)
@click.option(
    "--markdown",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Write the tables into this document, between its marks.",
)
@click.option(
    "--from",
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Measure nothing: show a report that was made before.",
)
@click.option(
    "--profile",
    type=click.Choice(list(WORKLOADS_BY_NAME)),
    help="Only show where Greenlane's time goes under this load.",
)
@click.option("--set-up", is_flag=True, help="Only make the environments.")
@click.option("--lock", is_flag=True, help="Only renew the environments' locks (maintainers).")
def main(
    rounds: int,
    seconds: int,
    quick: bool,
    only: tuple[str, ...],
    servers: tuple[str, ...],
    in_flight: int,
    nap: int,
    json_path: Path,
    markdown: Path | None,
    source: Path | None,
    profile: str | None,
    set_up: bool,
    lock: bool,
) -> None:
    """Measure Greenlane beside other servers, and its Locals beside other Locals.

    Each server runs on one core and the load (wrk) on another; rounds are interleaved. The exit code is 0
    when every figure is valid, 1 when one is not or something is missing, 130 after Ctrl-C.
    """
    if quick:
        rounds, seconds, in_flight, nap = 1, 2, min(in_flight, 2_000), min(nap, 6)
    # A file or a pipe has no width of its own, and 80 columns are too few.
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    log = Console(stderr=True, highlight=False, soft_wrap=True)
    signal.signal(signal.SIGTERM, _interrupt)
    session = Session(
        rounds=rounds, seconds=seconds, parts=only, names=servers, in_flight=in_flight, nap=nap, log=log
    )
    try:
        if lock:
            environments.renew(log.print)
        elif set_up:
            session.set_up()
        elif source:
            _finish(figures.read(source), None, markdown, console)
        elif profile:
            hotspots.run(profile, seconds, console)
        else:
            whole = _finish(session.run(), json_path, markdown, console)
            for part in PROGRAMS:
                if part in only:
                    measure.run_program(PROGRAMS[part])
            sys.exit(0 if whole else 1)
    except (CannotRun, ValueError, OSError) as error:
        click.echo(f"bench: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("bench: interrupted; every server has ended", err=True)
        sys.exit(130)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _finish(report: Report, json_path: Path | None, markdown: Path | None, console: Console) -> bool:
    if json_path is not None:
        figures.write(report, json_path, GREENLANE)
    sheets.show(report, console)
    if markdown is not None:
        sheets.paste(report, markdown)
    return report.whole


if __name__ == "__main__":
    main()
