"""Connections for Locust's FastHttpUser: kept alive, and shared between users.

Sharing is the point: the next request on a connection comes from another user,
so that whatever a server keeps for the connection shows as somebody else's.
"""

import select

from gevent.socket import socket
from geventhttpclient.client import HTTPClient, HTTPClientPool
from geventhttpclient.connectionpool import ConnectionPool
from geventhttpclient.url import URL


class PollingConnectionPool(ConnectionPool):
    """A connection pool that can tell a live connection past 1,000 descriptors.

    The original asks ``select()``, which takes descriptors below FD_SETSIZE
    (1,024) alone and raises ValueError for the rest; they are then taken for
    dead, so that with more than about 1,000 connections nothing is kept alive.
    """

    def _is_socket_alive(self, sock: socket | None) -> bool:
        if sock is None or sock.fileno() < 0:
            return False
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN)
        # An idle connection has nothing to read; one that does was closed, or is out of step.
        return not poll.poll(0)


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
