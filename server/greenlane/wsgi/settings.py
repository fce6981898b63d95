"""The server's limits and times, in one place, with the reason beside each default.

Rule: a number that an operator may want to change is a field here and nowhere
else. Imports nothing of ours.
"""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a server allows, and for how long: times in seconds, sizes in bytes.

    Raises:
        ValueError: a number is zero or negative, where only `drain_timeout` and
            `linger` may be zero.

    """

    max_connections: int = 10_000
    """Connections served at once; more wait in the kernel. An idle one costs 15 kB, so these are 150 MB."""

    backlog: int = 2_048
    """Connections the kernel holds until they are accepted. Thousands of users that start together must not
    wait for a TCP retransmission (1 s); the kernel caps this at its own limit (`net.core.somaxconn`)."""

    keep_alive: float = 75.0
    """How long a connection may be idle, before its first request or between two. Longer than the 60 s of
    common load balancers: they must be the first to close, or they may send into a closed connection."""

    head_timeout: float = 20.0
    """From a request's first byte to the end of its head, and from a response's end to the end of a body that
    nobody read. A total and not a pause between bytes, so that a client which sends a byte now and then
    (Slowloris) does not hold a connection."""

    stall_timeout: float = 60.0
    """How long reading a body or writing a response may make no progress at all. Not a total: a slow line
    with a large file is no error."""

    drain_timeout: float = 30.0
    """How long requests that have begun may take to finish once the server is told to stop. Most
    orchestrators wait 30 s before they kill a process; give them a little more, or this a little less."""

    linger: float = 1.0
    """How long to wait for the client's own close when bytes it sent may be unread: closing at once would
    reset the connection and could destroy the response on its way (RFC 9112, 9.6)."""

    max_head_size: int = 65_536
    """The request line and all header fields together. Several times what browsers and proxies send."""

    max_discard: int = 65_536
    """How much of a body nobody read is read and thrown away to keep the connection; beyond that, closing it
    costs less."""

    access_log: bool = True
    """Whether to write a line for each request."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            may_be_zero = field.name in ("drain_timeout", "linger") or field.type is bool
            if value < 0 or (value == 0 and not may_be_zero):
                raise ValueError(f"{field.name} must be more than zero, not {value!r}")
