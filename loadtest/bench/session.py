"""One run of the benchmark: what was asked for, and the report that comes of it.

Rule: what is missing is said before anything is measured, and a run leaves no process and no file behind.
"""

import os
import platform
import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import environments, measure, wrk
from bench.figures import Report
from bench.processes import two_cores
from bench.refusal import CannotRun
from bench.servers import GREENLANE, ROOT, SERVERS, Server
from bench.workloads import BY_NAME as WORKLOADS_BY_NAME
from bench.workloads import Workload

_SPARE_FILES = 900

_OWN_PACKAGES = ("greenlane", "gevent", "greenlet", "httptools", "werkzeug", "flask")


@dataclass(kw_only=True)
class Session:
    """What was asked for.

    Attributes:
        rounds: how often everything is measured.
        seconds: of each load.
        parts: names of workloads, ``flight`` and ``locals``.
        names: of servers; Greenlane is always among them, since all are compared with it.
        in_flight: requests at once, for ``flight``.
        nap: seconds that each of those sleeps.
        log: for progress.

    """

    rounds: int
    seconds: int
    parts: tuple[str, ...]
    names: tuple[str, ...]
    in_flight: int
    nap: int
    log: Console
    skipped: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.workloads: list[Workload] = [
            workload for name, workload in WORKLOADS_BY_NAME.items() if name in self.parts
        ]
        self.servers: list[Server] = [server for server in SERVERS if server.name in (*self.names, GREENLANE)]

    @property
    def _loads(self) -> bool:
        return bool(self.workloads) or "flight" in self.parts

    def run(self) -> Report:
        """Make the environments and measure.

        Raises:
            CannotRun: something is missing.

        """
        if self._loads:
            wrk.ensure_wrk()
        if "flight" in self.parts:
            _allow_files(self.in_flight + _SPARE_FILES)
        self.set_up()
        report = self._empty_report()
        with tempfile.TemporaryDirectory(prefix="greenlane-bench-") as folder:
            self._measure(report, Path(folder))
        report.machine["load after"] = _load_average()
        return report

    def set_up(self) -> None:
        """Make the environments.

        Raises:
            CannotRun: one that is not optional cannot be made.

        """
        usable = []
        for server in self.servers:
            try:
                if server.environment and self._loads:
                    environments.ensure(server.environment, self.log.print)
                usable.append(server)
            except CannotRun as error:
                if not server.optional:
                    raise
                self.skipped[server.name] = str(error)
                self.log.print(f"skipped {error}")
        self.servers = usable
        if "locals" in self.parts:
            environments.ensure("locals", self.log.print)

    def _measure(self, report: Report, folder: Path) -> None:
        if not (self._loads or "locals" in self.parts):
            return
        cores = two_cores()
        with _told(self.log) as say:
            bench = measure.Bench(cores=cores, scratch=folder, seconds=self.seconds, say=say)
            if self.workloads:
                pairs = measure.plan(self.workloads, self.servers)
                report.cells = measure.run_rounds(bench, pairs, self.rounds)
            for server in self.servers:
                if "flight" in self.parts and server.holds_many:
                    flight = measure.run_flight(bench, server, self.in_flight, self.nap)
                    report.flights.append(flight)
                    say(f"in flight  {server.title}: {flight.fault or f'{flight.each:.1f} KiB each'}")
            if "locals" in self.parts:
                report.costs = measure.run_locals(cores.server, max(3, self.rounds))
                say("Locals timed")

    def _empty_report(self) -> Report:
        pins = {server.environment for server in self.servers if server.environment}
        return Report(
            when=datetime.now(UTC).isoformat(timespec="seconds"),
            machine=_machine(),
            settings={
                "rounds": self.rounds,
                "seconds": self.seconds,
                "connections": wrk.CONNECTIONS,
                "in flight": self.in_flight,
                "nap": self.nap,
            },
            versions={
                GREENLANE: {name: version(name) for name in _OWN_PACKAGES},
                **{name: environments.versions(name) for name in sorted(pins)},
            },
            asked=[server.name for server in self.servers] if self._loads else [],
            skipped=self.skipped,
        )


@contextmanager
def _told(log: Console) -> Iterator[Callable[[str], None]]:
    """Give a function that prints a line; on a terminal, a spinner shows that it goes on."""
    if not log.is_terminal:
        yield log.print
        return
    with log.status("measuring; Ctrl-C ends it and every server", refresh_per_second=1):
        yield log.print


def _allow_files(wanted: int) -> None:
    """Raise this process's limit of open files, which its children inherit.

    Raises:
        CannotRun: the system does not allow so many.

    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise CannotRun(
            f"{wanted:,} open files are needed, the system allows {hard:,} (`ulimit -Hn`): "
            "fewer --in-flight will do"
        )
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else hard, hard))


def _machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": (models or ["unknown"])[0],
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "commit": _commit(),
        "load before": _load_average(),
    }


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - git
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def _load_average() -> str:
    return f"{os.getloadavg()[0]:.2f}"
