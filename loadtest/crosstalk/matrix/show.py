"""What a matrix looks like in a terminal: strategies by hazards, the variants, the verdict."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from crosstalk.checker import Finding, Outcome, Verdict
from crosstalk.matrix.listing import VARIANTS
from crosstalk.matrix.results import CellResult, Results
from crosstalk.terminal import in_colour, widen

STYLES = {
    Outcome.ISOLATED.value: "green",
    Outcome.CROSS_TALK.value: "bold red",
    Outcome.LEAK.value: "bold magenta",
    Outcome.MISSING.value: "yellow",
    Outcome.INCONCLUSIVE.value: "yellow",
    Outcome.NO_OVERLAP.value: "yellow",
}

_WORDS = {
    Outcome.ISOLATED.value: "holds",
    Outcome.LEAK.value: "leaks",
    Outcome.MISSING.value: "lost",
    Outcome.INCONCLUSIVE.value: "unclear",
    Outcome.NO_OVERLAP.value: "no overlap",
}

NOT_APPLICABLE = "·"

NOT_MEASURED = " "


def mark(cell: CellResult) -> str:
    """Say in a word what came of a cell; for cross-talk, in which share of its requests."""
    return share(cell.rate) if cell.outcome == Outcome.CROSS_TALK.value else _WORDS[cell.outcome]


def share(rate: float) -> str:
    """Return a rate in per cent: never rounded to none or to all."""
    if rate < 0.01:
        return "< 1 %"
    if 0.99 < rate < 1:
        return "> 99 %"
    return f"{rate:.0%}".replace("%", " %")


def show(results: Results, finding: Finding, console: Console) -> None:
    """Print strategies by hazards, then the variants, then the verdict and every surprise."""
    tables = [table for table in (_strategies(results), _variants(results)) if table.row_count]
    widen(console, tables)
    for table in tables:
        console.print(table)
    console.print(_LEGEND, style="dim")
    requests = sum(cell.requests for cell in results.cells.values())
    console.print(
        f"{len(results.cells)} cells, {requests:,} requests, {sum(results.seconds.values()):.0f} s of load,"
        f" seed {results.seed}",
        highlight=False,
    )
    console.print(Text.assemble("verdict: ", in_colour(finding.verdict)))
    for reason in finding.reasons:
        console.print(f"  {reason}", highlight=False, markup=False)
    if finding.verdict is Verdict.ISOLATED:
        console.print("  every cell is what it is said to be", highlight=False)


_LEGEND = f"""\
  holds: no request met data that was not its own    n %: the share that did
  lost: the own data was not there    leaks: something was left at idle
  no overlap: one request after another    unclear: too few, failed, not known
  !: not what the server says    {NOT_APPLICABLE}: not applicable"""


def _strategies(results: Results) -> Table:
    table = Table(title="strategies in hazards", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("hazard", no_wrap=True)
    for name in results.strategies:
        table.add_column(name.replace("-", "\n"), justify="right", no_wrap=True)
    for hazard in results.hazards:
        keys = [f"{hazard}/{name}" for name in results.strategies]
        if any(key in results.cells for key in keys):
            table.add_row(Text(hazard), *(_cell(results, key) for key in keys))
    return table


def _cell(results: Results, key: str) -> Text:
    cell = results.cells.get(key)
    if cell is None:
        return Text(NOT_APPLICABLE if key in results.not_applicable else NOT_MEASURED, style="dim")
    return Text(mark(cell) + (" !" if cell.surprising else ""), style=STYLES[cell.outcome])


def _measured(results: Results, key: str) -> tuple[Text, Text]:
    cell = results.cells.get(key)
    return _cell(results, key), Text(f"{cell.requests:,}" if cell else "")


def _variants(results: Results) -> Table:
    table = Table(title="hazards, broken and fixed", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("hazard", no_wrap=True)
    for name in VARIANTS:
        table.add_column(name, justify="right", no_wrap=True)
        table.add_column("requests", justify="right", no_wrap=True)
    table.add_column("at most", justify="right", no_wrap=True)
    table.add_column("reached by", no_wrap=True)
    for name, hazard in results.hazards.items():
        keys = [f"{name}/{variant}" for variant in VARIANTS]
        if any(key in results.cells or key in results.not_applicable for key in keys):
            row = [text for key in keys for text in _measured(results, key)]
            fixed = results.cells.get(keys[1])
            bound = "" if fixed is None or fixed.at_most is None else f"{fixed.at_most:.2%}"
            table.add_row(Text(name), *row, Text(bound), Text(hazard["exercise"]["name"]))
        for other in [f"{name}/{variant}" for variant in hazard["variants"] if variant not in VARIANTS]:
            if other in results.cells:
                table.add_row(Text(other), *_measured(results, other))
    return table
