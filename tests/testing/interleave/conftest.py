"""What the tests of gevent's own things share: what a program logs in all of its orders."""

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from greenlane.testing.interleave import Exploration, explore

Log: TypeAlias = list[Any]
Body: TypeAlias = Callable[[Log], list[Any]]
Outcomes: TypeAlias = Callable[..., set[tuple[Any, ...]]]
Explored: TypeAlias = Callable[..., tuple[set[tuple[Any, ...]], Exploration]]
Pausing: TypeAlias = Callable[[Callable[[], object], Log, str], Callable[[], None]]


def outcomes(body: Body, **options: Any) -> set[tuple[Any, ...]]:
    """Return everything that the functions of ``body`` log in some order."""
    return explored(body, **options)[0]


def explored(body: Body, **options: Any) -> tuple[set[tuple[Any, ...]], Exploration]:
    seen: set[tuple[Any, ...]] = set()

    def program() -> Any:
        log: Log = []
        yield body(log)
        seen.add(tuple(log))

    exploration = explore(program, **options).check()
    assert exploration.covered
    return seen, exploration


def pausing(pause: Callable[[], object], log: Log, name: str) -> Callable[[], None]:
    def function() -> None:
        pause()
        log.append(name)

    return function


@pytest.fixture(name="outcomes")
def _outcomes() -> Outcomes:
    return outcomes


@pytest.fixture(name="explored")
def _explored() -> Explored:
    return explored


@pytest.fixture(name="pausing")
def _pausing() -> Pausing:
    return pausing
