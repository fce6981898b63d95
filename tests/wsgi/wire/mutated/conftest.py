"""How requests are damaged, for the tests that look at what comes of it, and for how long they do it.

Rule: everything is decided by the `Random` that is handed in, so that whoever has its seed has the bytes.

`make fuzz` runs these tests for a minute, from a seed that it prints, instead of a few hundred attempts from
a fixed one; `make fuzz ARGS='--fuzz-seconds 600 --fuzz-seed 7'` for ten, from that one.
"""

from collections.abc import Callable, Iterator
from itertools import count
from random import Random, SystemRandom
from time import monotonic

import pytest

_DANGEROUS = (
    *(bytes([code]) for code in b'\r\n\t\0 \x0b\x7f\x85\xa0\xff:;,="\\_-+019afAF#?/%@[]*.'),
    b"\r\n",
    b"\r\n\r\n",
    b"\r\n ",
    b" HTTP/1.1",
    b"chunked",
    b"0\r\n\r\n",
    b"5\r\nHello\r\n",
    b";a=b",
    b"GET / HTTP/1.1\r\n",
    b"Host: other\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip\r\n",
    b"Connection: close\r\n",
    b"Connection: upgrade\r\nUpgrade: any\r\n",
    b"Expect: 100-continue\r\n",
)
"""What to put where it does not belong."""


def mutate(random: Random, data: bytes, other: bytes) -> bytes:
    """Change `data` in a few places, as a bad client or an attacker would.

    Args:
        random: decides what happens where.
        data: what is changed.
        other: what a part may be taken from.

    """
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        at, to = sorted((random.randint(0, len(data)), random.randint(0, len(data))))
        lines = data.split(b"\r\n")
        line = random.randrange(len(lines))
        match random.randrange(7):
            case 0:
                data = data[:at] + random.choice(_DANGEROUS) + data[at:]
            case 1:
                data = data[:at] + random.choice(_DANGEROUS) + data[at + 1 :]
            case 2:
                data = data[:at] + data[at + random.randint(1, 3) :]
            case 3:
                data = b"\r\n".join((*lines[:line], *lines[line + 1 :]))
            case 4:
                data = b"\r\n".join((*lines[:line], lines[line], *lines[line:]))
            case 5:
                others = other.split(b"\r\n")
                data = b"\r\n".join((*lines[:line], random.choice(others), *lines[line:]))
            case _:
                data = data[:at] + other[random.randint(0, len(other)) :] + data[to:]
    return data


def in_pieces(random: Random, data: bytes) -> list[bytes]:
    """Cut `data` into one to six pieces."""
    places = sorted(random.randint(0, len(data)) for _ in range(random.randint(0, 5)))
    ends = zip([0, *places], [*places, len(data)], strict=True)
    return [data[start:end] for start, end in ends if start < end]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz-seconds", type=float, help="how long each test of damaged requests goes on")
    parser.addoption("--fuzz-seed", type=int, help="the first seed of the tests of damaged requests")


def seeds_until(seconds: float, first: int) -> Iterator[int]:
    """Seeds from `first` on, until the time is over."""
    end = monotonic() + seconds
    for seed in count(first):
        if monotonic() > end:
            print(f"{seed - first} attempts, with the seeds from {first} on")  # noqa: T201 - for `make fuzz`
            return
        yield seed


@pytest.fixture
def attempts(pytestconfig: pytest.Config) -> "Attempts":
    """The seeds to try: as many as asked for from 0 on, or what `make fuzz` has time for."""
    seconds = pytestconfig.getoption("--fuzz-seconds", default=None)
    first = pytestconfig.getoption("--fuzz-seed", default=None)

    def seeds(number: int) -> Iterator[int]:
        if seconds is None:
            return iter(range(first or 0, (first or 0) + number))
        return seeds_until(seconds, SystemRandom().randrange(10**9) if first is None else first)

    return seeds


Attempts = Callable[[int], Iterator[int]]
Damage = Callable[[Random, bytes, bytes], bytes]
Cut = Callable[[Random, bytes], list[bytes]]


@pytest.fixture(scope="session")
def damage() -> Damage:
    """See `mutate`."""
    return mutate


@pytest.fixture(scope="session")
def cut() -> Cut:
    """See `in_pieces`."""
    return in_pieces
