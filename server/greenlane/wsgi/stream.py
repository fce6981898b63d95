"""The bytes of one connection, both ways, and all the waiting for them.

Rule: bytes leave the kernel here and nowhere else, so "the first byte of a
request was read" is exact: it is in `pending`, or nobody has it. Must not know
what the bytes mean.

The socket never blocks by itself: what is at hand is taken at once, and only
where there is nothing does a greenlet wait, with a time after which it stops.
"""

import math
import os
import socket as native
import ssl
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

from gevent import get_hub, sleep
from gevent.socket import wait_read, wait_write
from gevent.ssl import SSLSocket

from greenlane.wsgi.errors import ClientGoneError

AT_ONCE = 65_536
"""Bytes asked of the kernel in one go."""

_TOO_SLOW = "the client kept the server waiting for too long"

_FILE_AT_ONCE = 1_048_576
"""Bytes of a file in one go: reading them from the disk holds up everybody."""

_RECORD = 16_384
"""Bytes given to TLS in one go, as many as fit a record (RFC 8446, 5.1). OpenSSL tells of none before all
of them are out, so with more, a client that is slow would look like one that takes nothing."""

_MORE = getattr(native, "MSG_MORE", 0)

_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

_IN_A_ROW = 16
"""Operations without waiting before the others get a turn. Greenlets switch where they wait, and a client
that is always ahead (it pipelines, floods a body, or takes a long stream as fast as it comes) never makes
its connection wait: all others would stand still, and a signal to drain would go unheard."""


class Patience:
    """How long a peer may keep us waiting: a credit in seconds, which bytes earn back.

    A pause is allowed as long as the credit, and a peer that is slower than `rate` for
    long uses it up, however regularly it sends.

    Args:
        seconds: the credit to begin with, and the most there can be.
        rate: bytes that earn one second.

    Attributes:
        left: seconds.

    """

    __slots__ = ("_most", "_rate", "left")

    def __init__(self, seconds: float, rate: float) -> None:
        self._most = self.left = seconds
        self._rate = rate

    def renew(self) -> None:
        """Give all of the credit again."""
        self.left = self._most

    def account(self, waited: float, moved: int) -> None:
        """Take off `waited` seconds, and give credit for `moved` bytes."""
        self.left = min(self._most, self.left - waited + moved / self._rate)


class Stream:
    """A buffered stream over a connection.

    Args:
        sock: the connection: a native socket, or one of gevent's, with or without TLS.

    Attributes:
        sock: as given.
        pending: bytes that were read from the kernel and not yet asked for.
        ended: whether the client has closed its side.
        torn: whether a write broke off in the middle, so that nothing may follow it.
        sparing: whether to read no byte of a head before it is asked for. Otherwise
            the end of a request that was begun would bring the beginning of the
            next one, and a client that pipelines would never be done.

    """

    __slots__ = (
        "_arrival",
        "_hub",
        "_recv",
        "_send",
        "_turns",
        "ended",
        "pending",
        "sock",
        "sparing",
        "torn",
    )

    def __init__(self, sock: native.socket) -> None:
        sock.settimeout(0.0)
        self.sock = sock
        self.pending = b""
        self.ended = False
        self.sparing = False
        self.torn = False
        self._recv = sock.recv
        self._send: Callable[[bytes | memoryview, int], int] = sock.send
        if isinstance(sock, SSLSocket):
            self._send = lambda data, flags: sock.send(memoryview(data)[:_RECORD])
        self._hub = get_hub()
        self._arrival: Any = None  # a watcher, once it is needed: many connections have but one request
        self._turns = _IN_A_ROW

    def look(self, size: int = AT_ONCE) -> bool:
        """Whether there is a byte to read, in `pending` or in the kernel. Never waits.

        Raises:
            OSError: the connection broke.

        """
        if self.pending:
            return True
        try:
            self.pending = self._recv(1 if self.sparing else size)
        except _NOT_NOW:
            return False
        self.ended = not self.pending
        return not self.ended

    def await_arrival(self) -> None:
        """Wait until something arrives, for as long as it takes; `stop_waiting` ends it."""
        self._turns = _IN_A_ROW
        if self._arrival is None:
            self._arrival = self._hub.loop.io(self.sock.fileno(), 1)
        self._hub.wait(self._arrival)

    def stop_waiting(self, error: Exception) -> None:
        """Raise `error` in `await_arrival`, if a greenlet is in there; no other waiting is disturbed."""
        self._hub.cancel_wait(self._arrival, error)  # nothing, while there is no watcher

    def receive(self, size: int, patience: Patience) -> bytes:
        """Return up to `size` bytes that have arrived, `pending` first; `b""` is the end.

        Raises:
            TimeoutError: the patience is over.
            OSError: the connection broke.

        """
        if self.pending:
            data, self.pending = self.pending[:size], self.pending[size:]
            return data
        try:
            data = self._recv(size)
        except _NOT_NOW:
            data = self._receive_late(size, patience)
        else:
            self.take_turn()
        patience.account(0.0, len(data))
        self.ended = not data
        return data

    def _receive_late(self, size: int, patience: Patience) -> bytes:
        # Waiting is not left to the socket: through TLS it would wait anew, and as long again, for each byte
        # of a record that is not whole yet.
        while True:
            self._await(wait_read, patience)
            try:
                return self._recv(size)
            except ssl.SSLWantWriteError:  # new keys were asked for, and the answer does not get out
                self._await(wait_write, patience)
            except _NOT_NOW:
                continue

    def send(self, data: bytes, patience: Patience, last: bool = False) -> None:
        """Send all of `data`, in one write when the kernel takes it.

        Args:
            data: what to send.
            patience: how long the client may keep us waiting.
            last: whether the connection is closed at once behind it. The kernel then keeps the last bytes
                until that, to send both as one segment: the client wakes once.

        Raises:
            ClientGoneError: the client closed, took nothing for too long, or an earlier
                write broke off.

        """
        if self.torn:
            raise ClientGoneError("an earlier write broke off, and nobody knows how much of it left")
        try:
            try:
                sent = self._send(data, _MORE if last else 0)
            except _NOT_NOW:
                sent = 0
            if sent < len(data):
                self._send_late(memoryview(data)[sent:], patience)
            else:
                self.take_turn()
        except OSError as error:
            raise ClientGoneError(str(error)) from error

    def _send_late(self, rest: memoryview, patience: Patience) -> None:
        self.torn = True  # until it is whole: an application may catch what interrupts it, and go on
        while rest:
            sent = 0
            with suppress(*_NOT_NOW):
                sent = self._send(rest, 0)
            if sent:
                patience.account(0.0, sent)
                rest = rest[sent:]
                self.take_turn()
            else:
                self._await(wait_write, patience)
        self.torn = False

    def send_file(self, descriptor: int, position: int, size: int, patience: Patience) -> int:
        """Let the kernel send `size` bytes of a file, and return how many there were.

        Raises:
            ClientGoneError: the client closed, took nothing for too long, or an earlier
                write broke off.
            OSError: the file cannot be read.

        """
        if self.torn:
            raise ClientGoneError("an earlier write broke off, and nobody knows how much of it left")
        sent = 0
        self.torn = True
        try:
            while sent < size:
                step = min(size - sent, _FILE_AT_ONCE)
                try:
                    moved = os.sendfile(self.sock.fileno(), descriptor, position + sent, step)
                except BlockingIOError:
                    self._await(wait_write, patience)
                    continue
                if not moved:
                    break  # the file has become shorter
                sent += moved
                patience.account(0.0, moved)
                self.take_turn()
        except (ConnectionError, TimeoutError) as error:
            raise ClientGoneError(str(error)) from error
        self.torn = False
        return sent

    def _await(self, wait: Callable[..., None], patience: Patience) -> None:
        """Wait until there is something to read or room to write. Raises `TimeoutError`."""
        if patience.left <= 0:
            raise TimeoutError(_TOO_SLOW)
        began = monotonic()
        wait(self.sock.fileno(), timeout=patience.left, timeout_exc=TimeoutError(_TOO_SLOW))
        self._turns = _IN_A_ROW
        patience.account(monotonic() - began, 0)

    def linger(self, seconds: float) -> None:
        """Say that nothing more will come, and wait for the client to say so: read what it sends until then.

        Whoever closes while bytes are unread resets the connection, and may destroy what is on its way
        to the client (RFC 9112, 9.6).

        Args:
            seconds: how long to wait at most.

        """
        end = monotonic() + seconds
        patience = Patience(seconds, math.inf)
        with suppress(OSError):
            self.sock.shutdown(native.SHUT_WR)
            while self.receive(AT_ONCE, patience) and monotonic() < end:
                pass

    def take_turn(self) -> None:
        """Count one operation that did not wait; after several, let the other greenlets run once."""
        self._turns -= 1
        if not self._turns:
            self._turns = _IN_A_ROW
            sleep(0)

    def close(self) -> None:
        """Let go of the loop's resources. The socket is its owner's to close."""
        if self._arrival is not None:
            self._arrival.close()
