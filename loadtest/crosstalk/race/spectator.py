"""What whoever watches a race is told: what it is to do, each request as it ends, and what came of it.

Nothing here imports Locust.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from crosstalk.checker import Judgement, Probe, Verdict
from crosstalk.history import Request
from crosstalk.race.plan import Race
from crosstalk.race.verdict import Raced


@dataclass(frozen=True, slots=True)
class Settings:
    """What a race is to do.

    Attributes:
        host: a running server's address, which may have a path.
        cells: what to race: ``HAZARD/STRATEGY`` each.
        requests: of each cell.
        at_once: of these, at the same time.
        hops: switches in each request.
        pause: milliseconds that each switch waits.
        seed: makes the nonces and the draws repeatable.

    """

    host: str
    cells: tuple[str, ...]
    requests: int
    at_once: int
    hops: int
    pause: int
    seed: int


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a race.

    Attributes:
        seconds: how long it was loaded.
        raced: what came of each cell, by name.
        verdict: the gravest on the cells that were asked for.

    """

    seconds: float
    raced: Mapping[str, Raced]
    verdict: Verdict


class Spectator:
    """Is told how a race goes; does nothing with it."""

    def begin(self, settings: Settings, race: Race) -> None:
        """Be told what will be raced."""

    def request(self, request: Request, probe: Probe, judgement: Judgement | None) -> None:
        """Be told of a request as soon as it has ended."""

    def end(self, result: Result) -> None:
        """Be told what came of it all."""
