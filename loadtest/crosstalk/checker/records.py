"""What a history is made of: one record a line, and their shapes in JSON.

Pure data: nothing here reads a file, judges, or imports Locust.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, get_args

from crosstalk import reply as replies
from crosstalk.checker.kinds import Role
from crosstalk.reply import Reply

SCHEMA = 1
"""The version of the history; raised when a field changes its meaning or goes."""


class NoRecord(ValueError):  # noqa: N818 - the line is what is wrong
    """A document that is no record of a history."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is judged by itself: a strategy, or a hazard under a strategy.

    Attributes:
        role: what is demanded of it: ``subject`` must hold, ``control`` must be caught,
            nothing is demanded of ``observed`` and ``variant``.
        floor: the least number of complete requests that may be called enough.
        counts_left: the server counts what the cell leaves at idle by the cell's own name.
        locals: the Locals whose entries hold its data, as named in the metrics.
        summary: one sentence on it.

    """

    role: Role
    floor: int
    counts_left: bool = False
    locals: tuple[str, ...] = ()
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Header:
    """The first line: how the run was made, and what it was about.

    Attributes:
        seed: of the nonces and the draws.
        started: when, in ISO 8601.
        command: the arguments of the command line.
        settings: whatever else tells how to repeat it.
        cells: by their keys, ``strategy`` or ``hazard/strategy``.

    """

    seed: int
    started: str
    command: tuple[str, ...]
    settings: Mapping[str, Any]
    cells: Mapping[str, Cell]

    def as_document(self) -> dict[str, Any]:
        """Return it as the history has it."""
        return {
            "kind": "header",
            "schema": SCHEMA,
            "seed": self.seed,
            "started": self.started,
            "command": list(self.command),
            "settings": dict(self.settings),
            "cells": {
                name: {
                    "role": cell.role,
                    "floor": cell.floor,
                    "counts_left": cell.counts_left,
                    "locals": list(cell.locals),
                    "summary": cell.summary,
                }
                for name, cell in self.cells.items()
            },
        }


@dataclass(slots=True)  # not frozen, since that takes four times as long to make
class Probe:
    """One request and its reply.

    Attributes:
        cell: what it is counted under.
        hazard: the hazard, or None under ``/probe/``.
        strategy: the strategy that was asked for.
        user: who sent it.
        nonce: what it wrote.
        connection: which of the client's connections it came over, where that is known.
        start: when it was sent, in the client's monotonic seconds.
        end: when it had ended.
        fate: how a doomed request said that it would end; None for any other.
        failed: why it has failed; None when it has not.
        reply: the reply; None where there is none to judge.

    """

    cell: str
    hazard: str | None
    strategy: str
    user: int
    nonce: str
    connection: int | None
    start: float
    end: float
    fate: str | None
    failed: str | None
    reply: Reply | None

    def head(self) -> dict[str, Any]:
        """Return it as the history has it, without the reply."""
        return {
            "kind": "probe",
            "cell": self.cell,
            "hazard": self.hazard,
            "strategy": self.strategy,
            "user": self.user,
            "nonce": self.nonce,
            "connection": self.connection,
            "start": round(self.start, 6),
            "end": round(self.end, 6),
            "fate": self.fate,
            "failed": self.failed,
        }


@dataclass(frozen=True, slots=True)
class Left:
    """What the server had left when no request was in flight.

    Attributes:
        contexts: contexts pushed and not popped, by kind.
        entries: entries alive, by the name of the Local.
        left: what cells have left open, by cell, where the server counts that.
        unknown: why nothing could be counted, if so.
        processes: the server processes that were counted, by name; empty where they have none.

    """

    contexts: Mapping[str, int]
    entries: Mapping[str, int]
    left: Mapping[str, int] = field(default_factory=dict)
    unknown: str | None = None
    processes: tuple[str, ...] = ()

    def as_document(self) -> dict[str, Any]:
        """Return it as the history has it."""
        return {
            "kind": "left",
            "contexts": dict(self.contexts),
            "entries": dict(self.entries),
            "left": dict(self.left),
            "unknown": self.unknown,
            "processes": list(self.processes),
        }


@dataclass(frozen=True, slots=True)
class End:
    """The last line, without which a history is cut off.

    Attributes:
        probes: how many requests the history has.
        facts: whatever else is known of the run, for its report.

    """

    probes: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_document(self) -> dict[str, Any]:
        """Return it as the history has it."""
        return {"kind": "end", "probes": self.probes, "facts": dict(self.facts)}


@dataclass(frozen=True, slots=True)
class CutOff:
    """Instead of an end: the reader could go no further, and why."""

    reason: str


Record: TypeAlias = Header | Probe | Left | End | CutOff


def record(document: Any) -> Record:
    """Read a record from its JSON document.

    Raises:
        NoRecord: it is none, or one of another schema.

    """
    try:
        kind = document["kind"]
        if kind == "probe":
            return _probe(document)
        if kind == "header":
            return _header(document)
        if kind == "left":
            return Left(
                _counts(document["contexts"]),
                _counts(document["entries"]),
                _counts(document["left"]),
                _text(document["unknown"]),
                tuple(map(str, document["processes"])),
            )
        if kind == "end":
            return End(_number(document["probes"]), dict(document["facts"]))
    except replies.InvalidReply as error:
        raise NoRecord(str(error)) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NoRecord(f"{type(error).__name__}: {error}") from None
    raise NoRecord(f"there is no kind {kind!r}")


def _header(document: Any) -> Header:
    if document["schema"] != SCHEMA:
        raise ValueError(f"its schema is {document['schema']!r}, and this program reads {SCHEMA}")
    return Header(
        _number(document["seed"]),
        str(document["started"]),
        tuple(map(str, document["command"])),
        dict(document["settings"]),
        {str(name): _cell(each) for name, each in document["cells"].items()},
    )


def _cell(document: Any) -> Cell:
    role = document["role"]
    if role not in get_args(Role):
        raise ValueError(f"{role!r} is no role")
    counts_left = document["counts_left"]
    if type(counts_left) is not bool:
        raise TypeError("'counts_left' is neither true nor false")
    floor = _number(document["floor"])
    if floor < 0:
        raise ValueError("a floor below nothing")
    return Cell(
        role,
        floor,
        counts_left,
        tuple(map(str, document.get("locals", ()))),
        str(document.get("summary", "")),
    )


def _probe(document: Any) -> Probe:
    reply = document["reply"]
    fate, failed = _text(document["fate"]), _text(document["failed"])
    # What a doomed or failed request read is judged by nobody, so it may have any shape.
    judged = fate is None and failed is None
    start, end, nonce, connection = (document[key] for key in ("start", "end", "nonce", "connection"))
    if type(start) not in (float, int) or type(end) not in (float, int) or type(nonce) is not str:
        raise TypeError("a probe has a nonce, a start and an end")
    return Probe(
        str(document["cell"]),
        _text(document["hazard"]),
        str(document["strategy"]),
        _number(document["user"]),
        nonce,
        None if connection is None else _number(connection),
        start,
        end,
        fate,
        failed,
        replies.from_document(reply) if judged else None,
    )


def _number(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is no whole number")
    return value


def _text(value: Any) -> str | None:
    if value is not None and type(value) is not str:
        raise TypeError(f"{value!r} is no text")
    return value


def _counts(value: Any) -> dict[str, int]:
    return {str(name): _number(count) for name, count in value.items()}
