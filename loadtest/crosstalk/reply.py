"""A probe's reply: what the server says that it read, checked for shape before it is believed.

Nothing here judges; :mod:`crosstalk.oracle` does. Nothing here imports Locust.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Fields: TypeAlias = Mapping[str, str | None]
"""What was read back, field by field; None where nothing was found."""


class InvalidReply(ValueError):  # noqa: N818 - the reply is what is invalid
    """A body that is no complete reply to the probe that was sent: the request failed."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One reading back, after one switch.

    Attributes:
        after: the way in which the request switched away before it.
        read: the fields as read back.
        error: what the reading raised, if it raised.
        switches: how often another probe acted since this one's previous step.

    """

    after: str
    read: Fields
    error: str | None
    switches: int


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete reply.

    Attributes:
        strategy: the strategy's name, as the server gives it.
        found: the fields as found in the lane before anything was written.
        checkpoints: in the order in which they were passed.
        greenlet: the identity of the greenlet that served the request.
        thread: the native id of the OS thread that it ran on.
        pid: the server process.
        in_flight: how many requests the server had in flight.
        switches: how often another probe acted between two steps of this one.

    """

    strategy: str
    found: Fields
    checkpoints: tuple[Checkpoint, ...]
    greenlet: int
    thread: int
    pid: int
    in_flight: int
    switches: int


def parse(body: bytes, *, strategy: str, hops: int) -> Reply:
    """Read the body of a 200 reply to a probe of ``strategy`` with ``hops`` switches.

    Raises:
        InvalidReply: it is not JSON, lacks something, or answers another probe
            than the one that was sent.

    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidReply(f"the body is not JSON: {error}") from None
    try:
        reply = Reply(
            strategy=_typed(document, "strategy", str),
            found=_fields(document["found"]),
            checkpoints=tuple(_checkpoint(each) for each in _typed(document, "checkpoints", list)),
            greenlet=_typed(document, "greenlet", int),
            thread=_typed(document, "thread", int),
            pid=_typed(document, "pid", int),
            in_flight=_typed(document, "in_flight", int),
            switches=_typed(document, "switches", int),
        )
    except (KeyError, TypeError) as error:
        raise InvalidReply(f"not a probe's reply: {error}") from None
    if reply.strategy != strategy:
        raise InvalidReply(f"asked for {strategy!r}, answered for {reply.strategy!r}")
    if len(reply.checkpoints) != hops:
        raise InvalidReply(f"asked for {hops} checkpoints, got {len(reply.checkpoints)}")
    return reply


def _typed(document: Any, key: str, kind: type[Any]) -> Any:
    value = document[key]
    if type(value) is not kind:
        raise TypeError(f"{key!r} is no {kind.__name__}")
    return value


def _fields(value: Any) -> Fields:
    if not isinstance(value, dict) or not all(
        each is None or isinstance(each, str) for each in value.values()
    ):
        raise TypeError("fields are no object of strings and nulls")
    if len(value) < 2:
        raise TypeError("fewer than two fields, which cannot show that a write was torn")
    return value


def _checkpoint(value: Any) -> Checkpoint:
    error = value["error"]
    if error is not None and not isinstance(error, str):
        raise TypeError("'error' is no string")
    return Checkpoint(
        after=_typed(value, "after", str),
        read=_fields(value["read"]),
        error=error,
        switches=_typed(value, "switches", int),
    )
