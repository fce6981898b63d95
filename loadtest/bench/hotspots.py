"""Where Greenlane's own time goes under one load: what `sampler` counted, as tables."""

import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bench import measure, wrk
from bench.processes import serving, two_cores
from bench.servers import BY_NAME, GREENLANE
from bench.workloads import BY_NAME as WORKLOADS_BY_NAME


def run(name: str, seconds: int, console: Console) -> None:
    """Load Greenlane under the sampler and print where its time went."""
    wrk.ensure_wrk()
    workload, cores, server = WORKLOADS_BY_NAME[name], two_cores(), BY_NAME[GREENLANE]
    with tempfile.TemporaryDirectory(prefix="greenlane-bench-") as folder:
        path = Path(folder) / "samples.json"
        bench = measure.Bench(cores=cores, scratch=Path(folder), seconds=seconds, say=console.print)
        start = bench.start(workload.app)
        plain = server.command(start)
        command = [sys.executable, "-m", "bench.sampler", str(path), *plain[plain.index("run") :]]
        with serving(server, start, cores.server, Path(folder), command=command) as running:
            rate = measure.load_once(bench, running, workload, lambda: running.signal(signal.SIGUSR2)).rate
        found = json.loads(path.read_text())
    show(found, f"{workload.title}: {rate:,.0f} requests/s, {found['samples']:,} samples", console)


def show(found: dict[str, Any], title: str, console: Console, *, most: int = 30) -> None:
    """Print where a process stood when it was sampled: by module, and the ``most`` busiest functions."""
    samples = max(1, found["samples"])
    modules: dict[str, int] = {}
    for name, (own, _) in found["functions"].items():
        module = name.partition(":")[0]
        modules[module] = modules.get(module, 0) + own
    for heading, rows in (
        ("module", [(name, own, own) for name, own in modules.items()]),
        ("function", [(name, own, total) for name, (own, total) in found["functions"].items()]),
    ):
        table = Table(title=f"{title}, by {heading}", title_justify="left", box=box.SIMPLE)
        table.add_column(heading)
        table.add_column("own", justify="right")
        if heading == "function":
            table.add_column("with callees", justify="right")
        for name, own, total in sorted(rows, key=lambda row: -row[1])[:most]:
            values = [f"{own / samples:.1%}", f"{total / samples:.1%}"]
            table.add_row(name, *values[: 2 if heading == "function" else 1])
        console.print(table)
