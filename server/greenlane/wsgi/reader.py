"""The bytes a client sends, and whether there are any.

Rule: bytes leave the kernel here and nowhere else, so "the first byte of a
request was read" is exact: it is in this buffer, or nobody has it. Must not
know what the bytes mean.
"""

import io
from enum import Enum, auto
from time import monotonic
from typing import TYPE_CHECKING

from gevent.socket import socket

from greenlane.wsgi.fairness import FairShare

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class _Mode(Enum):
    """What to do when the buffer is empty."""

    WAIT = auto()
    """Wait until something arrives."""
    LOOK = auto()
    """Take what has arrived, without waiting."""
    HOLD = auto()
    """Leave what has arrived to the kernel."""


class _Source(io.RawIOBase):
    """A gevent socket for `io.BufferedReader`, with a say in whether to wait and for how long."""

    def __init__(self, sock: socket, share: FairShare, stall_timeout: float) -> None:
        super().__init__()
        self._sock = sock
        self._share = share
        self._stall_timeout = stall_timeout
        self.mode = _Mode.WAIT
        self.deadline: float | None = None
        self.sparing = False
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        """Receive once; None when nothing has arrived and the mode is not to wait."""
        if self.mode is _Mode.HOLD:
            return None
        if self.mode is _Mode.WAIT:
            self._share.spend()
        self._sock.settimeout(0.0 if self.mode is _Mode.LOOK else self._patience())
        in_head = self.mode is _Mode.LOOK or self.deadline is not None
        try:
            count: int = self._sock.recv_into(buffer, 1 if self.sparing and in_head else 0)
        except BlockingIOError:
            return None
        self.ended = count == 0
        return count

    def _patience(self) -> float:
        if self.deadline is None:
            return self._stall_timeout
        left = self.deadline - monotonic()
        if left <= 0:
            raise TimeoutError("what was expected within a time took longer")
        return left


class Reader:
    """A buffered stream over a connection, which can also tell what has arrived.

    Args:
        sock: the connection. Reading sets its timeout.
        share: what the connection may do in a row.
        stall_timeout: seconds that one read may wait while no deadline is set.

    Attributes:
        stream: what to read from. Reading raises `TimeoutError` when the
            patience is over and another `OSError` when the connection broke.

    """

    def __init__(self, sock: socket, share: FairShare, stall_timeout: float) -> None:
        self._source = _Source(sock, share, stall_timeout)
        self.stream: io.BufferedReader = io.BufferedReader(self._source)

    @property
    def ended(self) -> bool:
        """Whether the client has closed its side."""
        return self._source.ended

    @property
    def buffered(self) -> int:
        """How many bytes were read from the kernel and not yet asked for."""
        return len(self._peek(_Mode.HOLD))

    def look(self) -> bool:
        """Whether there is a byte to read, in the buffer or in the kernel. Never waits.

        Raises:
            OSError: the connection broke.

        """
        return bool(self._peek(_Mode.LOOK))

    def expect_within(self, seconds: float | None) -> None:
        """Let all reading from now on take `seconds` together; None: each read may take the stall timeout."""
        self._source.deadline = None if seconds is None else monotonic() + seconds

    def take_no_more(self) -> None:
        """From now on, read no byte of a head before it is asked for.

        Otherwise the end of a request that was begun would bring the beginning
        of the next one, and a client that pipelines would never be done.
        """
        self._source.sparing = True

    def _peek(self, mode: _Mode) -> bytes:
        self._source.mode = mode
        try:
            return self.stream.peek(1)
        finally:
            self._source.mode = _Mode.WAIT
