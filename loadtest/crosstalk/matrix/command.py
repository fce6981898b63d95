"""``crosstalk matrix``: the command."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

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
from crosstalk.checker import Checked, Finding
from crosstalk.endings import told_in_a_line
from crosstalk.history import HISTORY
from crosstalk.interrupts import interruptible
from crosstalk.matrix import report, results, show
from crosstalk.matrix.plan import NothingChosen
from crosstalk.matrix.progress import Bar
from crosstalk.matrix.results import NotAMatrix, Results
from crosstalk.matrix.run import Settings, run
from crosstalk.matrix.verdict import judge
from crosstalk.preflight import CANNOT_RUN, check_descriptors, check_writable
from crosstalk.site import CannotRun

MOST_CELLS = 11
"""Cells of one hazard, which are loaded at once: the strategies, broken, and fixed."""


@click.command()
@host_option(
    "Measure a running server, such as http://127.0.0.1:8000, except for the hazards that need servers "
    "of their own."
)
@counts_option
@click.option(
    "--only",
    multiple=True,
    metavar="PATTERN",
    help="Measure these alone (may be repeated): a hazard (keep-alive) or cells (*/local, desync/fixed), "
    "and the broken variant beside them. With --report, what DIR has of the others is kept.",
)
@floor_option(options.MATRIX_REQUESTS, "cell")
@users_option(2, 200, options.MATRIX_USERS, "Users at once on each cell.")
@hops_option(options.MATRIX_HOPS)
@pause_option(options.MATRIX_PAUSE, least=1)
@seed_option
@report_option("matrix.html, matrix.json, matrix.md, matrix.junit.xml and history.jsonl.gz")
def matrix(folder: Path | None, seed: int, **options: Any) -> None:
    """Measure every strategy in every hazard, and each hazard broken and fixed.

    Each cell is loaded by Locust over real sockets and judged by what its replies show.
    Then every outcome is held against what the server says of that cell.

    \b
    Exit codes: of the gravest cell that is not what it is said to be
      0    ISOLATED      what has to hold held, and everything broken was caught
      10   CROSS-TALK    a request of a cell that has to hold met data that was not its own
      11   LEAK          such a cell left entries or contexts at idle
      12   BLIND         something broken went uncaught
      13   INCONCLUSIVE  a cell shows nothing: no overlap, too few requests, or failed requests
      14   the matrix could not be measured
      2    wrong usage
      130  interrupted
    """  # noqa: D301 - click wants the backspace character itself
    console, errors = Console(), Console(stderr=True)
    check_descriptors(options["users"] * MOST_CELLS)
    settings = Settings(
        **options,
        seed=seed,
        history=None if folder is None else folder / HISTORY,
    )
    earlier = _earlier(folder, settings)
    if earlier is not None and settings.history is not None:
        number = len(earlier.histories) + 1
        settings = replace(settings, history=settings.history.with_name(f"history-{number}.jsonl.gz"))
    try:
        with told_in_a_line(CannotRun), interruptible(), Bar(errors) as bar:
            found = results.make(run(settings, bar))
    except NothingChosen as error:
        raise click.BadParameter(str(error), param_hint="--only") from None
    if settings.history is not None:
        found = replace(found, histories=(settings.history.name,))
    if earlier is not None:
        found = _added(found, earlier, errors)
    finding = judge(found)
    show.show(found, finding, console)
    if folder is not None:
        _write(found, finding, folder, console, errors)
    sys.exit(finding.verdict.exit_code)


def _earlier(folder: Path | None, settings: Settings) -> Results | None:
    """Make the folder, and return the report in it that this run will add to."""
    if folder is None:
        return None
    check_writable(folder, "--report")
    if not settings.only:
        return None
    try:
        found = report.read(folder)
        if found is not None and found.settings != settings.as_document():
            raise NotAMatrix(f"it was measured with {results.listed(found.settings)}")
    except OSError as error:
        raise click.BadParameter(str(error), param_hint="--report") from None
    except NotAMatrix as error:
        reason = f"{folder / report.JSON} cannot be added to: {error}"
        raise click.BadParameter(reason, param_hint="--report") from None
    return found


def _added(found: Results, earlier: Results, errors: Console) -> Results:
    try:
        return found.on_top_of(earlier)
    except NotAMatrix as error:
        errors.print(
            f"crosstalk: the earlier report cannot be added to: {error}", style="red", highlight=False
        )
        sys.exit(CANNOT_RUN)


def _write(found: Results, finding: Finding, folder: Path, console: Console, errors: Console) -> None:
    try:
        files = report.write(found, finding, folder)
    except OSError as error:
        errors.print(f"crosstalk: no report: {error}", style="red", highlight=False, markup=False)
        sys.exit(CANNOT_RUN)
    console.print(f"report: {', '.join(map(str, files))}", highlight=False, soft_wrap=True)


def show_history(checked: Checked, as_json: bool) -> int:
    """Show a matrix that is in a history, as its own run did, and return the exit code.

    Raises:
        NotAMatrix: there is none in it.

    """
    found = results.make(checked)
    finding = judge(found)
    if as_json:
        click.echo(json.dumps(report.document(found, finding), indent=2))
    else:
        show.show(found, finding, Console())
    return finding.verdict.exit_code
