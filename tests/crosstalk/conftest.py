"""Replies, records and listings made by hand, for judging and counting without a server."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from crosstalk.checker import Probe
from crosstalk.history import History, Request
from crosstalk.reply import Checkpoint, Fields, Reply

Answer = Callable[..., Reply]
Describe = Callable[..., dict[str, Any]]
Both = str | None
"""The value of both fields."""


def both(value: Both | Fields) -> Fields:
    """Return fields: as they are given, or both with one value."""
    return {"first": value, "second": value} if value is None or isinstance(value, str) else value


def reply(
    *reads: Both | Fields,
    strategy: str = "local",
    found: Both | Fields = None,
    errors: Sequence[str | None] = (),
    began: float = 0.0,
    step: float = 1.0,
    switches: int = 1,
    in_flight: int = 2,
    thread: int = 1,
    process: str = "p1",
    greenlet: int = 0xA,
    channel: str | None = None,
) -> Reply:
    """Return a reply with one checkpoint for each of ``reads``, one ``step`` of time after another."""
    all_errors = [*errors, *[None] * (len(reads) - len(errors))]
    checkpoints = [
        Checkpoint("sleep", both(read), error, switches, began + (3 + number) * step)
        for number, (read, error) in enumerate(zip(reads, all_errors, strict=True))
    ]
    return Reply(
        strategy=strategy,
        found=both(found),
        began=began,
        wrote=(began + step, began + 2 * step),
        checkpoints=tuple(checkpoints),
        greenlet=greenlet,
        thread=thread,
        pid=1,
        process=process,
        in_flight=in_flight,
        switches=switches,
        channel=channel,
    )


def probe(
    nonce: str,
    *reads: Both | Fields,
    cell: str = "local",
    user: int = 1,
    connection: int | None = None,
    start: float | None = None,
    end: float | None = None,
    fate: str | None = None,
    failed: str | None = None,
    **of_the_reply: object,
) -> Probe:
    """Return a record; its reply is left out when it was doomed or has failed."""
    made = reply(*reads, **of_the_reply) if fate is None and failed is None else None  # type: ignore[arg-type]
    began = made.began if made is not None else 0.0
    return Probe(
        cell,
        None,
        cell.rpartition("/")[2],
        user,
        nonce,
        connection,
        began if start is None else start,
        began + 10.0 if end is None else end,
        fate,
        failed,
        made,
    )


def answer(request: Request, *reads: Both | Fields, **changes: object) -> Reply:
    """Return a reply to ``request``."""
    return reply(*reads, strategy=request.strategy, **changes)  # type: ignore[arg-type]


def describe(name: str = "keep-alive", **changes: object) -> dict[str, Any]:
    """Return a hazard as a server lists it."""
    return {
        "name": name,
        "summary": "Something goes wrong.",
        "shows": "in what is read",
        "cause": "because",
        "incidents": [],
        "caught_as": ["cross-talk"],
        "exercise": {"name": "kept-alive", "fate": None, "share": 0.0},
        "alone": False,
        "own_server": None,
        "counts_left": False,
        "variants": {"broken": "with the mistake", "fixed": "without it"},
        "strategies": {"local": "isolated", "gevent-local": "cross-talk"},
        "not_applicable": {"context": "it is no situation for it"},
        **changes,
    }


@pytest.fixture(name="answer", scope="session")
def _answer() -> Answer:
    return answer


@pytest.fixture(name="describe", scope="session")
def _describe() -> Describe:
    return describe


@pytest.fixture(name="probe", scope="session")
def _probe() -> Callable[..., Probe]:
    return probe


@pytest.fixture(name="reply", scope="session")
def _reply() -> Answer:
    return reply


@pytest.fixture
def history() -> History:
    return History(seed=1)
