"""A proof: what it was to do, what it collected, and the verdicts drawn from that.

Nothing here imports Locust: a proof can be judged and shown without running one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from crosstalk import options
from crosstalk.history import History, Tally
from crosstalk.site import Counts, Strategy
from crosstalk.verdict import Finding, Idle, blind_spots, entries_left, judge_run, judge_strategy


@dataclass(frozen=True, slots=True)
class Settings:
    """What a proof is to do.

    Attributes:
        host: a running server's address; None to start one.
        users: users at once on the strategies that must hold.
        duration: seconds of load on them; at most twice that when the floor is not met.
        min_requests: the floor of complete requests for each of them.
        strategies: the names of the subjects; empty for those that the server names.
        seed: makes the nonces and the draws repeatable.
        hops: switches in each request.
        pause: milliseconds that each switch waits.

    """

    host: str | None
    users: int
    duration: float
    min_requests: int
    strategies: tuple[str, ...]
    seed: int
    hops: int
    pause: int


@dataclass(slots=True)
class Part:
    """One part of the run: a name, what it loaded, and what the server counted meanwhile."""

    name: str
    strategies: tuple[str, ...]
    users: int
    seconds: float = 0.0
    requests: int | None = None
    connections: int | None = None
    html: str = ""


@dataclass(slots=True)
class Proof:
    """Everything that a report shows."""

    settings: Settings
    host: str
    strategies: Mapping[str, Strategy]
    subjects: tuple[str, ...]
    history: History
    parts: list[Part] = field(default_factory=list)
    idle: Idle | None = None
    counts: Counts | None = None
    findings: dict[str, Finding] = field(default_factory=dict)
    finding: Finding | None = None

    def role(self, name: str) -> str:
        """Return the part that ``name`` plays in this proof."""
        if name in self.subjects:
            return "subject"
        role = self.strategies[name].role
        return "observed" if role == "subject" else role

    def tally(self, name: str) -> Tally:
        """Return what the requests of ``name`` came to."""
        return self.history.tally(name)


def judge(proof: Proof, idle: Idle) -> None:
    """Draw the verdicts, of each strategy and of the run, from what was collected."""
    proof.idle = idle = replace(idle, unknown=idle.unknown or _uncounted(proof, idle))
    floor = proof.settings.min_requests
    for name in proof.strategies:
        subject = name in proof.subjects
        left = entries_left(idle, proof.strategies[name].locals) if subject else []
        proof.findings[name] = judge_strategy(
            proof.tally(name), floor if subject else options.CONTROL_REQUESTS, left
        )
    controls = [name for name in proof.strategies if proof.role(name) == "control"]
    proof.finding = judge_run(
        {name: proof.findings[name] for name in proof.subjects},
        {name: proof.findings[name] for name in controls},
        idle,
        blind_spots(proof.tally(name) for name in controls),
    )


def _uncounted(proof: Proof, idle: Idle) -> str | None:
    """Say why the counts at idle do not tell what the subjects left behind, if they do not."""
    processes = {process for name in proof.subjects for process, _thread in proof.tally(name).threads}
    if len(processes) > 1:
        return f"{len(processes)} processes served the requests, and the counts are one process's"
    names = [name for subject in proof.subjects for name in proof.strategies[subject].locals]
    if absent := [name for name in names if name not in idle.entries]:
        return f"the entries of {', '.join(absent)} are not counted"
    return None
