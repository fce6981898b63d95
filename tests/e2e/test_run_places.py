"""Where `greenlane run` can listen, and that each place is reached, shown, and left as it was."""

import os
import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

if TYPE_CHECKING:
    from tests.e2e.conftest import Fail, Process, Run

TIMEOUT = 20.0

APP = '''
"""Tells where a request came from, and what it came by."""


def app(environ, start_response):
    told = environ["REMOTE_ADDR"], environ["wsgi.url_scheme"], environ["HTTP_HOST"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(map(repr, told)).encode()]
'''

needs_ipv6 = pytest.mark.skipif(not socket.has_ipv6, reason="this system has no IPv6")

SYSTEMD = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = "1"
os.dup2(int(sys.argv[1]), 3)
os.execv(sys.argv[2], sys.argv[2:])
"""
"""What systemd does between fork and exec: sd_listen_fds(3)."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the module `told`; the test is in it, since a Unix socket's path must be short."""
    (tmp_path / "told.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def ask(sock: socket.socket) -> str:
    """Send a request, and return the body of the reply."""
    with sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        received = b"".join(iter(lambda: sock.recv(65_536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), received
    return body.decode()


def ask_unix(path: str) -> str:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(TIMEOUT)
    sock.connect(path)
    return ask(sock)


def stop(process: "Process") -> int:
    process.tell(signal.SIGTERM)
    return process.exit_code()


# Addresses.


@needs_ipv6
def test_an_address_of_ipv6(run: "Run") -> None:
    process = run("told", "--host", "::1", "--port", "0")
    assert process.where == f"http://[::1]:{process.port}"
    assert ask(socket.create_connection(("::1", process.port), TIMEOUT)) == "'::1' 'http' 'test'"


@needs_ipv6
def test_every_address_of_both_kinds(run: "Run") -> None:
    process = run("told", "--host", "::", "--port", "0")
    for host in ("::1", "127.0.0.1"):
        assert "'http'" in ask(socket.create_connection((host, process.port), TIMEOUT))


# Unix sockets.


def test_a_unix_socket_is_served_and_removed(run: "Run", folder: Path) -> None:
    process = run("told", "--unix", "s", "--unix-mode", "600")
    assert process.where == "unix:s"
    assert (folder / "s").stat().st_mode & 0o777 == 0o600
    assert ask_unix("s") == "'' 'http' 'test'"
    assert stop(process) == 0
    assert not (folder / "s").exists()


def test_a_socket_that_a_killed_process_left_is_replaced(run: "Run", fail: "Fail") -> None:
    first = run("told", "--unix", "s")
    done = fail("told", "--unix", "s")
    assert (done.returncode, done.stderr) == (1, "greenlane: somebody listens on s already\n")
    first.tell(signal.SIGKILL)
    first.exit_code()
    run("told", "--unix", "s")
    assert ask_unix("s") == "'' 'http' 'test'"


def test_the_demonstration_may_be_on_a_unix_socket(run: "Run") -> None:
    """It is local to this machine."""
    process = run("--unix", "s")
    assert (process.what, process.where) == ("the demonstration", "unix:s")


# Inherited sockets.


def test_a_descriptor_is_served(run: "Run", listener: socket.socket) -> None:
    number = listener.fileno()
    process = run("told", "--fd", str(number), pass_fds=(number,))
    assert process.where == f"http://127.0.0.1:{listener.getsockname()[1]}"
    assert ask(socket.create_connection(listener.getsockname(), TIMEOUT)) == "'127.0.0.1' 'http' 'test'"
    assert stop(process) == 0


def test_the_socket_of_a_systemd_unit_is_served(run: "Run", listener: socket.socket) -> None:
    """A connection that was made before the server started is answered too."""
    early = socket.create_connection(listener.getsockname(), TIMEOUT)
    number = listener.fileno()
    run(
        *("told", "--fd", "systemd"),
        before=(sys.executable, "-c", SYSTEMD, str(number)),
        pass_fds=(number,),
    )
    assert ask(early) == "'127.0.0.1' 'http' 'test'"


def test_the_demonstration_refuses_an_inherited_socket_that_is_not_local(fail: "Fail") -> None:
    with socket.create_server(("0.0.0.0", 0)) as everywhere:
        number = everywhere.fileno()
        done = fail("--fd", str(number), pass_fds=(number,))
    assert done.returncode == 2
    assert done.stderr.startswith("greenlane: the demonstration holds strategies that are broken on purpose")
    assert done.stderr.count("\n") == 1


# TLS.


@pytest.fixture
def authority(folder: Path) -> trustme.CA:
    """Signs `certificate.pem` and `key.pem`."""
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    (folder / "certificate.pem").write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(folder / "key.pem")
    return authority


def secured(sock: socket.socket, authority: trustme.CA) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context.wrap_socket(sock, server_hostname="localhost")


def test_tls_is_served(run: "Run", authority: trustme.CA) -> None:
    process = run("told", "--certfile", "certificate.pem", "--keyfile", "key.pem")
    assert process.where == f"https://127.0.0.1:{process.port}"
    sock = socket.create_connection(("127.0.0.1", process.port), TIMEOUT)
    assert ask(secured(sock, authority)) == "'127.0.0.1' 'https' 'test'"
    assert stop(process) == 0
    assert "Traceback" not in process.errors()


def test_tls_is_served_on_a_unix_socket(run: "Run", authority: trustme.CA) -> None:
    process = run("told", "--unix", "s", "--certfile", "certificate.pem", "--keyfile", "key.pem")
    assert process.where == "unix:s (https)"
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(TIMEOUT)
    sock.connect("s")
    assert ask(secured(sock, authority)) == "'' 'https' 'test'"


def test_what_does_not_speak_tls_disturbs_nobody(run: "Run", authority: trustme.CA) -> None:
    process = run("told", "--certfile", "certificate.pem", "--keyfile", "key.pem")
    address = ("127.0.0.1", process.port)
    stranger = ssl.create_default_context()  # does not know the authority
    with pytest.raises(ssl.SSLCertVerificationError):
        stranger.wrap_socket(socket.create_connection(address, TIMEOUT), server_hostname="localhost")
    with socket.create_connection(address, TIMEOUT) as plain, socket.create_connection(address) as silent:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert b"HTTP/1.1 200" not in b"".join(iter(lambda: _read(plain), b""))
        silent.sendall(b"\x16")  # and then nothing: others are served meanwhile
        assert ask(secured(socket.create_connection(address, TIMEOUT), authority)).startswith("'127.0.0.1'")
    assert stop(process) == 0
    assert "Traceback" not in process.errors()


def _read(sock: socket.socket) -> bytes:
    try:
        return sock.recv(65_536)
    except ConnectionResetError:
        return b""


def test_the_password_of_a_key_comes_from_the_environment(
    run: "Run", fail: "Fail", authority: trustme.CA, folder: Path
) -> None:
    key = load_pem_private_key((folder / "key.pem").read_bytes(), None)
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"sesame"))
    (folder / "key.pem").write_bytes(encrypted)
    arguments = ("told", "--certfile", "certificate.pem", "--keyfile", "key.pem")
    done = fail(*arguments, env={name: value for name, value in os.environ.items() if "KEYFILE" not in name})
    assert (done.returncode, done.stderr) == (
        1,
        "greenlane: the key in key.pem is encrypted, and no password was given in KEYFILE_PASSWORD\n",
    )
    process = run(*arguments, environ={"KEYFILE_PASSWORD": "sesame"})
    sock = socket.create_connection(("127.0.0.1", process.port), TIMEOUT)
    assert ask(secured(sock, authority)) == "'127.0.0.1' 'https' 'test'"


def test_a_certificate_that_is_not_there_is_one_clear_line(fail: "Fail") -> None:
    done = fail("told", "--certfile", "nowhere.pem")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "greenlane: cannot read nowhere.pem: there is no such file\n"


# What contradicts itself.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--unix", "s", "--port", "8000"], "--port and --unix exclude each other"),
        (["--host", "127.0.0.1", "--fd", "3"], "--host and --fd exclude each other"),
        (["--unix", "s", "--fd", "3"], "--unix and --fd exclude each other"),
        (["--unix-mode", "600"], "--unix-mode needs --unix."),
        (["--unix", "s", "--unix-mode", "888"], "'888' is not a mode such as 660."),
        (["--keyfile", "key.pem"], "--keyfile needs --certfile."),
        (["--fd", "some"], "'some' is neither a descriptor's number nor systemd."),
        (["--fd", "-1"], "'-1' is neither a descriptor's number nor systemd."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_contradicts_itself_is_a_usage_error(fail: "Fail", arguments: list[str], message: str) -> None:
    done = fail("told", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fd", "77"], "descriptor 77 is not open"),
        (["--fd", "0"], "descriptor 0 is not a socket"),
        (["--fd", "systemd"], "systemd passed no socket"),
        (["--unix", "nowhere/s"], "cannot listen on nowhere/s: No such file or directory"),
        (["--unix", "told.py"], "told.py exists and is not a socket"),
        (["--host", "*"], "'*' is no address"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_where_it_cannot_listen_is_one_clear_line(fail: "Fail", arguments: list[str], message: str) -> None:
    done = fail("told", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"greenlane: {message}")
    assert done.stderr.count("\n") == 1
