"""A proof: what it is to do, and what its history has to say so that it can be judged and shown.

Everything that a report shows is in the history's header and end, beside the requests:
whoever reads a history back sees what the run has seen. Nothing here imports Locust.
"""

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crosstalk import options
from crosstalk.checker import Cell, Header, Role
from crosstalk.site import Counts, Strategy


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
        history: where the history is kept; None to keep none.
        counts: where the servers behind ``host`` are counted; empty for ``host`` itself.

    """

    host: str | None
    users: int
    duration: float
    min_requests: int
    strategies: tuple[str, ...]
    seed: int
    hops: int
    pause: int
    history: Path | None = None
    counts: tuple[str, ...] = ()


@dataclass(slots=True)
class Part:
    """One part of the run: a name, what it loaded, and what the server counted meanwhile.

    Attributes:
        name: ``controls`` or ``subjects``.
        strategies: what it loaded.
        users: users at once.
        seconds: how long.
        requests: that the server counted; None when it could not be asked afterwards.
        connections: that the server accepted, likewise.

    """

    name: str
    strategies: tuple[str, ...]
    users: int
    seconds: float = 0.0
    requests: int | None = None
    connections: int | None = None


def role_of(name: str, strategies: Mapping[str, Strategy], subjects: tuple[str, ...]) -> Role:
    """Return the part that a strategy plays in a proof of ``subjects``."""
    if name in subjects:
        return "subject"
    return "control" if strategies[name].role == "control" else "observed"


def environment() -> dict[str, Any]:
    """Return what a run is made on."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
    }


def header(
    settings: Settings, host: str, strategies: Mapping[str, Strategy], subjects: tuple[str, ...]
) -> Header:
    """Return the first line of a proof's history."""
    cells = {}
    for name, strategy in strategies.items():
        role = role_of(name, strategies, subjects)
        floor = settings.min_requests if role == "subject" else options.CONTROL_REQUESTS
        cells[name] = Cell(role, floor, locals=strategy.locals, summary=strategy.summary)
    return Header(
        seed=settings.seed,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        command=tuple(sys.argv[1:]),
        settings={
            "host": host,
            "users": settings.users,
            "duration_s": settings.duration,
            "min_requests": settings.min_requests,
            "hops": settings.hops,
            "pause_ms": settings.pause,
            "environment": environment(),
        },
        cells=cells,
    )


def facts(parts: list[Part], counts: Counts | None) -> dict[str, Any]:
    """Return what the last line of a proof's history has to say."""
    return {
        "parts": [asdict(part) for part in parts],
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "server": None
        if counts is None
        else {
            "peak_in_flight": counts.peak_in_flight,
            "native_threads_of_the_process": counts.native_threads,
        },
    }


def parts_of(stated: Mapping[str, Any]) -> list[Part]:
    """Return the parts that the facts of a history's last line tell of; none where it has none."""
    try:
        return [
            Part(
                str(part["name"]),
                tuple(map(str, part["strategies"])),
                int(part["users"]),
                float(part["seconds"]),
                None if part["requests"] is None else int(part["requests"]),
                None if part["connections"] is None else int(part["connections"]),
            )
            for part in stated["parts"]
        ]
    except (KeyError, TypeError, ValueError, OverflowError):  # the end of some other program's run
        return []
