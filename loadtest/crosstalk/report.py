"""What a proof looks like: tables for a terminal, JSON and Locust's HTML for a folder."""

import json
import os
import platform
import re
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from crosstalk.history import Probe, Tally, Witness
from crosstalk.oracle import Check
from crosstalk.proof import Part, Proof
from crosstalk.verdict import Verdict, upper_bound

SCHEMA = 1
"""The version of the JSON report; raised when a field changes its meaning or goes."""

_STYLES = {
    Verdict.ISOLATED: "bold green",
    Verdict.CROSS_TALK: "bold red",
    Verdict.LEAK: "bold magenta",
    Verdict.BLIND: "bold yellow",
    Verdict.INCONCLUSIVE: "bold yellow",
}

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


def show(proof: Proof, console: Console) -> None:
    """Print the table, the bounds, a worked example for each caught strategy, and the verdict."""
    table = _table(proof)
    # Whole lines, which a file takes and a narrow terminal wraps, instead of cut numbers.
    console.width = max(
        console.width, console.measure(table, options=console.options.update(width=1000)).maximum
    )
    console.print(table)
    for part in proof.parts:
        console.print(_connections(part), highlight=False)
    for name in proof.strategies:
        tally = proof.tally(name)
        if name in proof.subjects and tally.requests and not tally.cross_talk:
            console.print(
                f"{name}: 0 of {tally.requests:,} requests with cross-talk, so a rate of at most"
                f" {upper_bound(tally.requests):.3%} (3/N, at 95 % confidence)",
                highlight=False,
                markup=False,
            )
    for name in _caught(proof):
        witness = proof.history.witness(name)
        if witness is not None:
            console.print()
            console.print(_example(name, witness), highlight=False)
    finding = proof.finding
    if finding is None:
        raise ValueError("the proof has not been judged")
    console.print()
    console.print(Text.assemble("verdict: ", (finding.verdict.value, _STYLES[finding.verdict])))
    for reason in finding.reasons:
        console.print(f"  {reason}", highlight=False, markup=False)
    if finding.verdict is Verdict.ISOLATED:
        console.print("  every control was caught in the same run, nothing was left at idle", highlight=False)


def _table(proof: Proof) -> Table:
    table = Table(
        # As text: rich would take what stands in brackets, such as an IPv6 address, for markup.
        title=Text(f"crosstalk prove {proof.host}  seed {proof.settings.seed}", style="table.title"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("strategy", no_wrap=True)
    table.add_column("role", no_wrap=True)
    for heading in _COUNTS:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for role in ("control", "observed", "subject"):
        for name in proof.strategies:
            if proof.role(name) == role:
                _add_row(table, proof, name)
        table.add_section()
    return table


def _add_row(table: Table, proof: Proof, name: str) -> None:
    tally, verdict = proof.tally(name), proof.findings[name].verdict
    table.add_row(
        Text(name),
        proof.role(name),
        f"{tally.requests:,}",
        f"{tally.failed:,}",
        f"{tally.checks.total():,}",
        f"{tally.checks[Check.FOREIGN]:,}",
        f"{tally.stale:,}",
        f"{tally.checks[Check.MISSING]:,}",
        f"{tally.checks[Check.TORN]:,}",
        f"{tally.peak_in_flight:,}",
        f"{len(tally.threads):,}",
        Text(verdict.value, style=_STYLES[verdict]),
    )


def _connections(part: Part) -> str:
    if part.requests is None or part.connections is None:
        return f"{part.name}: the server's counts could not be read afterwards"
    each = part.requests / part.connections if part.connections else 0.0
    return (
        f"{part.name}: {part.users:,} users, {part.requests:,} requests in {part.seconds:.0f} s over"
        f" {part.connections:,} connections ({each:.1f} requests each: kept alive, and shared between users)"
    )


def _caught(proof: Proof) -> list[str]:
    return [
        name for name in proof.strategies if proof.tally(name).cross_talk and (proof.role(name) != "observed")
    ]


def _example(name: str, witness: Witness) -> Text:
    anomaly, writer = witness.anomaly, witness.writer
    where = (
        "before writing anything"
        if anomaly.checkpoint == 0
        else f"at checkpoint {anomaly.checkpoint}, after a switch by {anomaly.after}"
    )
    lines = [
        f": {anomaly.kind}",
        f"  read by     {_who(anomaly.reader)}, {where}",
        f"  whose own   {anomaly.reader.nonce}",
        f"  but it read {witness.value}",
        f"  written by  {'nobody in this run' if writer is None else _who(writer)}",
    ]
    return Text.assemble((name, "bold"), "\n".join(lines))


def _who(probe: Probe) -> str:
    on = "an unknown greenlet (no reply)" if probe.greenlet is None else f"greenlet {probe.greenlet:#x}"
    return f"user {probe.user} on {on}"


def document(proof: Proof) -> dict[str, Any]:
    """Return the proof as the JSON report has it; ``schema`` tells its version."""
    settings, finding = proof.settings, proof.finding
    if finding is None or proof.idle is None:
        raise ValueError("the proof has not been judged")
    return {
        "schema": SCHEMA,
        "verdict": finding.verdict.value,
        "exit_code": finding.verdict.exit_code,
        "reasons": list(finding.reasons),
        "host": proof.host,
        "seed": settings.seed,
        "settings": {
            "users": settings.users,
            "duration_s": settings.duration,
            "min_requests": settings.min_requests,
            "hops": settings.hops,
            "pause_ms": settings.pause,
        },
        "environment": {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "system": platform.system(),
            "cores": os.cpu_count(),
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": sys.argv[1:],
        },
        "parts": [
            {
                "name": part.name,
                "users": part.users,
                "seconds": round(part.seconds, 1),
                "requests": part.requests,
                "connections": part.connections,
            }
            for part in proof.parts
        ],
        "strategies": [_strategy(proof, name) for name in proof.strategies],
        "idle": {
            "contexts": dict(proof.idle.contexts),
            "entries": dict(proof.idle.entries),
            "unknown": proof.idle.unknown,
        },
        "server": None
        if proof.counts is None
        else {
            "peak_in_flight": proof.counts.peak_in_flight,
            "native_threads_of_the_process": proof.counts.native_threads,
        },
    }


def _strategy(proof: Proof, name: str) -> dict[str, Any]:
    tally, finding = proof.tally(name), proof.findings[name]
    return {
        "name": name,
        "role": proof.role(name),
        "summary": proof.strategies[name].summary,
        "verdict": finding.verdict.value,
        "reasons": list(finding.reasons),
        "requests": tally.requests,
        "failed": tally.failed,
        "failures": dict(tally.failures),
        "requests_with_cross_talk": tally.cross_talk,
        "checks": {check.value: tally.checks[check] for check in Check},
        "stale": tally.stale,
        "overlapped": tally.overlapped,
        "switches": tally.switches,
        "peak_in_flight": tally.peak_in_flight,
        "native_threads": len(tally.threads),
        "rate_at_most": None if tally.cross_talk else upper_bound(tally.requests),
        "witness": _witness(proof.history.witness(name), tally),
    }


def _witness(witness: Witness | None, tally: Tally) -> dict[str, Any] | None:
    if witness is None:
        return None
    anomaly = witness.anomaly
    return {
        "kind": anomaly.kind,
        "checkpoint": anomaly.checkpoint,
        "after": anomaly.after or None,
        "read": dict(anomaly.read),
        "value": witness.value,
        "reader": _probe(anomaly.reader),
        "writer": None if witness.writer is None else _probe(witness.writer),
        "rate": tally.cross_talk / tally.requests,
    }


def _probe(probe: Probe) -> dict[str, Any]:
    return {"nonce": probe.nonce, "user": probe.user, "strategy": probe.strategy, "greenlet": probe.greenlet}


def picture(console: Console) -> str:
    """Return what ``console`` has shown, and recorded, as an SVG that loads nothing from elsewhere."""
    svg = console.export_svg(title="crosstalk prove", clear=False)
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)


def write(proof: Proof, folder: Path, svg: str) -> list[Path]:
    """Write ``report.json``, Locust's HTML (one a part) and the picture, and return the files.

    Each file is written beside its place and then moved there, so that none is
    ever half there.

    Raises:
        OSError: the folder cannot be made or written.

    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"report.json": json.dumps(document(proof), indent=2) + "\n"}
    texts["verdict.svg"] = svg
    texts |= {f"locust-{part.name}.html": part.html for part in proof.parts if part.html}
    return [_write_whole(folder / name, text) for name, text in texts.items()]


def _write_whole(path: Path, text: str) -> Path:
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        try:
            file.write(text)
            file.close()
            Path(file.name).chmod(0o644)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    return path
