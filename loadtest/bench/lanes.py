"""What unreleased lanes cost: nothing that stays, shown beside two ways that go wrong.

Runs 100,000 greenlets one after another, each of which sets a value that refers
back to its greenlet and releases nothing, then prints how many entries are left
and how large the process is, and does so again: for Greenlane's Local, for a dict keyed by the
greenlet (nothing leaks across, everything stays), and for a dict keyed by
``id(greenlet)`` (which inherits). What a look-up costs is measured by `family`.
"""

import gc
import os
from collections.abc import Callable
from typing import Any

import click
import greenlet
import psutil
from rich import box
from rich.console import Console
from rich.table import Table

from greenlane.context import Local

GREENLETS = 100_000
MEMORY_ROUNDS = 4


def resident() -> float:
    """Return the resident memory of this process in MiB."""
    return float(psutil.Process(os.getpid()).memory_info().rss) / 2**20


class GreenletKeyed:
    """A Local's storage as a dict that holds its greenlets: the first known mistake."""

    def __init__(self) -> None:
        self.__storage__: dict[object, Any] = {}

    def set(self, value: object) -> bool:
        """Store ``value`` and return whether something was there."""
        ident = greenlet.getcurrent()
        inherited = ident in self.__storage__
        self.__storage__[ident] = value
        return inherited


class AddressKeyed(GreenletKeyed):
    """The same keyed by address: the second known mistake."""

    def set(self, value: object) -> bool:
        """Store ``value`` and return whether something was there."""
        ident = id(greenlet.getcurrent())
        inherited = ident in self.__storage__
        self.__storage__[ident] = type(value)  # the address alone, so that it can be recycled
        return inherited


class OwnLocal:
    """Greenlane's Local, asked the same."""

    def __init__(self) -> None:
        self.local = Local()
        self.__storage__ = self.local.__storage__

    def set(self, value: object) -> bool:
        """Store ``value`` and return whether something was there."""
        inherited = hasattr(self.local, "value")
        self.local.value = value
        return inherited


def survivors(make: Callable[[], OwnLocal | GreenletKeyed]) -> list[tuple[int, int, float]]:
    """Return after each round: greenlets that inherited, entries left, resident MiB."""
    storage = make()
    inherited = 0

    def lane() -> None:
        nonlocal inherited
        inherited += storage.set({"greenlet": greenlet.getcurrent()})

    rounds = []
    for _ in range(MEMORY_ROUNDS):
        for _ in range(GREENLETS):
            greenlet.greenlet(lane).switch()
        gc.collect()  # every value is a cycle
        rounds.append((inherited, len(storage.__storage__), resident()))
    return rounds


@click.command(help=__doc__)
def main() -> None:
    """Print the table."""
    console = Console()
    table = Table(
        title=f"Rounds of {GREENLETS:,} greenlets, one after another, none released", box=box.SIMPLE
    )
    for column in (
        "storage",
        "inherited a dead one's value",
        "entries left",
        "resident MiB after each round",
    ):
        table.add_column(column, justify="left" if column == "storage" else "right")
    for name, make in (
        ("Local", OwnLocal),
        ("dict by greenlet", GreenletKeyed),
        ("dict by id(greenlet)", AddressKeyed),
    ):
        rounds = survivors(make)
        inherited, left, _ = rounds[-1]
        table.add_row(name, f"{inherited:,}", f"{left:,}", " ".join(f"{memory:.0f}" for *_, memory in rounds))
    console.print(table)


if __name__ == "__main__":
    main()
