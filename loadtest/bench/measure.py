"""The measuring itself: rounds of loads, requests in flight, and Locals, all on the two cores.

Rule: what is compared is measured in turn, so that a slow minute of the machine meets all alike; and what
goes wrong with one server is a problem in its own figures and ends nothing else.
"""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from bench import replies, wrk
from bench.figures import Cell, Cost, Flight, Round
from bench.processes import Cores, Running, end, free_port, pinned, serving
from bench.refusal import CannotRun
from bench.servers import ROOT, Server, Start, program
from bench.workloads import BY_NAME, Workload

_WARMING = 1
_SPARE_CONNECTIONS = 500
_GATHERING = 60.0
"""Seconds in which all requests must be in flight, if they sleep so long."""

_LOOPS = 200_000


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where and how long to measure.

    Attributes:
        cores: for the server, and for the load.
        scratch: a folder for what servers print.
        seconds: of each load.
        say: gets a line for each figure.

    """

    cores: Cores
    scratch: Path
    seconds: int
    say: Callable[[str], None]

    def start(self, app: str, connections: int = 0) -> Start:
        """Return what a server is to do, on a port that is free."""
        return Start(app=app, port=free_port(), connections=connections)


def plan(workloads: Iterable[Workload], servers: list[Server]) -> list[tuple[Workload, Server]]:
    """Return what one round measures, in order, each cell once."""
    cells: dict[tuple[str, str], tuple[Workload, Server]] = {}
    for workload in workloads:
        for server in servers:
            if server.runs(workload.name):
                measured = BY_NAME[workload.measured(server.name)]
                cells.setdefault((measured.name, server.name), (measured, server))
    return list(cells.values())


def run_rounds(bench: Bench, pairs: list[tuple[Workload, Server]], rounds: int) -> list[Cell]:
    """Measure every pair once, then all of them again, ``rounds`` times."""
    cells = [Cell(workload=workload.name, server=server.name) for workload, server in pairs]
    for number in range(1, rounds + 1):
        for cell, (workload, server) in zip(cells, pairs, strict=True):
            measured = run_round(bench, workload, server)
            cell.rounds.append(measured)
            told = measured.fault or f"{measured.rate:,.0f} requests/s"
            bench.say(f"round {number}/{rounds}  {workload.name:<6}  {server.title}: {told}")
    return cells


def run_round(bench: Bench, workload: Workload, server: Server) -> Round:
    """Start a server, check its replies, warm it, load it, and end it."""
    try:
        with serving(server, bench.start(workload.app), bench.cores.server, bench.scratch) as running:
            return load_once(bench, running, workload)
    except CannotRun as error:
        return Round(problem=str(error))


def load_once(
    bench: Bench, running: Running, workload: Workload, warm: Callable[[], None] = lambda: None
) -> Round:
    """Check a running server's replies, warm it, and load it.

    Args:
        bench: where and how long.
        running: the server.
        workload: what is asked.
        warm: called when it is warm, before the load that counts.

    Raises:
        CannotRun: a reply was wrong, or the server or wrk failed.

    """
    headers = replies.check(running.port, workload)
    url = running.url + workload.path
    wrk.load(url, workload.load, _WARMING, bench.cores.load, headers)
    warm()
    used, began = running.cpu(), time.monotonic()
    found = wrk.load(url, workload.load, bench.seconds, bench.cores.load, headers)
    share = (running.cpu() - used) / (time.monotonic() - began)
    running.check()
    return Round(
        rate=found.rate,
        median=found.median,
        p99=found.p99,
        worst=found.worst,
        failures=found.failures,
        server_core=share,
        load_core=found.processor,
    )


def run_flight(bench: Bench, server: Server, count: int, seconds: int) -> Flight:
    """Hold ``count`` requests in flight on one server, each asleep for ``seconds``.

    The memory before is read when the server is warm, and the memory at the peak when the application
    says that it holds all of them. Then hello is loaded beside them.
    """
    flight = Flight(server=server.name, wanted=count)
    start = bench.start("bare:nap", count + _SPARE_CONNECTIONS)
    try:
        with serving(server, start, bench.cores.server, bench.scratch) as running:
            wrk.load(running.url, "get", _WARMING, bench.cores.load, {})
            flight = replace(flight, before=running.resident())
            with pinned(bench.cores.load):
                throng = _start_throng(running.port, count, seconds)
            try:
                flight = _watch(bench, running, throng, flight)
                said, _ = throng.communicate(timeout=seconds + 3 * _GATHERING)
            finally:
                end(throng)
    except subprocess.TimeoutExpired:
        return replace(flight, problem="the clients did not end")
    except CannotRun as error:
        return replace(flight, problem=str(error))
    if throng.returncode:
        return replace(flight, problem=f"the clients ended with code {throng.returncode}")
    return replace(flight, **json.loads(said))


def _start_throng(port: int, count: int, seconds: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "bench.throng", str(port), str(count), str(seconds)]
    return subprocess.Popen(  # noqa: S603 - our own program
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True, env=_with_sources()
    )


def _watch(bench: Bench, running: Running, throng: "subprocess.Popen[bytes]", flight: Flight) -> Flight:
    """Wait until all are in flight, or fewer again; read the memory, and load hello beside them."""
    deadline, most = time.monotonic() + _GATHERING, 0
    while most < flight.wanted and time.monotonic() < deadline and throng.poll() is None:
        running.check()
        held = _held(running.port)
        if held < most:
            break
        most = held
        time.sleep(0.05)
    flight = replace(flight, held=most, peak=running.resident())
    if most < flight.wanted:
        return flight
    beside = wrk.load(running.url, "get", min(3, bench.seconds), bench.cores.load, {})
    still = _held(running.port) == flight.wanted
    # Some have come back meanwhile: it was not beside all of them.
    return replace(flight, beside=0.0 if beside.failures or not still else beside.rate)


def _held(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_GATHERING)
    try:
        connection.request("GET", "/held")
        return int(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise CannotRun(f"it does not say how many it holds: {error!r}") from error
    finally:
        connection.close()


def run_locals(core: int, rounds: int) -> list[Cost]:
    """Time the Locals, in the environment of the others."""
    script = Path(__file__).with_name("family.py")
    with pinned(core):
        done = subprocess.run(  # noqa: S603 - the interpreter of an environment that we made
            [program("locals", "python"), str(script), str(rounds), str(_LOOPS)],
            env={**os.environ, "PYTHONPATH": str(ROOT / "server")},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise CannotRun(f"the Locals could not be timed: {done.stderr.strip().splitlines()[-1:]}")
    return [Cost(**one) for one in json.loads(done.stdout)]


def run_program(name: str) -> None:
    """Run one of the benchmarks that are programs of their own and print themselves.

    Raises:
        CannotRun: it failed.

    """
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", f"bench.{name}"], check=False, env=_with_sources()
    )
    if done.returncode:
        raise CannotRun(f"{name} ended with code {done.returncode}")


def _with_sources() -> dict[str, str]:
    places = os.pathsep.join([str(ROOT / "server"), str(ROOT / "loadtest")])
    return {**os.environ, "PYTHONPATH": places}
