"""The programs: small enough that every order of their steps can be run, and looked at one by one.

Each runs a few requests at once. What they do is written here; how it is run in every
order, and with what, is for :mod:`greenlane.demo.orders.explorer`.
"""

from dataclasses import dataclass
from itertools import chain
from math import factorial, prod
from typing import Final

from greenlane.demo.keeper import FIELDS


@dataclass(frozen=True)
class Step:
    """What a request does between two switches.

    Attributes:
        name: a word or two, as the page has it.
        writes: the fields that it writes its nonce to; none when it reads both back.

    """

    name: str
    writes: tuple[str, ...] = ()


_WRITE: Final = Step("write", FIELDS)
_READ: Final = Step("read")


@dataclass(frozen=True)
class Program:
    """A few requests that run at once.

    Attributes:
        name: its last path segment under ``/orders/``.
        title: what it is, for a reader.
        connections: the nonces of the requests on each connection, one letter each: the
            requests of a connection come one after another, in one greenlet.
        steps: what each request does, in turn; between any two it lets the others run.
        looks: each request looks first what lies in its place: whatever it finds is stale.

    """

    name: str
    title: str
    connections: tuple[str, ...]
    steps: tuple[Step, ...] = (_WRITE, _READ)
    looks: bool = False

    @property
    def requests(self) -> str:
        """The nonces of all requests, in alphabetical order."""
        return "".join(sorted(chain(*self.connections)))

    @property
    def orders(self) -> int:
        """How many orders there are: a multinomial coefficient, as a connection's steps stay in line."""
        lengths = [len(connection) * len(self.steps) for connection in self.connections]
        return factorial(sum(lengths)) // prod(map(factorial, lengths))


PROGRAMS: Final = {
    program.name: program
    for program in (
        Program("two", "Two requests, each writes and reads back", ("a", "b")),
        Program(
            "fields",
            "Two requests, each writes one field, then the other, and reads both back",
            ("a", "b"),
            (*(Step(f"write {field}", (field,)) for field in FIELDS), _READ),
        ),
        Program("three", "Three requests, each writes and reads back", ("a", "b", "c")),
        Program(
            "kept-alive",
            "Two connections, one of them kept alive: c follows a, on the same greenlet",
            ("ac", "b"),
            looks=True,
        ),
    )
}
