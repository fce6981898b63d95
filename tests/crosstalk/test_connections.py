"""Connections stay alive past the descriptors that select() can take."""

import os
import resource
from collections.abc import Iterator

import gevent
import pytest
from gevent import socket
from gevent.pywsgi import WSGIServer

from crosstalk.connections import PollingConnectionPool, SharedClientPool

FD_SETSIZE = 1024


@pytest.fixture
def past_fd_setsize() -> Iterator[None]:
    """Occupy descriptors until new ones are numbered past what select() takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FD_SETSIZE + 200
    if soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            pytest.skip(f"only {hard} descriptors are allowed, {wanted} are needed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    held: list[int] = []
    while not held or held[-1] < FD_SETSIZE:
        held.append(os.dup(0))
    yield
    for descriptor in held:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("past_fd_setsize")
def test_a_live_connection_is_told_from_a_closed_one_past_fd_setsize() -> None:
    pool = PollingConnectionPool("127.0.0.1", 1, "127.0.0.1", 1)
    near, far = socket.socketpair()
    assert near.fileno() >= FD_SETSIZE
    assert pool._is_socket_alive(near)
    far.sendall(b"out of step")
    assert not pool._is_socket_alive(near)
    near.recv(100)
    assert pool._is_socket_alive(near)
    far.close()
    assert not pool._is_socket_alive(near)
    near.close()
    assert not pool._is_socket_alive(near)
    assert not pool._is_socket_alive(None)


@pytest.mark.usefixtures("past_fd_setsize")
def test_users_share_connections_that_are_kept_alive() -> None:
    """Two users' requests, one after the other, come over one connection."""
    peers: list[str] = []

    def app(environ, start_response):  # type: ignore[no-untyped-def]
        peers.append(environ["REMOTE_PORT"])
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    pool = SharedClientPool(concurrency=10, timeout=5)
    client = pool.get_client(f"http://127.0.0.1:{server.server_port}/")
    assert pool.get_client(f"http://127.0.0.1:{server.server_port}/other") is client

    def user() -> bytes:
        with gevent.Timeout(5):
            return bytes(client.get("/").read())

    assert [gevent.spawn(user).get() for _ in range(4)] == [b"ok"] * 4
    assert len(set(peers)) == 1
    pool.close()
    server.stop()
