"""What was measured: rounds, medians, ratios, and whether an aim is reached. The JSON report is made of it.

Rule: nothing here measures or prints. A cell with one bad round is invalid and has no median.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.workloads import AIMS, BY_NAME, MEMORY_AIM, Aim

SCHEMA = 1
"""The version of the JSON report; raised when a field changes its meaning or goes."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """One load of one server.

    Attributes:
        rate: requests a second.
        median: latency in seconds; ``p99`` and ``worst`` too.
        failures: what wrk counted as failed, by kind.
        server_core: the share of its core that the server used: near 1 unless it waits, or others work there.
        load_core: the same of wrk's. Near 1, the load was the limit.
        problem: why there is no figure; "" when there is one.

    """

    rate: float = 0.0
    median: float = 0.0
    p99: float = 0.0
    worst: float = 0.0
    failures: dict[str, int] = field(default_factory=dict)
    server_core: float = 0.0
    load_core: float = 0.0
    problem: str = ""

    @property
    def fault(self) -> str:
        """Why this is no figure; "" when it is one."""
        if self.failures:
            return "failed: " + ", ".join(f"{count:,} {kind}" for kind, count in self.failures.items())
        return self.problem or ("" if self.rate > 0 else "no reply at all")


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """How many times one is the other: the median over the rounds, the lowest and the highest."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, ones: list[float], others: list[float]) -> "Ratio":
        """Compare round with round: what slows the machine for a while slows both.

        Raises:
            ValueError: there are no rounds, or not the same number of them.

        """
        each = [one / other for one, other in zip(ones, others, strict=True)]
        if not each:
            raise ValueError("no rounds to compare")
        return cls(value=median(each), low=min(each), high=max(each))


@dataclass(kw_only=True)
class Cell:
    """One server under one workload, in all rounds."""

    workload: str
    server: str
    rounds: list[Round] = field(default_factory=list)

    @property
    def fault(self) -> str:
        """Why it is invalid; "" when it is not."""
        return next((one.fault for one in self.rounds if one.fault), "" if self.rounds else "not measured")

    @property
    def rates(self) -> list[float]:
        """Requests a second, by round."""
        return [one.rate for one in self.rounds]

    @property
    def core_rates(self) -> list[float]:
        """Requests for each second of processor time that the server used, by round."""
        return [one.rate / one.server_core for one in self.rounds]

    def middle(self, name: str) -> float:
        """Return the median over the rounds of the field ``name``."""
        return median(float(getattr(one, name)) for one in self.rounds)


@dataclass(frozen=True, kw_only=True)
class Flight:
    """Many requests in flight at once on one server.

    Attributes:
        server: its name.
        wanted: how many requests were sent.
        held: the most that the application held at once.
        before: resident memory with none in flight, in bytes.
        peak: the same with ``held`` in flight.
        right: replies that were complete, 200 and had their own nonce.
        wrong: complete replies that were not.
        lost: requests without a complete reply.
        late_median: how much later than asked for replies came, in seconds; ``late_p99``, ``late_worst`` too.
        beside: requests a second of hello while they were in flight; 0 where that failed.
        problem: why there is no figure; "" when there is one.

    """

    server: str
    wanted: int
    held: int = 0
    before: int = 0
    peak: int = 0
    right: int = 0
    wrong: int = 0
    lost: int = 0
    late_median: float = 0.0
    late_p99: float = 0.0
    late_worst: float = 0.0
    beside: float = 0.0
    problem: str = ""

    @property
    def fault(self) -> str:
        """Why this is no figure; "" when it is one."""
        if self.problem:
            return self.problem
        if self.right != self.wanted:
            return f"{self.lost:,} lost, {self.wrong:,} wrong"
        return "" if self.held == self.wanted else f"at most {self.held:,} of {self.wanted:,} at once"

    @property
    def each(self) -> float:
        """KiB of resident memory for each request in flight."""
        return (self.peak - self.before) / self.held / 1024 if self.held else 0.0


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one operation on one kind of Local takes: nanoseconds, by round."""

    subject: str
    operation: str
    rounds: list[float]

    @property
    def nanoseconds(self) -> float:
        """The median over the rounds."""
        return median(self.rounds)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether an aim is reached.

    Attributes:
        aim: what it is about.
        value: what was measured; None where that failed. It alone is judged.
        per_core: the same for each second of processor time of the servers instead of each second. Where
            others ran on the server's core it is the truer one; a server that waits looks too good by it.
        floor, goal: the bounds in words.
        floor_met, goal_met: None where ``value`` is.

    """

    aim: str
    value: float | None
    per_core: float | None = None
    floor: str
    goal: str
    floor_met: bool | None
    goal_met: bool | None


@dataclass(kw_only=True)
class Report:
    """Everything of one run.

    Attributes:
        when: ISO 8601, UTC.
        machine: processor, kernel, Python, the load before and after, and the like.
        settings: rounds, seconds and connections.
        versions: by environment, the version of each package in it.
        asked: the names of the servers that were to be measured.
        skipped: those of them that were not, with the reason.
        cells, flights, costs: the figures.

    """

    when: str
    machine: dict[str, Any]
    settings: dict[str, Any]
    versions: dict[str, dict[str, str]]
    asked: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    flights: list[Flight] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)

    def cell(self, workload: str, server: str) -> Cell | None:
        """Return a server's cell of a workload, borrowed from another one where the workload says so."""
        wanted = BY_NAME[workload].measured(server)
        return next((one for one in self.cells if (one.workload, one.server) == (wanted, server)), None)

    def ratio(self, workload: str, one: str, other: str) -> Ratio | None:
        """Return how many times the throughput of ``other`` ``one`` has; None without two valid cells."""
        cells = self._pair(workload, one, other)
        return Ratio.of(cells[0].rates, cells[1].rates) if cells else None

    def _pair(self, workload: str, one: str, other: str) -> tuple[Cell, Cell] | None:
        first, second = self.cell(workload, one), self.cell(workload, other)
        if first is None or second is None or first.fault or second.fault:
            return None
        return first, second

    def verdicts(self, server: str) -> list[Verdict]:
        """Judge every aim for ``server`` whose workload and peer were measured."""
        found = [self._throughput(aim, server) for aim in AIMS if self.cell(aim.workload, aim.peer)]
        flight = next((one for one in self.flights if one.server == server), None)
        if flight is None:
            return found
        each = None if flight.fault else flight.each
        met = each is not None and each <= MEMORY_AIM
        bound = f"<= {MEMORY_AIM:g} KiB, none lost"
        found.append(
            Verdict(
                aim="KiB of a request in flight",
                value=each,
                floor=bound,
                goal=bound,
                floor_met=met,
                goal_met=met,
            )
        )
        return found

    def _throughput(self, aim: Aim, server: str) -> Verdict:
        cells = self._pair(aim.workload, server, aim.peer)
        value = Ratio.of(cells[0].rates, cells[1].rates).value if cells else None
        per_core = Ratio.of(cells[0].core_rates, cells[1].core_rates).value if cells else None
        return Verdict(
            aim=f"{aim.workload}: times {aim.peer}",
            value=value,
            per_core=per_core,
            floor=f"{aim.floor:.1f}",
            goal=f"{aim.goal:.1f}",
            floor_met=None if value is None else value >= aim.floor,
            goal_met=None if value is None else value >= aim.goal,
        )

    @property
    def crowded(self) -> bool:
        """Whether others were at work on this machine as the run began: on average half a process or more."""
        return float(self.machine.get("load before", 0)) >= 0.5

    @property
    def whole(self) -> bool:
        """Whether all that was measured is valid."""
        faults = [cell.fault for cell in self.cells] + [flight.fault for flight in self.flights]
        return not any(faults)


def write(report: Report, path: Path, server: str) -> None:
    """Write a report as JSON: its fields, and medians, ratios and verdicts that follow from them."""
    derived = [
        {
            "workload": cell.workload,
            "server": cell.server,
            "fault": cell.fault,
            "rate": None if cell.fault else cell.middle("rate"),
            "times": asdict(ratio) if (ratio := report.ratio(cell.workload, server, cell.server)) else None,
        }
        for cell in report.cells
    ]
    verdicts = [asdict(one) for one in report.verdicts(server)]
    content = {"schema": SCHEMA, **asdict(report), "medians": derived, "aims": verdicts}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


def read(path: Path) -> Report:
    """Read a report that `write` wrote; what follows from its fields is worked out anew.

    Raises:
        ValueError: it is no such report.

    """
    try:
        content = json.loads(path.read_text())
        if content["schema"] != SCHEMA:
            raise ValueError(f"{path} has schema {content['schema']}, not {SCHEMA}")
        return Report(
            cells=[
                Cell(
                    workload=one["workload"],
                    server=one["server"],
                    rounds=[Round(**measured) for measured in one["rounds"]],
                )
                for one in content["cells"]
            ],
            flights=[Flight(**one) for one in content["flights"]],
            costs=[Cost(**one) for one in content["costs"]],
            **{
                name: content[name]
                for name in ("when", "machine", "settings", "versions", "asked", "skipped")
            },
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is no report of this benchmark: {error!r}") from error
