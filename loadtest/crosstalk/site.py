"""What the prover asks a server beside the probes: its strategies, and its counts.

Plain HTTP by the standard library: few requests, none of them part of the load.
"""

import json
import socket
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http.client import HTTPException
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import gevent
from prometheus_client.parser import text_string_to_metric_families

from crosstalk.matrix.listing import name_of, parse

TIMEOUT = 10.0
"""Seconds until a server that does not answer is taken for unreachable."""

PATIENCE = 30.0
"""Seconds that the whole of an answer may take."""

LARGEST = 16 * 1024 * 1024
"""Bytes that an answer may have: a listing or a page of metrics has some hundred thousand at most."""

ROLES = ("control", "observed", "subject")

Samples: TypeAlias = dict[tuple[str, ...], int]
"""A process's figures, by name and the values of their labels."""

# Not urlopen(), which goes by way of a proxy that the environment names: the load does not.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class CannotRun(Exception):  # noqa: N818 - the words of the exit code's meaning
    """The proof could not be run: no server, or none that has probes."""


class Unreachable(CannotRun):
    """Nobody answers at an address."""


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
        processes: the server processes that were counted, by name.

    """

    contexts: Mapping[str, int]
    entries: Mapping[str, int]
    unknown: str | None = None
    processes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """What a proof reads of ``/metrics``: one process's counts, or several processes' together.

    Those of several add up, but for the peak and the native threads: these are the most
    that any one process had.
    """

    in_flight: int
    peak_in_flight: int
    connections: int
    requests: int
    native_threads: int
    idle: Idle


class Site:
    """A running server, or several behind one address.

    Args:
        base: where they are probed, for example ``http://127.0.0.1:8000``.
        counts_at: where they are counted, when ``base`` is a balancer that would give
            one server's counts at a time: each address that a name in these resolves
            to is a server. By default ``base``.

    Raises:
        CannotRun: ``base`` is no http or https address, or one of ``counts_at`` is no
            http address.

    """

    def __init__(self, base: str, counts_at: Sequence[str] = ()) -> None:
        self.base = _address(base, ("http", "https"))
        self._counts_at = [_address(each, ("http",)) for each in counts_at]

    def strategies(self) -> dict[str, Strategy]:
        """Return the strategies that the server lists, by name.

        Raises:
            CannotRun: it cannot be reached, or lists none.

        """
        try:
            listed = self._listing()["strategies"]
            strategies = {
                each["name"]: Strategy(
                    name_of(each["name"]),
                    _role(each["role"]),
                    str(each["summary"]),
                    tuple(map(str, each["locals"])),
                )
                for each in listed
            }
            if not strategies:
                raise ValueError("the list is empty")
            return strategies
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise CannotRun(f"{self.base} lists no strategies under /probe/: {error}") from None

    def knows_fate(self, fate: str) -> bool:
        """Return whether probes can be asked to end so: a server that lists no fates knows none.

        Raises:
            CannotRun: it cannot be reached, or its listing is none.

        """
        try:
            return fate in self._listing().get("fates", ())
        except (ValueError, AttributeError, TypeError, RecursionError) as error:
            raise CannotRun(f"{self.base} lists no fates under /probe/: {error}") from None

    def hazards(self) -> dict[str, Any]:
        """Return the server's listing of its hazards, whose shape :mod:`crosstalk.matrix.listing` knows.

        Raises:
            CannotRun: it cannot be reached, or lists none.

        """
        try:
            listing: dict[str, Any] = json.loads(self._get("/hazards/"))
            parse(listing)
            return listing
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise CannotRun(f"{self.base} lists no hazards under /hazards/: {error}") from None

    def left(self) -> dict[str, int]:
        """Return what each cell of the hazards has left open now, by its name.

        Raises:
            CannotRun: it cannot be reached, or its metrics cannot be read.

        """
        each = [samples for _where, samples in self._samples()]
        return {
            "/".join(key[1:]): sum(samples.get(key, 0) for samples in each)
            for key in dict.fromkeys(key for samples in each for key in samples)
            if key[0] == "greenlane_demo_left"
        }

    def counts(self) -> Counts:
        """Return the counts of every server that answers.

        A server that has gone has no counts. That it served is in its replies, so that
        nothing is proven about it.

        Raises:
            CannotRun: none can be reached, or one serves no metrics of this kind.

        """
        return _together([_counts(where, samples) for where, samples in self._samples()])

    def at_idle(self, patience: float = 30.0, since: Counts | None = None) -> tuple[Idle, Counts | None]:
        """Wait until nothing is in flight and return what is left then, and the last counts.

        Of a server that others use too: nothing more than there was ``since``.

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
            idle = counts.idle if since is None else _beyond(counts.idle, since.idle)
            in_flight = counts.in_flight if since is None else max(0, counts.in_flight - since.in_flight)
            if not (in_flight or any(idle.contexts.values()) or any(idle.entries.values())):
                return idle, counts
            if time.monotonic() > deadline:
                if in_flight:
                    idle = Idle({}, {}, f"{in_flight} requests are still in flight")
                return idle, counts
            time.sleep(0.1)

    def _listing(self) -> dict[str, Any]:
        listing: dict[str, Any] = json.loads(self._get("/probe/"))
        return listing

    def _samples(self) -> list[tuple[str, Samples]]:
        """Return each process's figures, and where they were read."""
        if not self._counts_at:
            return [(self.base, _samples(self.base))]
        found: dict[str, tuple[str, Samples]] = {}
        silent: list[Unreachable] = []
        for address, name in (each for url in self._counts_at for each in _resolved(url)):
            try:
                samples = _samples(address, name)
            except Unreachable as error:
                silent.append(error)
            else:
                # One process may be at two addresses, such as 127.0.0.1 and ::1.
                found[next(iter(_processes(samples)), address)] = address, samples
        if not found:
            raise silent[0]
        return list(found.values())

    def _get(self, path: str) -> bytes:
        return _get(self.base, path)


def _address(base: str, schemes: tuple[str, ...]) -> str:
    try:
        parts = urlsplit(base)
        valid = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # half an IPv6 address, or no port
        valid = False
    if not valid:
        also = "" if "https" in schemes else ": counts are asked for without TLS, from the servers themselves"
        raise CannotRun(f"{base!r} is not an address such as http://127.0.0.1:8000{also}")
    return base.rstrip("/")


def _resolved(url: str) -> Iterator[tuple[str, str]]:
    """Yield every address that the name in ``url`` has, and the host to ask it for."""
    parts = urlsplit(url)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)
    except OSError as error:
        raise CannotRun(f"{url} has no address: {error.strerror or error}") from None
    for family, *_, place in found:
        host = str(place[0])
        host = f"[{host}]" if family == socket.AF_INET6 else host
        yield f"http://{host}:{int(place[1])}{parts.path}", parts.netloc.rpartition("@")[2]


def _samples(base: str, host: str | None = None) -> Samples:
    """Return the figures of the server at ``base``, by name and labels."""
    text = _get(base, "/metrics", host)
    try:
        return {
            (sample.name, *sample.labels.values()): int(sample.value)
            for family in text_string_to_metric_families(text.decode())
            for sample in family.samples
            if sample.name.startswith("greenlane_")
        }
    except (ValueError, OverflowError) as error:
        raise CannotRun(f"{base}/metrics cannot be read: {error}") from None


def _processes(samples: Samples) -> tuple[str, ...]:
    return tuple(key[1] for key in samples if key[0] == "greenlane_process_info")


def _counts(where: str, samples: Samples) -> Counts:
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
                processes=_processes(samples),
            ),
        )
    except KeyError as error:
        raise CannotRun(f"{where}/metrics has no {' '.join(error.args[0])}") from None


def _together(counts: Sequence[Counts]) -> Counts:
    return Counts(
        in_flight=sum(each.in_flight for each in counts),
        peak_in_flight=max(each.peak_in_flight for each in counts),
        connections=sum(each.connections for each in counts),
        requests=sum(each.requests for each in counts),
        native_threads=max(each.native_threads for each in counts),
        idle=Idle(
            contexts=_added(each.idle.contexts for each in counts),
            entries=_added(each.idle.entries for each in counts),
            processes=tuple(sorted(name for each in counts for name in each.idle.processes)),
        ),
    )


def _beyond(idle: Idle, earlier: Idle) -> Idle:
    """Return what is left beyond what was there earlier."""
    return replace(
        idle,
        contexts={kind: max(0, n - earlier.contexts.get(kind, 0)) for kind, n in idle.contexts.items()},
        entries={name: max(0, n - earlier.entries.get(name, 0)) for name, n in idle.entries.items()},
    )


def _added(mappings: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for mapping in mappings:
        total.update(mapping)  # keeps what is zero
    return dict(total)


def _get(base: str, path: str, host: str | None = None) -> bytes:
    request = urllib.request.Request(  # noqa: S310 - http or https, as Site has seen to
        base + path, headers={"Host": host} if host else {}
    )
    late = CannotRun(f"{base}{path} has not answered in full after {PATIENCE:.0f} s")
    try:
        # Of the whole, the head included, where gevent has patched; of the body in any case.
        with gevent.Timeout(PATIENCE + 1, late), _opener.open(request, timeout=TIMEOUT) as reply:
            return _read(reply, base + path)
    except urllib.error.HTTPError as error:
        error.close()
        raise CannotRun(f"{base}{path} answered {error.code} {error.reason}") from None
    except (OSError, HTTPException) as error:
        reason: Any = getattr(error, "reason", error)
        raise Unreachable(f"no server answers at {base}: {reason}") from None


def _read(reply: Any, address: str) -> bytes:
    """Read a reply that ends: neither for ever nor without bound."""
    deadline, body = time.monotonic() + PATIENCE, b""
    # read1() returns what has come, and does not wait for all.
    while piece := reply.read1(65_536):
        body += piece
        if len(body) > LARGEST:
            raise CannotRun(f"{address} answers with more than {LARGEST:,} bytes")
        if time.monotonic() > deadline:
            raise CannotRun(f"{address} has not answered in full after {PATIENCE:.0f} s")
    return body


def _role(value: object) -> str:
    if value not in ROLES:
        raise ValueError(f"{value!r} is no role")
    return str(value)
