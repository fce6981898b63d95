"""Connections for Locust's FastHttpUser: kept alive, and shared between users.

Sharing is the point: the next request on a connection comes from another user,
so that whatever a server keeps for the connection shows as somebody else's.
"""

import select
from itertools import count
from typing import ClassVar
from weakref import WeakKeyDictionary

from gevent.socket import socket
from geventhttpclient.client import HTTPClient, HTTPClientPool
from geventhttpclient.connectionpool import ConnectionPool
from geventhttpclient.url import URL
from greenlet import getcurrent, greenlet


class PollingConnectionPool(ConnectionPool):
    """A connection pool that can tell a live connection past 1,000 descriptors.

    The original asks ``select()``, which takes descriptors below FD_SETSIZE
    (1,024) alone and raises ValueError for the rest; they are then taken for
    dead, so that with more than about 1,000 connections nothing is kept alive.

    It also numbers its connections, and knows which one each greenlet took last.
    """

    _counter = count(1)
    _numbers: ClassVar["WeakKeyDictionary[socket, int]"] = WeakKeyDictionary()
    _taken: ClassVar["WeakKeyDictionary[greenlet, int]"] = WeakKeyDictionary()

    def get_socket(self) -> socket:
        """Take a connection, or make one, and note for whom."""
        self._taken.pop(getcurrent(), None)  # there may be none to be had
        taken = super().get_socket()
        if taken not in self._numbers:
            self._numbers[taken] = next(self._counter)
        self._taken[getcurrent()] = self._numbers[taken]
        return taken

    def _is_socket_alive(self, sock: socket | None) -> bool:
        if sock is None or sock.fileno() < 0:
            return False
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN)
        # An idle connection has nothing to read; one that does was closed, or is out of step.
        return not poll.poll(0)


def latest_connection() -> int | None:
    """Return the number of the connection that the current greenlet's last request came over.

    No two connections of the program share one. None when there was no connection
    to be had, and over TLS. (The response does not know: Locust has given the
    connection back when it hands the response out.)
    """
    return PollingConnectionPool._taken.get(getcurrent())  # noqa: SLF001 - of this module


class SharedClientPool(HTTPClientPool):
    """One HTTP client for each server, for all users together.

    Args:
        concurrency: the most connections to one server at a time.
        timeout: how long connecting, and each read, may take, in seconds.

    """

    def __init__(self, concurrency: int, timeout: float) -> None:
        super().__init__(
            concurrency=concurrency, connection_timeout=timeout, network_timeout=timeout, insecure=True
        )
        self._concurrency = concurrency
        self._timeout = timeout

    def get_client(self, url: str | URL) -> HTTPClient:
        """Return the client for the host and port of ``url``, made on first use."""
        url = url if isinstance(url, URL) else URL(url)
        known = (url.host, url.port) in self.clients
        client = super().get_client(url)
        if not known and not client.ssl and client.port is not None:
            client._connection_pool = PollingConnectionPool(  # noqa: SLF001 - it takes no pool class
                client.host,
                client.port,
                client.host,
                client.port,
                size=self._concurrency,
                connection_timeout=self._timeout,
                network_timeout=self._timeout,
            )
        return client
