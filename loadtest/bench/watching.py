"""What it costs a server that somebody watches it at `/live`, with nothing in flight and with thousands.

Each round starts two servers, one after the other, with the same requests in flight, and takes the processor
time of each over as many seconds: one that nobody watches, and one that a client does. New ones, because a
server goes on measuring for a while when nobody watches any more. They run on a core of their own.
"""

import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import click
from rich import box
from rich.console import Console
from rich.table import Table

from bench.processes import Cores, Running, end, free_port, pinned, serving, two_cores
from bench.refusal import CannotRun
from bench.servers import BY_NAME, GREENLANE, ROOT, Start

IN_FLIGHT = (0, 2_000, 5_000)

NAP = 60.0
"""Seconds that each request lasts: few come and go, so that a watcher's share is not lost among theirs."""

_SETTLED = 2.0
"""Seconds after which starting is over."""

AIM = 0.02
"""Of a core: what one who watches may cost."""


@dataclass(frozen=True)
class Round:
    """The shares of a core that a server took: unwatched and watched, and what the watcher received."""

    alone: float
    watched: float
    received: int

    @property
    def cost(self) -> float:
        """What the watching cost, as a share of a core."""
        return self.watched - self.alone


class Watcher:
    """Reads `/live` on a thread of its own, and counts the snapshots.

    Args:
        port: the server's.

    """

    def __init__(self, port: int) -> None:
        self.snapshots = 0
        self._connection = socket.create_connection(("127.0.0.1", port), 10.0)
        self._connection.sendall(b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        with suppress(OSError):
            while data := self._connection.recv(65_536):
                self.snapshots += data.count(b"event: snapshot\n")

    def close(self) -> None:
        """Go away."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()


@contextmanager
def load(port: int, count: int, core: int) -> Iterator[None]:
    """Keep ``count`` requests in flight until the block ends.

    Raises:
        CannotRun: they could not be sent.

    """
    if not count:
        yield
        return
    with pinned(core):
        nappers = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "bench.nappers", str(port), str(count), str(NAP)],
            cwd=ROOT / "loadtest",
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
    said = cast("IO[bytes]", nappers.stdout)
    try:
        if said.readline() != b"under way\n":
            raise CannotRun("the load ended before it began")
        yield
        if nappers.poll() is not None:
            raise CannotRun("the load ended in the middle")
    finally:
        end(nappers)
        said.close()


def share(running: Running, seconds: float) -> float:
    """Return the share of a core that a server takes over the next ``seconds``."""
    before, began = running.cpu(), time.monotonic()
    time.sleep(seconds)
    return (running.cpu() - before) / (time.monotonic() - began)


def one(count: int, seconds: float, watched: bool, cores: Cores, scratch: Path) -> tuple[float, int]:
    """Return the share of a core of one server, and how many snapshots its watcher received.

    Raises:
        CannotRun: the server or the load failed, or a watcher received nothing.

    """
    start = Start(app="bare:nap", port=free_port(), connections=10_000)
    server = BY_NAME[GREENLANE]
    command = [*server.command(start), "--ops"]
    with (
        serving(server, start, cores.server, scratch, command=command) as running,
        load(start.port, count, cores.load),
    ):
        watcher = Watcher(start.port) if watched else None
        try:
            time.sleep(_SETTLED)
            found = share(running, seconds)
        finally:
            if watcher is not None:
                watcher.close()
        received = watcher.snapshots if watcher is not None else 0
        if watched and received < seconds:
            raise CannotRun(f"a watcher received {received} snapshots in {seconds:g} s")
        return found, received


def measure(
    counts: tuple[int, ...], rounds: int, seconds: float, log: Callable[[str], None]
) -> dict[int, list[Round]]:
    """Return the rounds of each number of requests in flight.

    Raises:
        CannotRun: see `one`.

    """
    cores = two_cores()
    found: dict[int, list[Round]] = {count: [] for count in counts}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for count in counts:
                log(f"round {number + 1}: {count:,} in flight")
                alone, _ = one(count, seconds, False, cores, Path(folder))
                watched, received = one(count, seconds, True, cores, Path(folder))
                found[count].append(Round(alone, watched, received))
    return found


def table(found: dict[int, list[Round]]) -> Table:
    """Return the figures as a table."""
    shown = Table(title="One who watches /live: shares of one core", box=box.SIMPLE)
    for column in ("in flight", "unwatched", "watched", "costs (rounds)", f"under {AIM:.0%}"):
        shown.add_column(column, justify="right")
    for count, rounds in found.items():
        costs = sorted(each.cost for each in rounds)
        cost = statistics.median(costs)
        shown.add_row(
            f"{count:,}",
            f"{statistics.median(each.alone for each in rounds):.2%}",
            f"{statistics.median(each.watched for each in rounds):.2%}",
            f"{cost:.2%} ({costs[0]:.2%} to {costs[-1]:.2%})",
            "yes" if cost < AIM else "no",
        )
    return shown


@click.command(help=__doc__)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Rounds of everything.")
@click.option(
    "--seconds",
    type=click.FloatRange(1),
    default=8,
    show_default=True,
    help="Of each server, unwatched and watched.",
)
@click.option(
    "--in-flight",
    "counts",
    type=click.IntRange(0),
    multiple=True,
    default=IN_FLIGHT,
    show_default=True,
    help="Requests in flight. May be repeated.",
)
def main(rounds: int, seconds: float, counts: tuple[int, ...]) -> None:
    """Print the table."""
    log = Console(stderr=True, highlight=False)
    try:
        found = measure(counts, rounds, seconds, log.print)
    except CannotRun as error:
        raise click.ClickException(str(error)) from None
    Console().print(table(found))


if __name__ == "__main__":
    main()
