"""What the commands' output in a terminal has in common: how a verdict looks, and how wide a table is."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from crosstalk.checker import Verdict

_WIDEST = 1_000

_STYLES = {
    Verdict.ISOLATED: "bold green",
    Verdict.CROSS_TALK: "bold red",
    Verdict.LEAK: "bold magenta",
    Verdict.BLIND: "bold yellow",
    Verdict.INCONCLUSIVE: "bold yellow",
}


def in_colour(verdict: Verdict) -> Text:
    """Return a verdict's word, in its colour."""
    return Text(verdict.value, style=_STYLES[verdict])


def widen(console: Console, tables: Iterable[Table], lines: Iterable[str] = ()) -> None:
    """Make ``console`` as wide as the widest of these, if it is not.

    Whole lines, which a file takes and a narrow terminal wraps, instead of cut numbers.
    """
    unbounded = console.options.update(width=_WIDEST)
    widths = [console.measure(table, options=unbounded).maximum for table in tables]
    console.width = max([console.width, *widths, *map(len, lines)])
