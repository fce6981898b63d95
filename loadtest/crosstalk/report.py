"""What a judged history looks like: tables for a terminal, JSON and Locust's HTML for a folder."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from crosstalk.checker import Check, Checked, Kind, Party, Tally, Verdict, Witness
from crosstalk.checker.evidence import rows
from crosstalk.checker.statistics import clopper_pearson, exact_bound, log10_unseen, rule_of_three
from crosstalk.files import write_whole
from crosstalk.proof import Part, parts_of
from crosstalk.terminal import in_colour, widen
from crosstalk.text import printable

SCHEMA = 1
"""The version of the JSON report; raised when a field changes its meaning or goes."""

ROLES = ("control", "observed", "variant", "subject")
"""The order of the table."""

_COUNTS = (
    "requests",
    "failed",
    "checks",
    "foreign",
    "stale",
    "missing",
    "torn",
    "peak in\nflight",
    "native\nthreads",
)


def show(checked: Checked, console: Console) -> None:
    """Print the table, the statistics, a worked example for each caught strategy, and the verdict."""
    table = _table(checked)
    sentences = (
        *_connections(checked),
        *_doomed(checked),
        *_bounds(checked),
        *_chances(checked),
        *_other_anomalies(checked),
    )
    lines = [printable(line) for line in sentences]
    widen(console, [table], lines)
    console.print(table)
    for line in lines:
        console.print(line, highlight=False, markup=False)
    for name in _caught(checked):
        witness = checked.tallies[name].witness()
        if witness is not None:
            console.print()
            console.print(_example(name, witness), highlight=False)
    verdict = checked.finding.verdict
    console.print()
    console.print(Text.assemble("verdict: ", in_colour(verdict)))
    for reason in checked.finding.reasons:
        console.print(f"  {printable(reason)}", highlight=False, markup=False)
    if verdict is Verdict.ISOLATED:
        console.print("  every control was caught in the same run, nothing was left at idle", highlight=False)


def _table(checked: Checked) -> Table:
    host, seed = checked.header.settings.get("host", ""), checked.header.seed
    table = Table(
        # As text: rich would take what stands in brackets, such as an IPv6 address, for markup.
        title=Text(printable(f"crosstalk prove {host}  seed {seed}"), style="table.title"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("strategy", no_wrap=True)
    table.add_column("role", no_wrap=True)
    for heading in _COUNTS:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for role in ROLES:
        for name, cell in checked.header.cells.items():
            if cell.role == role:
                _add_row(table, checked, name)
        table.add_section()
    return table


def _add_row(table: Table, checked: Checked, name: str) -> None:
    tally, verdict = checked.tallies[name], checked.findings[name].verdict
    table.add_row(
        Text(printable(name)),
        checked.header.cells[name].role,
        f"{tally.requests:,}",
        f"{tally.failed:,}",
        f"{tally.checks.total():,}",
        f"{tally.checks[Check.FOREIGN]:,}",
        f"{tally.stale:,}",
        f"{tally.checks[Check.MISSING]:,}",
        f"{tally.checks[Check.TORN]:,}",
        f"{tally.peak_in_flight:,}",
        f"{len(tally.threads):,}",
        in_colour(verdict),
    )


def _parts(checked: Checked) -> list[Part]:
    return parts_of(checked.end.facts) if checked.end is not None else []


def _connections(checked: Checked) -> list[str]:
    lines = []
    for part in _parts(checked):
        if part.requests is None or part.connections is None:
            lines.append(f"{part.name}: the server's counts could not be read afterwards")
            continue
        each = part.requests / part.connections if part.connections else 0.0
        lines.append(
            f"{part.name}: {part.users:,} users, {part.requests:,} requests in {part.seconds:.0f} s over"
            f" {part.connections:,} connections ({each:.1f} requests each: kept alive, and shared"
            " between users)"
        )
    return lines


def _doomed(checked: Checked) -> list[str]:
    return [
        f"{name}: {tally.doomed:,} requests besides ended by an error, as they had announced"
        if tally.doomed
        else f"{name}: no request was asked to end by an error, so nothing is said of what those leave"
        for name, tally in _of_role(checked, "subject")
    ]


def _bounds(checked: Checked) -> list[str]:
    return [
        f"{name}: 0 of {tally.requests:,} requests with cross-talk, so a rate of at most"
        f" {rule_of_three(tally.requests):.3%} (3/N, at 95 % confidence; exactly"
        f" {exact_bound(tally.requests):.4%})"
        for name, tally in _of_role(checked, "subject")
        if tally.requests and not tally.cross_talk
    ]


def _chances(checked: Checked) -> list[str]:
    """Say of each control how often it was caught, and how likely a run misses a fault like it."""
    least = _least(checked)
    lines = []
    for name, tally in _of_role(checked, "control"):
        if not tally.cross_talk:
            continue
        lower, _upper = clopper_pearson(tally.cross_talk, tally.requests)
        line = (
            f"{name}: caught in {tally.cross_talk:,} of {tally.requests:,} requests"
            f" ({tally.cross_talk / tally.requests:.1%}, at least {lower:.1%})"
        )
        if least:
            line += (
                f": a fault like it stays unseen in a run of {least:,} with a chance"
                f" {_power_of_ten(log10_unseen(lower, least))}"
            )
        lines.append(line)
    return lines


def _least(checked: Checked) -> int:
    return min((tally.requests for _name, tally in _of_role(checked, "subject")), default=0)


def _power_of_ten(exponent: float) -> str:
    return f"of {10**exponent:.2g}" if exponent > -300 else "below 1e-300"


def _of_role(checked: Checked, role: str) -> list[tuple[str, Tally]]:
    return [(name, checked.tallies[name]) for name, cell in checked.header.cells.items() if cell.role == role]


def _other_anomalies(checked: Checked) -> list[str]:
    """Tell of replies off by one, which are more than single readings."""
    return [
        f"{name}: off by {row.shift} on {row.channel}: {len(row.nonces)} requests in a row"
        f" each read what was written {row.shift} before"
        for name in _caught(checked)
        for row in list(rows(checked.tallies[name].victims))[:1]
    ]


def _caught(checked: Checked) -> list[str]:
    return [
        name
        for name, cell in checked.header.cells.items()
        if checked.tallies[name].cross_talk and cell.role != "observed"
    ]


def _example(name: str, witness: Witness) -> Text:
    anomaly, writer = witness.anomaly, witness.writer
    where = (
        "before writing anything"
        if anomaly.checkpoint == 0
        else f"at checkpoint {anomaly.checkpoint}, after a switch by {anomaly.after}"
    )
    lines = [
        f": {anomaly.kind.value}",
        f"  read by     {_who(anomaly.reader)}, {where}",
        f"  whose own   {anomaly.reader.nonce}",
        f"  but it read {anomaly.value or 'nothing in its place'}",
    ]
    if anomaly.value is not None:
        lines.append(f"  written by  {'nobody in this run' if writer is None else _who(writer)}")
    shown = map(printable, [*lines, *_timeline(witness)])
    return Text.assemble((printable(name), "bold"), "\n".join(shown))


def _timeline(witness: Witness) -> list[str]:
    names = {"reader": "reader", "writer": "writer" if witness.writer else "nobody known"}
    known = [step.at for step in witness.timeline if step.at is not None]
    return [
        f"  {'at some time' if step.at is None else f'{(step.at - min(known)) * 1000:9.3f} ms':>12}"
        f"  {names[step.by]} {step.does}"
        for step in witness.timeline
    ]


def _who(party: Party) -> str:
    on = "an unknown greenlet (no reply)" if party.greenlet is None else f"greenlet {party.greenlet:#x}"
    return f"user {party.user} on {on}"


def document(checked: Checked) -> dict[str, Any]:
    """Return what the JSON report has; ``schema`` tells its version."""
    header, finding, left = checked.header, checked.finding, checked.left
    settings = dict(header.settings)
    host, environment = settings.pop("host", None), settings.pop("environment", None)
    stated = checked.end.facts if checked.end is not None else {}
    return {
        "schema": SCHEMA,
        "verdict": finding.verdict.value,
        "exit_code": finding.verdict.exit_code,
        "reasons": list(finding.reasons),
        "host": host,
        "seed": header.seed,
        "settings": settings,
        "environment": (environment if isinstance(environment, dict) else {})
        | {"started": header.started, "ended": stated.get("ended"), "command": list(header.command)},
        "parts": [
            {
                "name": part.name,
                "users": part.users,
                "seconds": part.seconds,
                "requests": part.requests,
                "connections": part.connections,
            }
            for part in _parts(checked)
        ],
        "strategies": [_strategy(checked, name) for name in header.cells],
        "idle": {
            "contexts": dict(left.contexts),
            "entries": dict(left.entries),
            "left": dict(left.left),
            "unknown": left.unknown,
        },
        "server": stated.get("server"),
        "cut_off": checked.cut,
    }


def _strategy(checked: Checked, name: str) -> dict[str, Any]:
    cell, tally, finding = checked.header.cells[name], checked.tallies[name], checked.findings[name]
    return {
        "name": name,
        "role": cell.role,
        "summary": cell.summary,
        "verdict": finding.verdict.value,
        "outcome": finding.outcome.value,
        "reasons": list(finding.reasons),
        "requests": tally.requests,
        "failed": tally.failed,
        "failures": dict(tally.failures),
        "doomed": tally.doomed,
        "requests_with_cross_talk": tally.cross_talk,
        "checks": {check.value: tally.checks[check] for check in Check},
        "stale": tally.stale,
        "anomalies": _anomalies(tally),
        "overlapped": tally.overlapped,
        "switches": tally.switches,
        "peak_in_flight": tally.peak_in_flight,
        "native_threads": len(tally.threads),
        "rate_at_most": None if tally.cross_talk else rule_of_three(tally.requests),
        "statistics": _statistics(checked, tally),
        "witness": _witness(tally.witness(), tally),
    }


def _anomalies(tally: Tally) -> dict[str, int]:
    found = tally.anomalies()
    return {kind.value: found[kind] for kind in Kind}


def _statistics(checked: Checked, tally: Tally) -> dict[str, Any] | None:
    if not tally.requests:
        return None
    lower, upper = clopper_pearson(tally.cross_talk, tally.requests)
    least = _least(checked)
    return {
        "confidence": 0.95,
        "rate": tally.cross_talk / tally.requests,
        "interval": [lower, upper],
        "exact_bound": None if tally.cross_talk else exact_bound(tally.requests),
        "unseen_in": least,
        # Of ten: the chance itself may be smaller than a float can hold.
        "unseen_chance_log10": _finite(log10_unseen(lower, least)) if tally.cross_talk else None,
    }


def _finite(value: float) -> float | None:
    return value if value > float("-inf") else None


def _witness(witness: Witness | None, tally: Tally) -> dict[str, Any] | None:
    if witness is None:
        return None
    anomaly = witness.anomaly
    return {
        "kind": anomaly.kind.value,
        "checkpoint": anomaly.checkpoint,
        "after": anomaly.after or None,
        "read": dict(anomaly.read),
        "value": anomaly.value,
        "reader": _party(anomaly.reader),
        "writer": None if witness.writer is None else _party(witness.writer),
        "timeline": [{"at": step.at, "by": step.by, "does": step.does} for step in witness.timeline],
        "rate": tally.cross_talk / tally.requests,
    }


def _party(party: Party) -> dict[str, Any]:
    return {"nonce": party.nonce, "user": party.user, "strategy": party.cell, "greenlet": party.greenlet}


def picture(console: Console) -> str:
    """Return what ``console`` has shown, and recorded, as an SVG that loads nothing from elsewhere."""
    svg = console.export_svg(title="crosstalk prove", clear=False)
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)


def write(checked: Checked, html: Mapping[str, str], folder: Path, svg: str) -> list[Path]:
    """Write ``report.json``, Locust's HTML (one a part) and the picture, and return the files.

    Args:
        checked: what to report.
        html: Locust's own reports, by the name of the part.
        folder: made if it is not there.
        svg: the picture.

    Raises:
        OSError: the folder cannot be made or written.

    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"report.json": json.dumps(document(checked), indent=2) + "\n"}
    texts["verdict.svg"] = svg
    texts |= {f"locust-{name}.html": text for name, text in html.items()}
    return [write_whole(folder / name, text) for name, text in texts.items()]
