"""Clients that drive a hazard's cell over real sockets, and count what they read back.

They judge by themselves, in a few lines: what is tested here is the hazards, and not the prover.
"""

import json
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import gevent
import pytest
from geventhttpclient import HTTPClient

from crosstalk.matrix import raw
from crosstalk.server import running_server

CONNECTIONS = 12
REQUESTS = 6
"""Requests of each connection, one after another."""


@dataclass
class Seen:
    """What came of a cell's requests.

    Attributes:
        checks: ``own``, ``foreign``, ``torn``, ``missing``, and ``stale`` once a request.
        refused: status and body of what was neither a report nor doomed.
        doomed: how many ended as announced.
        in_flight: the most at once.
        overlapped: requests between whose steps another one acted.
        reports: the reports, by nonce.

    """

    checks: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[int, str]] = field(default_factory=list)
    doomed: int = 0
    in_flight: int = 0
    overlapped: int = 0
    reports: dict[str, Any] = field(default_factory=dict)

    @property
    def cross_talk(self) -> int:
        """How many readings were not the reader's own."""
        return self.checks["foreign"] + self.checks["torn"] + self.checks["stale"]

    def must_be_whole(self) -> None:
        """Fail unless every request was answered, and they really ran at once."""
        assert not self.refused
        assert self.in_flight > 1
        assert self.overlapped > 1
        assert self.checks

    def must_be_clean(self) -> None:
        """Fail unless, besides, each read its own at every checkpoint."""
        self.must_be_whole()
        assert set(self.checks) == {"own"}

    def add(self, nonce: str, report: Any) -> None:
        """Judge one report."""
        self.reports[nonce] = report
        self.in_flight = max(self.in_flight, report["in_flight"])
        self.overlapped += report["switches"] > 0
        self.checks.update(["stale"] if any(report["found"].values()) else [])
        for checkpoint in report["checkpoints"]:
            values = set(checkpoint["read"].values())
            if checkpoint["error"] or values == {None}:
                self.checks["missing"] += 1
            elif len(values) > 1:
                self.checks["torn"] += 1
            else:
                self.checks["own" if values == {nonce} else "foreign"] += 1


class Drive(Protocol):
    """Sends requests to a cell, over kept-alive connections or new ones."""

    def __call__(
        self,
        base: str,
        cell: str,
        *,
        fate: str = "",
        share: float = 0.0,
        hops: int = 3,
        fresh: bool = False,
        connections: int = CONNECTIONS,
        requests: int = REQUESTS,
    ) -> Seen:
        """Return what came; ``share`` of the requests have the ``fate``, evenly spread."""


def whole(body: bytes) -> Any:
    """Put a streamed reply together; one that is not streamed is a single line."""
    *checkpoints, report = [json.loads(line) for line in body.splitlines()]
    return report | {"checkpoints": checkpoints or report.get("checkpoints")}


def drive(
    base: str,
    cell: str,
    *,
    fate: str = "",
    share: float = 0.0,
    hops: int = 3,
    fresh: bool = False,
    connections: int = CONNECTIONS,
    requests: int = REQUESTS,
) -> Seen:
    seen = Seen()
    every = round(1 / share) if share else 0
    place = urlsplit(base)

    def visitor(client: HTTPClient, first: int) -> None:
        for number in range(first, first + requests):
            nonce = secrets.token_hex(8)
            doomed = every and number % every == 0
            path = f"/hazards/{cell}?nonce={nonce}&hops={hops}&pause=2" + (f"&fate={fate}" if doomed else "")
            headers = {"Cookie": f"nonce={nonce}"} | ({"Connection": "close"} if fresh else {})
            if doomed and fate == "abandon":
                raw.abandon(str(place.hostname), place.port or 80, path, headers=headers)
                seen.doomed += 1
                continue
            with client.get(path, headers=headers) as response:
                body = response.read()
                if doomed and json.loads(body) == {"doomed": fate}:
                    seen.doomed += 1
                elif response.status_code != 200:
                    seen.refused.append((response.status_code, body.decode()))
                else:
                    seen.add(nonce, whole(body))

    clients = [HTTPClient.from_url(base, network_timeout=20, concurrency=1) for _ in range(connections)]
    try:
        visitors = [gevent.spawn(visitor, client, n * requests) for n, client in enumerate(clients)]
        gevent.joinall(visitors, timeout=40, raise_error=True)
        assert all(each.ready() for each in visitors)
    finally:
        for client in clients:
            client.close()
    return seen


@pytest.fixture(name="drive")
def _drive() -> Drive:
    return drive


@pytest.fixture(scope="session")
def demonstration() -> Iterator[str]:
    """Run the demonstration, patched as it is for users, in a process of its own, and give its address."""
    with running_server(200) as base:
        yield base
