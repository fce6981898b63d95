"""Many requests in flight at once, from one process: ``python -m bench.throng PORT COUNT SECONDS``.

Opens COUNT connections, asks on each for a nap of SECONDS, and waits for every reply. Prints one line of
JSON: how many were right, wrong and lost, and how late they came. One thread and one epoll, so that the
clients need less for each connection than the server under test.

Rule: standard library only, and no address but those of the loopback network. Clients sit on several of them,
because one address has too few ports for 19,000 connections and those still closing.
"""

import errno
import json
import select
import socket
import sys
import time
from dataclasses import dataclass, field
from statistics import median, quantiles

_ADDRESSES = 8

_RATE = 4_000
"""New connections a second: no more than servers accept, or the kernel would drop and send anew after 1 s."""

_PATIENCE = 60.0
"""Seconds beyond the nap that a reply may take before it is lost."""

_IP_BIND_ADDRESS_NO_PORT = 24
"""Linux: choose the port when connecting. Chosen by `bind`, it would be taken for all destinations."""


@dataclass
class Visit:
    """One request: its connection, and what has come back."""

    connection: socket.socket
    nonce: str
    started: float = 0.0
    received: bytearray = field(default_factory=bytearray)

    def complete(self) -> bool:
        """Return whether the reply is whole."""
        head, blank, body = bytes(self.received).partition(b"\r\n\r\n")
        if not blank:
            return False
        for line in head.lower().split(b"\r\n")[1:]:
            if line.startswith(b"content-length:"):
                return len(body) >= int(line.partition(b":")[2])
        return False

    def right(self) -> bool:
        """Return whether the whole reply is 200 and has its own nonce."""
        head, _, body = bytes(self.received).partition(b"\r\n\r\n")
        return head.split(b" ", 2)[1:2] == [b"200"] and body == self.nonce.encode()


@dataclass
class Throng:
    """All visits: those under way by descriptor, and what became of the others."""

    port: int
    seconds: float
    under_way: dict[int, Visit] = field(default_factory=dict)
    late: list[float] = field(default_factory=list)
    wrong: int = 0
    lost: int = 0

    def __post_init__(self) -> None:
        self.epoll = select.epoll()

    def open(self, number: int) -> None:
        """Begin a visit."""
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        connection.bind((f"127.0.0.{2 + number % _ADDRESSES}", 0))
        code = connection.connect_ex(("127.0.0.1", self.port))
        if code not in (0, errno.EINPROGRESS):
            connection.close()
            self.lost += 1
            return
        self.under_way[connection.fileno()] = Visit(connection, f"nonce-{number}")
        self.epoll.register(connection.fileno(), select.EPOLLOUT)

    def step(self, timeout: float) -> None:
        """Go on with every visit that can."""
        for descriptor, events in self.epoll.poll(timeout):
            visit = self.under_way[descriptor]
            try:
                if events & select.EPOLLOUT:
                    self._send(visit)
                else:
                    self._receive(visit)
            except OSError:
                self._close(visit)
                self.lost += 1

    def _send(self, visit: Visit) -> None:
        visit.started = time.monotonic()
        path = f"/nap?nonce={visit.nonce}&seconds={self.seconds}"
        visit.connection.send(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        self.epoll.modify(visit.connection.fileno(), select.EPOLLIN)

    def _receive(self, visit: Visit) -> None:
        piece = visit.connection.recv(4_096)
        visit.received += piece
        if visit.complete():
            self.late.append(time.monotonic() - visit.started - self.seconds)
            self.wrong += not visit.right()
            self._close(visit)
        elif not piece:
            raise ConnectionError("closed before the reply was whole")

    def _close(self, visit: Visit) -> None:
        del self.under_way[visit.connection.fileno()]
        visit.connection.close()  # which epoll forgets by itself


def run(port: int, count: int, seconds: float) -> dict[str, float]:
    """Send ``count`` requests that sleep for ``seconds`` and return what became of them."""
    throng = Throng(port, seconds)
    begun, opened = time.monotonic(), 0
    deadline = begun + count / _RATE + seconds + _PATIENCE
    while (opened < count or throng.under_way) and time.monotonic() < deadline:
        due = min(count, int((time.monotonic() - begun) * _RATE) + 1)
        while opened < due:
            throng.open(opened)
            opened += 1
        throng.step(0.005 if opened < count else 0.5)
    lost = throng.lost + len(throng.under_way) + count - opened
    for visit in throng.under_way.values():
        visit.connection.close()
    late = sorted(throng.late) or [0.0]
    return {
        "right": len(throng.late) - throng.wrong,
        "wrong": throng.wrong,
        "lost": lost,
        "late_median": median(late),
        "late_p99": quantiles(late, n=100)[98] if len(late) > 1 else late[0],
        "late_worst": late[-1],
    }


if __name__ == "__main__":
    found = run(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
    sys.stdout.write(json.dumps(found) + "\n")
