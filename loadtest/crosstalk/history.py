"""The history of a run: nonces are issued, and what came of each request is written down.

One class writes a history file and one function reads it. What is in it is judged by
:mod:`crosstalk.checker`, which also counts here while the run goes on. Nothing here
imports Locust, so that a history can be tested without one.
"""

import fcntl
import gzip
import json
import random
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

from crosstalk.checker import (
    Checker,
    CutOff,
    End,
    Header,
    Judgement,
    Left,
    NoRecord,
    Probe,
    Record,
    Tally,
)
from crosstalk.checker.records import record as record_of
from crosstalk.reply import Reply

HISTORY = "history.jsonl.gz"
"""A history's name where nobody gave it one."""

LEVEL = 1
"""Of gzip's compression: a history shrinks to a tenth at the first level, and the load shares the cores."""

LONGEST_LINE = 64 * 1024 * 1024
"""Bytes of a line, beyond which a file is taken for something else than a history."""


class NotAHistory(ValueError):  # noqa: N818 - the file is what is wrong
    """A file that cannot be read as a history at all."""


@dataclass(slots=True)
class Request:
    """A request from its nonce to its end.

    Attributes:
        nonce: what it writes.
        cell: what it is counted under.
        hazard: the hazard, or None under ``/probe/``.
        strategy: the strategy that is asked for.
        user: who sends it.
        fate: how it announces that it will end; None for all but the doomed.
        number: its place among the cell's requests, in order of issue: from 1.
        connection: which of the client's connections it came over, once that is known.
        start: when it was sent, in monotonic seconds.

    """

    nonce: str
    cell: str
    hazard: str | None
    strategy: str
    user: int
    fate: str | None
    number: int
    connection: int | None = None
    start: float = field(default_factory=time.monotonic)


Listener: TypeAlias = Callable[[Request, Probe, Judgement | None], None]
"""Is told of each request when it has come to its end: what was asked, its record, and the
judgement, where there is a reply to judge."""


class History:
    """Issues nonces and records what came of them.

    Args:
        seed: makes the nonces, and whatever else the users draw from
            :attr:`random`, repeatable. They are unguessable only as far as it is.
        prefix: begins each nonce: a worker's own, so that those of several differ.
        file: where it is written down; None to count alone.
        listener: is told of each request right after it has been counted; None for nobody.

    Attributes:
        checker: counts while the run goes on.

    """

    def __init__(
        self,
        seed: int,
        *,
        prefix: str = "",
        file: "HistoryFile | None" = None,
        listener: Listener | None = None,
    ) -> None:
        self.random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self.checker = Checker()
        self._prefix = prefix
        self._file = file
        self._listener = listener
        self._issued: Counter[str] = Counter()
        self._open: dict[str, Request] = {}

    @property
    def tallies(self) -> Mapping[str, Tally]:
        """What each cell's requests came to so far."""
        return self.checker.tallies

    def tally(self, cell: str) -> Tally:
        """Return the tally of ``cell``, which may be empty."""
        return self.checker.tally(cell)

    def issued(self, cell: str) -> int:
        """Return how many requests of ``cell`` have been issued."""
        return self._issued[cell]

    def issue(
        self,
        cell: str,
        user: int,
        *,
        hazard: str | None = None,
        strategy: str | None = None,
        fate: str | None = None,
    ) -> Request:
        """Return a request with a fresh nonce: one for each request, never one for each user.

        Args:
            cell: what it is counted under.
            user: who sends it, now.
            hazard: the hazard, or None under ``/probe/``.
            strategy: the strategy that is asked for; by default the last part of ``cell``.
            fate: how it announces that it will end.

        """
        nonce = f"{self._prefix}u{user}-{self._issued.total()}-{self.random.getrandbits(64):016x}"
        self._issued[cell] += 1
        strategy = strategy or cell.rpartition("/")[2]
        number = self._issued[cell]
        request = self._open[nonce] = Request(nonce, cell, hazard, strategy, user, fate, number)
        return request

    def record(self, request: Request, reply: Reply, body: bytes) -> Judgement:
        """Write down and count the reply to ``request``, and return the judgement of it.

        Args:
            request: what was asked.
            reply: what ``body`` was parsed to.
            body: the reply as it came.

        Raises:
            ValueError: the request was doomed, so that it must not be judged, or has ended before.

        """
        judgement = None if request.fate else self._add(request, reply=reply, body=body)
        if judgement is None:
            raise ValueError(f"{request.nonce} was doomed")
        return judgement

    def record_doomed(self, request: Request) -> None:
        """Write down and count that ``request`` ended as badly as it had announced.

        Raises:
            ValueError: it had announced nothing, or has ended before.

        """
        if request.fate is None:
            raise ValueError(f"{request.nonce} was not doomed")
        self._add(request)

    def record_failure(self, request: Request, reason: str) -> None:
        """Write down and count ``request`` as failed: no complete, valid 200 reply."""
        self._add(request, failed=reason)

    def fail_unanswered(self, reason: str) -> None:
        """Count every request that was sent and has come to no end as failed."""
        for request in list(self._open.values()):
            self.record_failure(request, reason)

    def _add(
        self,
        request: Request,
        *,
        reply: Reply | None = None,
        body: bytes = b"null",
        failed: str | None = None,
    ) -> Judgement | None:
        if self._open.pop(request.nonce, None) is None:
            raise ValueError(f"{request.nonce} has ended before")
        probe = Probe(
            request.cell,
            request.hazard,
            request.strategy,
            request.user,
            request.nonce,
            request.connection,
            request.start,
            time.monotonic(),
            request.fate,
            failed,
            reply,
        )
        if self._file is not None:
            self._file.write_probe(probe, body)
        judgement = self.checker.add(probe)
        if self._listener is not None:
            self._listener(request, probe, judgement)
        return judgement


class HistoryFile:
    """Writes a history: lines of JSON, compressed by gzip.

    Args:
        path: the file, which is made anew.
        header: its first line.

    Raises:
        OSError: the file cannot be made.

    Attributes:
        error: what ended the writing, if something did. The run goes on without.
        probes: how many requests it has.

    """

    def __init__(self, path: Path, header: Header) -> None:
        self._raw = path.open("ab")
        try:
            # Of two runs that write to one place, neither would have a history.
            fcntl.flock(self._raw, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._raw.close()
            raise OSError(f"another run is writing {path}") from None
        with suppress(OSError):  # not in what is no file, such as a pipe
            self._raw.truncate(0)
        self._file: gzip.GzipFile = gzip.GzipFile(path.name, "wb", LEVEL, self._raw)
        self.error: OSError | None = None
        self.probes = 0
        self._write_document(header.as_document())

    def write_probe(self, probe: Probe, body: bytes) -> None:
        """Write a request, with the reply as it came.

        Args:
            probe: the request.
            body: JSON in UTF-8, which was parsed: line breaks in it can only be space
                between its parts (RFC 8259, section 7, has those in strings escaped).

        """
        head = json.dumps(probe.head()).encode()[:-1]
        body = body.replace(b"\n", b" ").replace(b"\r", b" ")
        self._write(b'%b, "reply": %b}\n' % (head, body))
        self.probes += 1

    def left(self, left: Left) -> None:
        """Write what was left at idle."""
        self._write_document(left.as_document())

    def end(self, **facts: Any) -> None:
        """Write the last line, with whatever else is known of the run."""
        self._write_document(End(self.probes, facts).as_document())

    def close(self) -> None:
        """Write what is still to be written, and close the file."""
        try:
            self._file.close()
            self._raw.close()
        except OSError as error:
            self.error = self.error or error
            with suppress(OSError):
                self._raw.close()

    def __enter__(self) -> "HistoryFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_document(self, document: dict[str, Any]) -> None:
        self._write(json.dumps(document).encode() + b"\n")

    def _write(self, line: bytes) -> None:
        # Closed it is while users still run when a second Ctrl-C cuts the end of a run short.
        if self.error is None and not self._file.closed:
            try:
                self._file.write(line)
            except OSError as error:
                self.error = error


@contextmanager
def spooled(path: Path | None) -> Iterator[Path]:
    """Give the path of a history: the one that was asked for, or a temporary one, removed afterwards."""
    if path is not None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="crosstalk-") as folder:
        yield Path(folder) / HISTORY


def read(path: Path) -> Iterator[Record]:
    """Read a history, record by record.

    What can be read of a damaged one is given, and then, instead of an end, a
    :class:`~crosstalk.checker.CutOff` with the reason.

    Raises:
        NotAHistory: it is no history, or one of another schema.
        OSError: the file cannot be read.

    """
    with gzip.GzipFile(path, "rb") as file:
        header = _header(path, file)
        yield header
        number = 1
        while True:
            number += 1
            try:
                line = file.readline(LONGEST_LINE)
                if not line:
                    return
                record = _record(line)
                if isinstance(record, Header):
                    raise NoRecord("a second header")
                if isinstance(record, Probe) and record.cell not in header.cells:
                    raise NoRecord(f"the header has no cell {record.cell!r}")
            except (EOFError, zlib.error, gzip.BadGzipFile, NoRecord) as error:
                yield CutOff(f"line {number:,} cannot be read: {error}")
                return
            yield record


def _header(path: Path, file: gzip.GzipFile) -> Header:
    try:
        line = file.readline(LONGEST_LINE)
        record = _record(line)
        if not isinstance(record, Header):
            raise NoRecord("the first line is no header")
    except (EOFError, zlib.error, gzip.BadGzipFile, NoRecord) as error:
        raise NotAHistory(f"{path} is no history: {error}") from None
    return record


def _record(line: bytes) -> Record:
    try:
        return record_of(json.loads(line.decode()))
    except (ValueError, RecursionError) as error:
        if isinstance(error, NoRecord):
            raise
        raise NoRecord(f"not JSON: {error}") from None
