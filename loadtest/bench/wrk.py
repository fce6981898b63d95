"""wrk: how it is run, and what it found.

Rule: a figure with failing replies behind it is no figure. wrk tells by `load.lua` in one line of JSON.
"""

import json
import resource
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.processes import pinned
from bench.refusal import CannotRun

CONNECTIONS = 64

_SCRIPT = Path(__file__).with_name("load.lua")

_OVERTIME = 30.0
"""Seconds that wrk may take beyond those of the load."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What wrk saw.

    Attributes:
        requests: complete replies.
        seconds: how long it took.
        median: latency, in seconds; ``p99`` and ``worst`` too.
        failures: what went wrong, by kind: ``status`` (neither 2xx nor 3xx), ``connect``, ``read``, ``write``
            and ``timeout``. Empty when nothing did.
        processor: the share of its core that wrk used. Near 1, the load and not the server was the limit.

    """

    requests: int
    seconds: float
    median: float
    p99: float
    worst: float
    failures: dict[str, int]
    processor: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def ensure_wrk() -> None:
    """Raise `CannotRun` with the way to get it, if wrk is not there."""
    if shutil.which("wrk") is None:
        raise CannotRun(
            "wrk is needed to load the servers: on Debian and Ubuntu, apt-get install wrk. "
            "Without it: make bench ARGS='--only locals,lanes,orders'"
        )


def parse(said: str, processor: float) -> Load:
    """Read what wrk printed.

    Args:
        said: its standard output.
        processor: the share of its core that it used.

    Raises:
        CannotRun: it has no line of `load.lua`.

    """
    for line in said.splitlines():
        if line.startswith('{"requests"'):
            found = json.loads(line)
            break
    else:
        raise CannotRun(f"wrk told nothing: {said.strip() or 'no output'}")
    kinds = ("status", "connect", "read", "write", "timeout")
    return Load(
        requests=found["requests"],
        seconds=found["microseconds"] / 1e6,
        median=found["median"] / 1e6,
        p99=found["p99"] / 1e6,
        worst=found["worst"] / 1e6,
        failures={kind: found[kind] for kind in kinds if found[kind]},
        processor=processor,
    )


def load(url: str, kind: str, seconds: float, core: int, headers: dict[str, str]) -> Load:
    """Load ``url`` from ``core``.

    Args:
        url: what to ask for.
        kind: what `load.lua` sends: ``get``, ``upload`` or ``echo``.
        seconds: how long; whole seconds, since wrk knows no others.
        core: where wrk runs.
        headers: sent with each request.

    Raises:
        CannotRun: wrk failed.

    """
    sent = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    command = [
        *("wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{seconds:.0f}s"),
        *("--timeout", "10s", "--script", str(_SCRIPT), *sent, url, "--", kind),
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with pinned(core):
        try:
            done = subprocess.run(  # noqa: S603 - wrk
                command, capture_output=True, text=True, check=False, timeout=seconds + _OVERTIME
            )
        except subprocess.TimeoutExpired as error:
            raise CannotRun(f"wrk did not end within {_OVERTIME:g} s of its time") from error
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return parse(done.stdout + done.stderr, used / seconds)
