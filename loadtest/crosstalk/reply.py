"""A probe's reply: what the server says that it read, checked for shape before it is believed.

Nothing here judges; :mod:`crosstalk.checker` does. Nothing here imports Locust.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

Fields: TypeAlias = Mapping[str, str | None]
"""What was read back, field by field; None where nothing was found."""


class InvalidReply(ValueError):  # noqa: N818 - the reply is what is invalid
    """A body that is no complete reply to the probe that was sent: the request failed."""


class Checkpoint(NamedTuple):
    """One reading back, after one switch: a tuple, since a run makes millions.

    Attributes:
        after: the way in which the request switched away before it.
        read: the fields as read back.
        error: what the reading raised, if it raised.
        switches: how often another probe acted since this one's previous step.
        at: when it read, in the server's monotonic seconds.

    """

    after: str
    read: Fields
    error: str | None
    switches: int
    at: float


@dataclass(slots=True)  # not frozen, since that takes four times as long to make
class Reply:
    """A complete reply. Times are the server's monotonic seconds.

    Attributes:
        strategy: the strategy's name, as the server gives it.
        found: the fields as found in the lane before anything was written.
        began: when the request looked at what is there.
        wrote: when it wrote the first field, and when the second.
        checkpoints: in the order in which they were passed.
        greenlet: the identity of the greenlet that served the request.
        thread: the native id of the OS thread that it ran on.
        pid: the server process, as its own machine or container numbers it.
        process: the server process, by a name that no other has.
        in_flight: how many requests the server had in flight.
        switches: how often another probe acted between two steps of this one.
        hazard: the hazard that was probed; None for a probe under ``/probe/``.
        channel: what the data came through, where requests take turns with one,
            such as a pooled connection.

    """

    strategy: str
    found: Fields
    began: float
    wrote: tuple[float, float]
    checkpoints: tuple[Checkpoint, ...]
    greenlet: int
    thread: int
    pid: int
    process: str
    in_flight: int
    switches: int
    hazard: str | None = None
    channel: str | None = None


def parse(body: bytes, *, strategy: str, hops: int, hazard: str | None = None) -> Reply:
    """Read the body of a 200 reply to a probe of ``strategy`` with ``hops`` switches.

    Raises:
        InvalidReply: it is not JSON in UTF-8 (RFC 8259, section 8.1), lacks something,
            or answers another probe than the one that was sent.

    """
    reply = from_document(_json(body))
    if reply.strategy != strategy:
        raise InvalidReply(f"asked for {strategy!r}, answered for {reply.strategy!r}")
    if reply.hazard != hazard:
        raise InvalidReply(f"asked for the hazard {hazard!r}, answered for {reply.hazard!r}")
    if len(reply.checkpoints) != hops:
        raise InvalidReply(f"asked for {hops} checkpoints, got {len(reply.checkpoints)}")
    return reply


def join(stream: bytes) -> bytes:
    """Return the body that a streamed reply would have had in one piece.

    Args:
        stream: lines of JSON: each but the last is a checkpoint, the last one is the
            reply without them.

    Raises:
        InvalidReply: the lines are no such reply.

    """
    *checkpoints, last = [_json(line) for line in stream.splitlines()] or [None]
    if not isinstance(last, dict) or last.get("checkpoints") != []:
        raise InvalidReply("the stream does not end with a reply without checkpoints")
    return json.dumps(last | {"checkpoints": checkpoints}, separators=(",", ":")).encode()


def doomed(status: int, body: bytes, fate: str) -> str | None:
    """Return None when a doomed request was answered as it announced, or else what is wrong."""
    expected = 500 if fate == "raise" else 503
    if status != expected:
        return f"announced {fate!r}, but ended with status {status}"
    try:
        document = _json(body)
    except InvalidReply as error:
        return f"announced {fate!r}: {error}"
    if document != {"doomed": fate}:
        return f"announced {fate!r}, but the server did not say so"
    return None


def _json(body: bytes) -> Any:
    try:
        # As text: given bytes, json would take UTF-16 and a byte order mark too.
        return json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise InvalidReply(f"the body is not JSON: {error}") from None


def from_document(document: Any) -> Reply:
    """Read a reply from its JSON document, whatever it answers.

    Raises:
        InvalidReply: it lacks something, or has it in another shape.

    """
    try:
        return Reply(
            strategy=_typed(document, "strategy", str),
            found=_fields(document["found"]),
            began=_seconds(document["began"]),
            wrote=_wrote(document["wrote"]),
            checkpoints=tuple([_checkpoint(each) for each in _typed(document, "checkpoints", list)]),
            greenlet=_typed(document, "greenlet", int),
            thread=_typed(document, "thread", int),
            pid=_typed(document, "pid", int),
            process=_typed(document, "process", str),
            in_flight=_typed(document, "in_flight", int),
            switches=_typed(document, "switches", int),
            hazard=_optional(document, "hazard"),
            channel=_optional(document, "channel"),
        )
    except (KeyError, TypeError) as error:
        raise InvalidReply(f"not a probe's reply: {error}") from None


def _typed(document: Any, key: str, kind: type[Any]) -> Any:
    value = document[key]
    if type(value) is not kind:
        raise TypeError(f"{key!r} is no {kind.__name__}")
    return value


def _optional(document: Any, key: str) -> Any:
    return _typed(document, key, str) if document.get(key) is not None else None


def _seconds(value: Any) -> float:
    if type(value) not in (float, int) or not math.isfinite(value):
        raise TypeError(f"{value!r} is no time in seconds")
    return float(value)


def _wrote(value: Any) -> tuple[float, float]:
    if type(value) is not list or len(value) != 2:
        raise TypeError("'wrote' is not the times of two writes")
    return _seconds(value[0]), _seconds(value[1])


def _fields(value: Any) -> Fields:
    if type(value) is not dict:
        raise TypeError("fields are no object of strings and nulls")
    for each in value.values():
        if each is not None and type(each) is not str:
            raise TypeError("fields are no object of strings and nulls")
    if len(value) < 2:
        raise TypeError("fewer than two fields, which cannot show that a write was torn")
    return value


def _checkpoint(value: Any) -> Checkpoint:
    error = value["error"]
    if error is not None and type(error) is not str:
        raise TypeError("'error' is no string")
    return Checkpoint(
        _typed(value, "after", str),
        _fields(value["read"]),
        error,
        _typed(value, "switches", int),
        _seconds(value["at"]),
    )
