"""Connections stay alive past the descriptors that select() can take."""

import os
import resource
from collections.abc import Iterator

import gevent
import pytest
from gevent import socket
from gevent.pywsgi import WSGIServer

from crosstalk.connections import PollingConnectionPool, SharedClientPool, latest_connection

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


@pytest.fixture
def address() -> Iterator[str]:
    """Serve a page that takes its time, so that two requests need two connections."""

    def app(_environ, start_response):  # type: ignore[no-untyped-def]
        gevent.sleep(0.02)
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.stop()


def test_a_connection_has_a_number_that_no_other_has(address: str) -> None:
    pools = [SharedClientPool(concurrency=10, timeout=5) for _ in range(2)]

    def numbers(pool: SharedClientPool) -> list[int | None]:
        numbers = []
        for _ in range(2):
            assert pool.get_client(address).get("/").read() == b"ok"
            numbers.append(latest_connection())
        return numbers

    users = [gevent.spawn(numbers, pool) for pool in (*pools, *pools)]
    with gevent.Timeout(10):
        seen = [set(user.get()) for user in users]
    taken = set().union(*seen)
    assert None not in taken
    assert len(taken) == 4, "four at once need four, and each is kept alive"
    for pool in pools:
        pool.close()


def test_who_got_no_connection_has_none(address: str) -> None:
    """Also when there was one before: a failed request must not be counted under it."""
    pool = SharedClientPool(concurrency=10, timeout=5)
    assert gevent.spawn(latest_connection).get() is None

    def user() -> list[int | None]:
        pool.get_client(address).get("/").read()
        first = latest_connection()
        with pytest.raises(OSError, match=r"."):
            pool.get_client("http://127.0.0.1:1/").get("/")
        return [first, latest_connection()]

    with gevent.Timeout(10):
        first, second = gevent.spawn(user).get()
    assert first is not None
    assert second is None
    pool.close()
