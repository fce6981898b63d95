"""Listening sockets: that one can connect to each, what is left behind, and why there can be none."""

import errno
import fcntl
import os
import socket as native
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket

from greenlane.wsgi import listeners
from greenlane.wsgi.listeners import (
    CannotListenError,
    activated,
    describe,
    inherited,
    is_local,
    listen_tcp,
    listening_unix,
)

TIMEOUT = 5.0

needs_ipv6 = pytest.mark.skipif(not native.has_ipv6, reason="this system has no IPv6")


def greet(listener: socket.socket, family: int, address: str | tuple[Any, ...]) -> object:
    """Connect, say a word through, and return the client's address as the listener sees it."""
    with socket.socket(family) as client:
        client.settimeout(TIMEOUT)
        listener.settimeout(TIMEOUT)
        client.connect(address)
        accepted, seen = listener.accept()
        with accepted:
            client.sendall(b"hello")
            assert accepted.recv(5) == b"hello"
        return seen


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to be in: a Unix socket's path may be no longer than some 100 bytes."""
    monkeypatch.chdir(tmp_path)
    yield Path()
    assert not list(tmp_path.iterdir()), "a socket was left behind"


# TCP.


def test_a_free_port_of_ipv4() -> None:
    with closing(listen_tcp("127.0.0.1", 0, backlog=5)) as listener:
        assert greet(listener, native.AF_INET, listener.getsockname())
        port = listener.getsockname()[1]
        assert describe(listener) == f"http://127.0.0.1:{port}"
        assert describe(listener, host="localhost", secure=True) == f"https://localhost:{port}"
        assert is_local(listener)


@needs_ipv6
def test_ipv6_alone() -> None:
    with closing(listen_tcp("::1", 0, backlog=5)) as listener:
        assert greet(listener, native.AF_INET6, listener.getsockname())
        assert describe(listener) == f"http://[::1]:{listener.getsockname()[1]}"
        assert is_local(listener)


@needs_ipv6
def test_every_address_of_ipv6_means_ipv4_too() -> None:
    with closing(listen_tcp("::", 0, backlog=5)) as listener:
        port = listener.getsockname()[1]
        seen = greet(listener, native.AF_INET, ("127.0.0.1", port))
        assert isinstance(seen, tuple)
        assert seen[0] == "::ffff:127.0.0.1"
        assert greet(listener, native.AF_INET6, ("::1", port))
        assert not is_local(listener)


def test_a_name_is_looked_up() -> None:
    with closing(listen_tcp("localhost", 0, backlog=5)) as listener:
        assert is_local(listener)
        assert greet(listener, listener.family, listener.getsockname())


def test_every_address_is_not_local() -> None:
    with closing(listen_tcp("0.0.0.0", 0, backlog=5)) as listener:
        assert not is_local(listener)


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
def test_a_port_in_use(host: str) -> None:
    with closing(listen_tcp(host, 0, backlog=5)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListenError, match=f"port {port} is in use on {host}") as caught:
            listen_tcp(host, port, backlog=5)
        assert caught.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("192.0.2.1", "cannot listen on 192.0.2.1, port 8000: Cannot assign requested address"),
        ("name.invalid", "cannot listen on name.invalid, port 8000: "),
        ("::1%nothing", "cannot listen on ::1%nothing, port 8000: "),
        ("", "'' is no address: every address is 0.0.0.0, or :: with IPv6"),
        ("*", r"'\*' is no address"),
    ],
)
def test_an_address_that_is_not_ours(host: str, message: str) -> None:
    with pytest.raises(CannotListenError, match=message):
        listen_tcp(host, 8000, backlog=5)


# Unix sockets.


def test_a_unix_socket_is_there_while_it_listens(folder: Path) -> None:
    path = folder / "s"
    with listening_unix(path, mode=0o600, backlog=5) as listener:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert greet(listener, native.AF_UNIX, "s") == ""
        assert describe(listener) == "unix:s"
        assert describe(listener, secure=True) == "unix:s (https)"
        assert is_local(listener)
    assert not path.exists()


def test_a_socket_that_nobody_listens_on_is_replaced(folder: Path) -> None:
    with socket.socket(native.AF_UNIX) as killed:
        killed.bind("s")
        killed.listen()
    assert (folder / "s").is_socket()
    with listening_unix("s", backlog=5) as listener:
        assert greet(listener, native.AF_UNIX, "s") == ""


def test_a_socket_that_somebody_listens_on_stays(folder: Path) -> None:
    with listening_unix("s", backlog=5) as listener:
        with pytest.raises(CannotListenError, match="somebody listens on s already"):
            listening_unix("s", backlog=5).__enter__()
        listener.accept()[0].close()  # the question whether somebody listens
        assert greet(listener, native.AF_UNIX, "s") == ""


def test_also_when_its_queue_is_full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the kernel neither takes a connection nor refuses it."""
    monkeypatch.setattr(listeners, "_CONNECT_WAIT", 0.05)
    with listening_unix("s", backlog=0), native.socket(native.AF_UNIX) as first:
        first.connect("s")
        with pytest.raises(CannotListenError, match="somebody listens on s already"):
            listening_unix("s", backlog=5).__enter__()


def test_what_is_no_socket_stays(folder: Path) -> None:
    path = folder / "s"
    path.write_text("precious")
    with pytest.raises(CannotListenError, match="s exists and is not a socket"):
        listening_unix(path, backlog=5).__enter__()
    assert path.read_text() == "precious"
    path.unlink()


def test_a_link_stays_wherever_it_leads(folder: Path) -> None:
    with socket.socket(native.AF_UNIX) as killed:
        killed.bind("killed")
    (folder / "s").symlink_to("killed")
    with pytest.raises(CannotListenError, match="s exists and is not a socket"):
        listening_unix("s", backlog=5).__enter__()
    assert (folder / "s").is_symlink()
    for name in ("s", "killed"):
        (folder / name).unlink()


def test_a_successors_socket_is_not_removed(folder: Path) -> None:
    path = folder / "s"
    with listening_unix(path, backlog=5):
        path.unlink()
        path.write_text("the successor's")
    assert path.read_text() == "the successor's"
    path.unlink()


def test_one_process_at_a_time_looks_and_listens(folder: Path) -> None:
    """While another holds the folder, nothing is touched; once it lets go, it goes on."""
    holder = os.open(".", os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)

    def listen() -> bool:
        with listening_unix("s", backlog=5) as listener:
            return bool(listener)

    try:
        waiting = gevent.spawn(listen)
        gevent.sleep(0)
        assert not waiting.ready()
        assert not (folder / "s").exists()
    finally:
        os.close(holder)
    assert waiting.get(timeout=TIMEOUT)


def test_a_folder_that_stays_locked_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "_LOCK_WAIT", 0)
    holder = os.open(".", os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    try:
        with pytest.raises(CannotListenError, match=r"another process keeps the folder \. locked"):
            listening_unix("s", backlog=5).__enter__()
    finally:
        os.close(holder)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing/s", "cannot listen on missing/s: No such file or directory"),
        ("s" * 108, "cannot listen on s+: AF_UNIX path too long"),
    ],
)
def test_a_path_that_cannot_be(folder: Path, path: str, message: str) -> None:
    with pytest.raises(CannotListenError, match=message):
        listening_unix(folder / path, backlog=5).__enter__()


# Inherited sockets.


def test_an_inherited_socket_is_taken_over() -> None:
    given = native.create_server(("127.0.0.1", 0))
    given.set_inheritable(True)
    descriptor = given.detach()
    with closing(inherited(descriptor)) as listener:
        assert listener.fileno() == descriptor
        assert not os.get_inheritable(descriptor)
        assert greet(listener, native.AF_INET, listener.getsockname())


def test_an_inherited_unix_socket_keeps_its_kind(folder: Path) -> None:
    given = native.socket(native.AF_UNIX)
    given.bind("s")
    given.listen()
    with closing(inherited(given.detach())) as listener:
        assert describe(listener) == "unix:s"
        assert greet(listener, native.AF_UNIX, "s") == ""
    (folder / "s").unlink()


def _file() -> int:
    return os.open(os.devnull, os.O_RDONLY)


def _closed() -> int:
    descriptor = _file()
    os.close(descriptor)
    return descriptor


def _bound() -> int:
    sock = native.socket()
    sock.bind(("127.0.0.1", 0))
    return sock.detach()


def _datagram() -> int:
    return native.socket(type=native.SOCK_DGRAM).detach()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_closed, "is not open"),
        (_file, "is not a socket"),
        (_bound, "does not listen"),
        (_datagram, "is not a stream socket of TCP or Unix"),
    ],
)
def test_a_descriptor_that_is_no_listener_is_left_alone(make: Callable[[], int], message: str) -> None:
    descriptor = make()
    with pytest.raises(CannotListenError, match=f"descriptor {descriptor} {message}"):
        inherited(descriptor)
    if make is not _closed:
        os.close(descriptor)  # raises if it was closed


# What systemd passes.


def passed(count: str, pid: int | None = None) -> dict[str, str]:
    return {
        "LISTEN_FDS": count,
        "LISTEN_PID": str(os.getpid() if pid is None else pid),
        "LISTEN_FDNAMES": "greenlane.socket",
        "HOME": "/",
    }


def test_the_socket_of_a_unit_is_taken_over_and_no_child_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given = native.create_server(("127.0.0.1", 0)).detach()
    monkeypatch.setattr(listeners, "_FIRST_OF_SYSTEMD", given)
    environ = passed("1")
    with closing(activated(environ)) as listener:
        assert listener.fileno() == given
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "systemd passed no socket"),
        (passed("1", pid=1), "systemd passed no socket"),
        (passed("0"), "systemd passed no socket"),
        (passed("some"), "systemd passed no socket"),
        (passed("2"), "systemd passed 2 sockets, and one is served"),
    ],
)
def test_what_was_not_passed_to_us(environ: dict[str, str], message: str) -> None:
    with pytest.raises(CannotListenError, match=message):
        activated(environ)
