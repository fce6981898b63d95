"""How a report looks: the same sheets as tables of a terminal, and as Markdown between two marks of a file.

Rule: a sheet is made once, from the report alone, and both ways of printing it say the same.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from bench.figures import Cell, Ratio, Report
from bench.servers import BY_NAME as SERVERS_BY_NAME
from bench.servers import GREENLANE, SERVERS
from bench.workloads import WORKLOADS

BEGIN = "<!-- figures: begin -->"
END = "<!-- figures: end -->"

_PACKAGES = (
    *("greenlane", "gevent", "httptools", "gunicorn", "gunicorn-h1c"),
    *("granian", "waitress", "uwsgi", "flask"),
)
"""Those whose versions matter to a reader, of all that are installed."""


_NARROW = 132
"""Columns of characters below which a terminal gets fewer columns of figures."""

_LEFT_OUT = ("rounds", "99 % ms", "/core second", "MiB", "99 % / worst")
"""Columns that a narrow terminal goes without: folded to two letters each they would say nothing."""


@dataclass(frozen=True)
class Sheet:
    """A table: its title, its columns, its rows, and a line below."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""


def sheets(report: Report) -> list[Sheet]:
    """Return all tables that the report has figures for."""
    made = [_throughput(report, number) for number in range(len(WORKLOADS))]
    made += [_aims(report), _flights(report), _costs(report), _servers(report)]
    return [sheet for sheet in made if sheet.rows]


def _throughput(report: Report, number: int) -> Sheet:
    workload = WORKLOADS[number]
    rows, note = [], ""
    for server in SERVERS:
        cell = report.cell(workload.name, server.name)
        if workload.name in server.cannot and server.name in report.asked:
            rows.append([server.title, "not measured", *[""] * 6])
            note = f"Not measured: {server.cannot[workload.name]}."
        if cell is None or not server.runs(workload.name):
            continue
        title = server.title + (", Flask" if cell.workload != workload.name else "")
        if cell.fault:
            rows.append([title, f"invalid: {cell.fault}", *[""] * 6])
        else:
            ratio = report.ratio(workload.name, GREENLANE, server.name)
            rows.append([title, *_speed(cell), _times(ratio) if server.name != GREENLANE else ""])
    measured = any(cell.workload == workload.name for cell in report.cells)
    return Sheet(
        f"({'abcdef'[number]}) {workload.title}",
        [
            "server",
            "requests/s",
            "rounds",
            "median ms",
            "99 % ms",
            "its core",
            "/core second",
            "Greenlane has",
        ],
        rows if measured else [],
        note,
    )


def _speed(cell: Cell) -> list[str]:
    low, high = min(cell.rates), max(cell.rates)
    mark = " (load at its limit)" if cell.middle("load_core") > 0.95 else ""
    return [
        f"{cell.middle('rate'):,.0f}{mark}",
        f"{low:,.0f} to {high:,.0f}",
        f"{cell.middle('median') * 1e3:.2f}",
        f"{cell.middle('p99') * 1e3:.2f}",
        f"{cell.middle('server_core'):.0%}",
        f"{cell.middle('rate') / cell.middle('server_core'):,.0f}",
    ]


def _times(ratio: Ratio | None) -> str:
    return "" if ratio is None else f"{ratio.value:.2f} x ({ratio.low:.2f} to {ratio.high:.2f})"


def _aims(report: Report) -> Sheet:
    words = {None: "not measured", True: "reached", False: "NOT reached"}
    rows = [
        [
            verdict.aim,
            "" if verdict.value is None else f"{verdict.value:.2f}",
            "" if verdict.per_core is None else f"{verdict.per_core:.2f}",
            f"{verdict.floor}: {words[verdict.floor_met]}",
            f"{verdict.goal}: {words[verdict.goal_met]}",
        ]
        for verdict in report.verdicts(GREENLANE)
    ]
    note = 'What is judged stands under "is". A core second is one of processor time that the server used.'
    return Sheet("The aims", ["Greenlane's", "is", "per core second", "floor", "goal"], rows, note)


def _flights(report: Report) -> Sheet:
    rows = []
    for flight in report.flights:
        title = SERVERS_BY_NAME[flight.server].title
        if flight.fault:
            rows.append([title, f"invalid: {flight.fault}", "", "", "", "", ""])
            continue
        rows.append(
            [
                title,
                f"{flight.right:,} of {flight.wanted:,}",
                f"{flight.each:.1f}",
                f"{flight.before / 2**20:.0f} to {flight.peak / 2**20:.0f}",
                f"{flight.late_median * 1e3:,.0f}",
                f"{flight.late_p99 * 1e3:,.0f} / {flight.late_worst * 1e3:,.0f}",
                f"{flight.beside:,.0f}" if flight.beside else "failed",
            ]
        )
    wanted = max((flight.wanted for flight in report.flights), default=0)
    return Sheet(
        f"(g) {wanted:,} requests in flight on one thread",
        ["server", "right replies", "KiB each", "MiB", "late ms", "99 % / worst", "hello/s beside them"],
        rows,
        "Late: how much after the end of its sleep a reply had come, counted from when its request was sent.",
    )


def _costs(report: Report) -> Sheet:
    operations = list(dict.fromkeys(cost.operation for cost in report.costs))
    found = {(cost.subject, cost.operation): cost for cost in report.costs}
    rows = []
    for subject in dict.fromkeys(cost.subject for cost in report.costs):
        row = [subject]
        for operation in operations:
            cost, own = found.get((subject, operation)), found.get(("Greenlane", operation))
            if cost is None or own is None:
                row.append("")
            else:
                row.append(f"{cost.nanoseconds:.0f} ({Ratio.of(cost.rounds, own.rounds).value:.2f})")
        rows.append(row)
    return Sheet(
        "Locals: nanoseconds for one operation (times Greenlane's)",
        ["Local", *operations],
        rows,
        "All in one process of one core, in turn; the loop around them is taken off. `threading.local` keeps "
        "threads apart and not greenlets.",
    )


def _servers(report: Report) -> Sheet:
    rows = []
    for server in SERVERS:
        if server.name in report.skipped:
            rows.append([server.title, "skipped", report.skipped[server.name]])
        elif server.name in report.asked:
            pins = report.versions.get(server.environment or GREENLANE, {})
            names = ", ".join(f"{name} {pins[name]}" for name in _PACKAGES if name in pins)
            rows.append([server.title, names, server.settings])
    return Sheet("The servers", ["server", "versions", "settings"], rows)


def _machine(report: Report) -> str:
    facts = {**report.machine, **report.settings}
    told = f"Measured {report.when}: " + ", ".join(f"{name} {value}" for name, value in facts.items()) + "."
    if report.crowded:
        told += (
            " **Other programs ran at the same time**: they slow the fast servers more than the slow ones, "
            "because the load is slowed too. Measure again on an idle machine, or look at core seconds."
        )
    return told


def show(report: Report, console: Console) -> None:
    """Print all tables for a person."""
    for sheet in sheets(report):
        table = Table(title=sheet.title, title_justify="left", box=box.SIMPLE)
        kept = [
            number
            for number, column in enumerate(sheet.columns)
            if console.width >= _NARROW or column not in _LEFT_OUT
        ]
        for number in kept:
            wide = sheet.title == "The servers"
            justify: JustifyMethod = "right" if number and not wide else "left"
            # A narrow terminal may fold the others; a name or a rate cut short says nothing.
            table.add_column(sheet.columns[number], justify=justify, no_wrap=number < 2 and not wide)
        for row in sheet.rows:
            table.add_row(*[_styled(row[number]) for number in kept])
        console.print(table)
        if sheet.note:
            console.print(Text(sheet.note + "\n", style="dim"))
    console.print(Text(_machine(report).replace("**", ""), style="bold" if report.crowded else "dim"))


def _styled(value: str) -> Text:
    bad = value.startswith("invalid") or "NOT reached" in value
    good = value.endswith(": reached")
    return Text(value, style="red" if bad else "green" if good else "")


def as_markdown(report: Report) -> str:
    """Return all tables as Markdown."""
    parts = []
    for sheet in sheets(report):
        lines = [f"**{sheet.title}**", "", _line(sheet.columns)]
        lines.append(
            _line(["---", *["---" if sheet.title == "The servers" else "---:"] * (len(sheet.columns) - 1)])
        )
        lines += [_line([value.replace("|", "\\|") for value in row]) for row in sheet.rows]
        if sheet.note:
            lines += ["", sheet.note]
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, _machine(report)]) + "\n"


def _line(values: list[Any]) -> str:
    return "| " + " | ".join(values) + " |"


def paste(report: Report, path: Path) -> None:
    """Write the tables between the two marks of a document, in the place of those that are there.

    Raises:
        ValueError: the document has not each mark once, in order; it is left as it is.

    """
    text = path.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"{path} must have the lines {BEGIN} and {END}, once each")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    path.write_text(f"{before}{BEGIN}\n\n{as_markdown(report)}\n{END}{after}")
