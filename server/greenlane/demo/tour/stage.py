"""Running scenes: each on a greenlet of its own, with its output caught and its observations judged.

Whatever goes wrong in a scene is a check that does not hold; nothing that it leaves
in its lane reaches the next one. Knows nothing of terminals.
"""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any, Final

import gevent

from greenlane.demo.tour.chapter import Observed, Rule, Scene

LIMIT: Final = 20.0
"""Seconds that a scene may take: some hundred times what the slowest one needs."""

LONGEST: Final = 300
"""Characters of a value that are shown; a wrong one may be of any size."""


@dataclass(frozen=True)
class Check:
    """An expectation, and what was seen.

    Attributes:
        what: what it is about.
        expected: in words or as Python writes it.
        seen: likewise.
        holds: whether the two agree.
        rule: whether more than one value would have held.

    """

    what: str
    expected: str
    seen: str
    holds: bool
    rule: bool = False


@dataclass(frozen=True)
class Played:
    """What came of a scene.

    Attributes:
        output: what it printed.
        checks: one for each expectation, or for what kept it from its end.

    """

    output: str
    checks: tuple[Check, ...]


def play(scene: Scene) -> Played:
    """Run a scene and judge it. Raises nothing that the scene raises."""
    printed = io.StringIO()

    def run() -> tuple[Check, ...]:
        # Not raised from here, because gevent would print the traceback.
        try:
            return tuple(_judge(scene.expected, scene.run()))
        except Exception as error:
            return (_failure(_name(error)),)

    greenlet = gevent.spawn(run)
    greenlet.name = "main"
    try:
        with redirect_stdout(printed), _logging_to(printed):
            greenlet.join(LIMIT)
    finally:
        greenlet.kill()
    checks = greenlet.value if isinstance(greenlet.value, tuple) else None
    if checks is None:
        checks = (_failure(f"no end within {LIMIT:g} s"),)
    return Played(printed.getvalue(), checks)


@contextmanager
def _logging_to(printed: io.StringIO) -> Iterator[None]:
    """Add what is logged to what is printed: an App logs what its views raise."""
    handler = logging.StreamHandler(printed)
    handler.setFormatter(_Brief())
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


class _Brief(logging.Formatter):
    """Tells an exception, but not its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        told = f"{record.levelname}: {record.getMessage()}"
        error = record.exc_info and record.exc_info[1]
        return f"{told}: {_name(error)}" if error else told


def _judge(expected: Observed, seen: Observed) -> Iterator[Check]:
    for what, expectation in expected.items():
        if what not in seen:
            yield Check(what, _text(expectation), "nothing", holds=False)
            continue
        value = seen[what]
        rule = isinstance(expectation, Rule)
        holds = bool(
            expectation.holds(value) if rule else value == expectation
        )
        yield Check(what, _text(expectation), _text(value), holds, rule)
    for what in seen.keys() - expected.keys():
        yield Check(what, "nothing", _text(seen[what]), holds=False)


def _failure(reason: str) -> Check:
    return Check(
        "the code runs to its end",
        "no error",
        _shorten(reason),
        holds=False,
    )


def _name(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _text(value: Any) -> str:
    return value.text if isinstance(value, Rule) else _shorten(repr(value))


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
