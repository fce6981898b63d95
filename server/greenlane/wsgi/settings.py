"""The server's limits and times, in one place, with the reason beside each default.

Rule: a number that an operator may want to change is a field here and nowhere
else. Beside most of them stand the values of two other servers, so that a
reader can see what is usual: where they differ from ours, the reason says why.
Imports nothing of ours.
"""

from dataclasses import dataclass, fields
from typing import Literal, get_args

AccessLog = Literal["common", "json", "off"]
"""The forms of the access log."""

_MAY_BE_ZERO = ("drain_timeout", "linger", "max_discard")
_MAY_BE_NONE = ("max_connections_per_address", "max_body_size", "max_requests_per_connection")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a server allows, and for how long: times in seconds, sizes in bytes.

    Raises:
        ValueError: a number is zero or negative, where only `drain_timeout`,
            `linger` and `max_discard` may be zero; or the access log has a
            form that is not one of `AccessLog`.

    """

    max_connections: int = 10_000
    """Connections served at once; more wait in the kernel. An idle one costs 15 kB, so these are 150 MB.
    gunicorn's gevent worker: 1,000; nginx: 512."""

    max_connections_per_address: int | None = None
    """Connections of one client address at once; more are answered 503 and closed. None, no bound: behind a
    balancer and on loopback all clients share one address. gunicorn has none; nginx (limit_conn): none."""

    max_requests_per_connection: int | None = 10_000
    """Requests before a connection is closed, so that long-lived clients spread over servers that were
    added later. None: no bound. nginx: 1,000; Apache: 100. Ours is higher because nothing is held by a
    connection that its end would free."""

    backlog: int = 2_048
    """Connections the kernel holds until they are accepted. Thousands of users that start together must not
    wait for a TCP retransmission (1 s); the kernel caps this at its own limit (`net.core.somaxconn`).
    gunicorn: 2,048; nginx: 511."""

    keep_alive: float = 75.0
    """How long a connection may be idle, before its first request or between two. Longer than the 60 s of
    common load balancers: they must be the first to close, or they may send into a closed connection.
    nginx: 75; gunicorn: 2, made for workers which serve one connection at a time."""

    head_timeout: float = 20.0
    """From a request's first byte to the end of its head; also for a TLS handshake, and from a response's
    end to the end of a body that nobody read. A total and not a pause between bytes, so that a client which
    sends a byte now and then (Slowloris) does not hold a connection. Apache: 20 to 40; nginx: 60."""

    body_timeout: float = 30.0
    """How long the client of a body may keep the application waiting. Each `min_rate` bytes give back one
    second, up to this value again, so it bounds pauses and slowness and not the whole. Apache: 20; nginx:
    60, for each pause alone."""

    write_timeout: float = 60.0
    """The same for a response that the client does not take. Longer, since a player may stop reading for a
    while. nginx: 60, for each pause alone; Apache: 60."""

    min_rate: float = 500.0
    """Bytes per second that a body or a response must move while it is waited for, on average: less is no
    line but an attack. Apache: 500 for bodies; nginx has none."""

    drain_timeout: float = 30.0
    """How long requests that have begun may take to finish once the server is told to stop. Most
    orchestrators wait 30 s before they kill a process; give them a little more, or this a little less.
    gunicorn: 30; uvicorn: none."""

    linger: float = 1.0
    """How long to wait for the client's own close when bytes it sent may be unread: closing at once would
    reset the connection and could destroy the response on its way (RFC 9112, 9.6). nginx: 30, of which 5
    without a byte; Apache: 2."""

    max_request_line: int = 8_192
    """The request line. RFC 9112, 3, recommends at least 8,000. nginx: 8,192; Apache: 8,190."""

    max_header_count: int = 100
    """Header fields of a request, and of a body's trailers. gunicorn: 100; Apache: 100."""

    max_head_size: int = 65_536
    """The request line and all header fields together, and a body's trailers. Several times what browsers and
    proxies send. nginx: 32,768; gunicorn: some 800,000."""

    max_body_size: int | None = 1_073_741_824
    """A request's body. None: no bound. It streams, so memory is no reason; an application that reads all
    of it into memory should say less. Apache: 1,073,741,824; nginx: 1,048,576."""

    max_discard: int = 65_536
    """How much of a body nobody read is read and thrown away to keep the connection; beyond that, closing it
    costs less. Go's net/http: 262,144; uvicorn: none of it."""

    access_log: AccessLog = "common"
    """A line for each request: in the common log format, as JSON, or none. gunicorn: off; nginx: on."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "access_log":
                if value not in get_args(AccessLog):
                    raise ValueError(f"access_log must be one of {get_args(AccessLog)}, not {value!r}")
            elif value is None and field.name in _MAY_BE_NONE:
                continue
            elif not value >= 0 or (value == 0 and field.name not in _MAY_BE_ZERO):  # nor "nan"
                raise ValueError(f"{field.name} must be more than zero, not {value!r}")
