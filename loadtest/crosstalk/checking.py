"""``crosstalk check``: the command."""

import json
import sys
from pathlib import Path

import click
from rich.console import Console

from crosstalk import checker, history
from crosstalk.endings import told_in_a_line
from crosstalk.matrix.command import show_history
from crosstalk.matrix.results import NotAMatrix, is_of_matrix
from crosstalk.report import document, show


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print what report.json, or matrix.json, would have.")
def check(file: Path, as_json: bool) -> None:
    """Judge a history that `crosstalk prove` or `crosstalk matrix` has kept.

    The same tables, verdict and exit code as the run's, which drew its own from the same
    file. One that is cut off is judged as far as it goes, and is never ISOLATED.

    \b
    Exit codes:
      0 to 13   as those of crosstalk prove
      14        the file is no history, or one of another schema
      2         wrong usage
    """  # noqa: D301 - click wants the backspace character itself
    with told_in_a_line(history.NotAHistory, NotAMatrix, OSError):
        checked = checker.check(lambda: history.read(file))
        if is_of_matrix(checked):
            sys.exit(show_history(checked, as_json))
    if as_json:
        click.echo(json.dumps(document(checked), indent=2))
    else:
        show(checked, Console())
    sys.exit(checked.finding.verdict.exit_code)
