"""What the prover asks a server beside the probes: its strategies, and its counts.

Plain HTTP by the standard library: few requests, none of them part of the load.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from crosstalk.matrix.listing import parse

TIMEOUT = 10.0
"""Seconds until a server that does not answer is taken for unreachable."""

ROLES = ("control", "observed", "subject")

# Not urlopen(), which goes by way of a proxy that the environment names: the load does not.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class CannotRun(Exception):  # noqa: N818 - the words of the exit code's meaning
    """The proof could not be run: no server, or none that has probes."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy as the server lists it.

    Attributes:
        name: what its probe's address ends with.
        role: ``control``, ``observed`` or ``subject``.
        summary: one sentence on why it holds or fails.
        locals: the Locals whose entries hold its data, as named in the metrics.

    """

    name: str
    role: str
    summary: str
    locals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Idle:
    """What the server had left when no request was in flight.

    Attributes:
        contexts: contexts pushed and not popped, by kind.
        entries: entries alive, by the name of the Local.
        unknown: why nothing could be counted, if so.

    """

    contexts: Mapping[str, int]
    entries: Mapping[str, int]
    unknown: str | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """The server's counts that a proof reads, from its ``/metrics``."""

    in_flight: int
    peak_in_flight: int
    connections: int
    requests: int
    native_threads: int
    idle: Idle


class Site:
    """A running server, by its base address.

    Args:
        base: for example ``http://127.0.0.1:8000``.

    Raises:
        CannotRun: ``base`` is no http or https address.

    """

    def __init__(self, base: str) -> None:
        try:
            parts = urlsplit(base)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # half an IPv6 address, or no port
            valid = False
        if not valid:
            raise CannotRun(f"{base!r} is not an address such as http://127.0.0.1:8000")
        self.base = base.rstrip("/")

    def strategies(self) -> dict[str, Strategy]:
        """Return the strategies that the server lists, by name.

        Raises:
            CannotRun: it cannot be reached, or lists none.

        """
        try:
            listed = json.loads(self._get("/probe/"))["strategies"]
            strategies = {
                each["name"]: Strategy(
                    each["name"], _role(each["role"]), each["summary"], tuple(each["locals"])
                )
                for each in listed
            }
            if not strategies:
                raise ValueError("the list is empty")
            return strategies
        except (ValueError, KeyError, TypeError) as error:
            raise CannotRun(f"{self.base} lists no strategies under /probe/: {error}") from None

    def hazards(self) -> dict[str, Any]:
        """Return the server's listing of its hazards, whose shape :mod:`crosstalk.matrix.listing` knows.

        Raises:
            CannotRun: it cannot be reached, or lists none.

        """
        try:
            listing: dict[str, Any] = json.loads(self._get("/hazards/"))
            parse(listing)
            return listing
        except (ValueError, KeyError, TypeError) as error:
            raise CannotRun(f"{self.base} lists no hazards under /hazards/: {error}") from None

    def left(self) -> dict[str, int]:
        """Return what each cell of the hazards has left open now, by its name.

        Raises:
            CannotRun: it cannot be reached, or its metrics cannot be read.

        """
        return {
            "/".join(key[1:]): value
            for key, value in self._samples().items()
            if key[0] == "greenlane_demo_left"
        }

    def counts(self) -> Counts:
        """Return the server's counts.

        Raises:
            CannotRun: it cannot be reached or serves no metrics of this kind.

        """
        samples = self._samples()
        try:
            return Counts(
                in_flight=samples["greenlane_requests_in_flight",],
                peak_in_flight=samples["greenlane_requests_in_flight_peak",],
                connections=samples["greenlane_connections_accepted_total",],
                requests=samples["greenlane_requests_total",],
                native_threads=samples["greenlane_native_threads",],
                idle=Idle(
                    contexts={
                        kind: samples["greenlane_contexts_pushed_total", kind]
                        - samples["greenlane_contexts_popped_total", kind]
                        for kind in ("request", "application")
                    },
                    entries={
                        key[1]: value for key, value in samples.items() if key[0] == "greenlane_local_entries"
                    },
                ),
            )
        except KeyError as error:
            raise CannotRun(f"{self.base}/metrics has no {' '.join(error.args[0])}") from None

    def at_idle(self, patience: float = 30.0) -> tuple[Idle, Counts | None]:
        """Wait until nothing is in flight and return what is left then, and the last counts.

        Entries may take a moment longer than requests: a closed connection's
        greenlet ends in the server's own time. So this waits until nothing is
        left, and only after ``patience`` seconds says what is.
        """
        deadline = time.monotonic() + patience
        counts = None
        while True:
            try:
                counts = self.counts()
            except CannotRun as error:
                return Idle({}, {}, str(error)), counts
            idle = counts.idle
            if not (counts.in_flight or any(idle.contexts.values()) or any(idle.entries.values())):
                return idle, counts
            if time.monotonic() > deadline:
                if counts.in_flight:
                    idle = Idle({}, {}, f"{counts.in_flight} requests are still in flight")
                return idle, counts
            time.sleep(0.1)

    def _samples(self) -> dict[tuple[str, ...], int]:
        """Return the server's figures, by name and labels."""
        text = self._get("/metrics")
        try:
            return {
                (sample.name, *sample.labels.values()): int(sample.value)
                for family in text_string_to_metric_families(text.decode())
                for sample in family.samples
                if sample.name.startswith("greenlane_")
            }
        except (ValueError, OverflowError) as error:
            raise CannotRun(f"{self.base}/metrics cannot be read: {error}") from None

    def _get(self, path: str) -> bytes:
        try:
            with _opener.open(self.base + path, timeout=TIMEOUT) as reply:
                body: bytes = reply.read()
                return body
        except urllib.error.HTTPError as error:
            error.close()
            raise CannotRun(f"{self.base}{path} answered {error.code} {error.reason}") from None
        except (OSError, HTTPException) as error:
            reason: Any = getattr(error, "reason", error)
            raise CannotRun(f"no server answers at {self.base}: {reason}") from None


def _role(value: object) -> str:
    if value not in ROLES:
        raise ValueError(f"{value!r} is no role")
    return str(value)
