"""curl: the client that half the world's scripts use, with what it can send."""

import hashlib
import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.e2e.clients.conftest import Program
    from tests.e2e.conftest import Process, Run

    Curl = Callable[..., "subprocess.CompletedProcess[str]"]

TIMEOUT = 20.0
BODY = bytes(range(256)) * 8_192
"""2 MiB: several times what the kernel's buffers hold."""


@pytest.fixture
def curl(program: "Program", folder: Path) -> "Curl":
    """Run curl in the servers' folder, without a user's settings and proxies; it must end well."""
    command = [program("curl"), "-q", "-sS", "--noproxy", "*", "--max-time", str(TIMEOUT)]

    def run(*arguments: str, send: bytes | None = None) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [*command, *arguments], cwd=folder, input=send, capture_output=True, timeout=TIMEOUT, check=False
        )
        assert done.returncode == 0, done.stderr
        output, errors = done.stdout.decode("latin-1"), done.stderr.decode("latin-1")
        return subprocess.CompletedProcess(done.args, 0, output, errors)

    return run


def told(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_page(curl: "Curl", server: "Process") -> None:
    seen = told(curl(f"{server.where}/path?a=1"))
    assert (seen["method"], seen["path"], seen["query"]) == ("GET", "/path", "a=1")
    assert (seen["protocol"], seen["scheme"], seen["address"]) == ("HTTP/1.1", "http", "127.0.0.1")
    assert seen["host"] == f"127.0.0.1:{server.port}"


def test_http_1_0(curl: "Curl", server: "Process") -> None:
    """Without keep-alive the end of the connection ends the stream."""
    assert told(curl("--http1.0", server.where))["protocol"] == "HTTP/1.0"
    done = curl("--http1.0", "-i", f"{server.where}/stream")
    assert "Transfer-Encoding" not in done.stdout
    assert done.stdout.endswith("\nline 999\n")


def test_http_1_0_with_keep_alive(curl: "Curl", server: "Process") -> None:
    done = curl("--http1.0", "-H", "Connection: keep-alive", "-w", " %{num_connects}\n", *[server.where] * 2)
    assert [line[-2:] for line in done.stdout.splitlines()] == [" 1", " 0"]


def test_an_upgrade_to_http_2_is_answered_in_http_1_1(curl: "Curl", server: "Process") -> None:
    """RFC 9110, 7.8: a server may ignore the offer."""
    done = curl("--http2", "-w", "\n%{http_version}", server.where)
    assert done.stdout.endswith("\n1.1")


def test_two_urls_use_one_connection(curl: "Curl", server: "Process") -> None:
    done = curl("-w", " %{num_connects}\n", server.where, f"{server.where}/second")
    first, second = (line.rpartition(" ") for line in done.stdout.splitlines())
    assert (first[2], second[2]) == ("1", "0")
    assert json.loads(first[0])["port"] == json.loads(second[0])["port"]


def test_head_has_the_head_alone(curl: "Curl", server: "Process") -> None:
    """And the connection goes on behind it."""
    done = curl("-I", "-w", "%{num_connects} %{size_download}\n", f"{server.where}/page", server.where)
    assert "Content-Length:" in done.stdout
    assert "1 0\n" in done.stdout
    assert "0 0\n" in done.stdout


@pytest.mark.parametrize("path", ["/a/../b", "//a//b", "/%2e%2e/%41", "/a;b=c", "/%e4%zz", "/?a?b"])
def test_a_path_arrives_as_it_was_sent(curl: "Curl", server: "Process", path: str) -> None:
    assert told(curl("--path-as-is", f"{server.where}{path}"))["target"] == path


def test_an_upload_waits_for_100_continue(curl: "Curl", server: "Process", folder: Path) -> None:
    """Curl sends no body until it is told to, or until these 15 s are over."""
    (folder / "body").write_bytes(BODY)
    wait = ("-H", "Expect: 100-continue", "--expect100-timeout", "15")
    done = curl(*wait, "-v", "--data-binary", "@body", server.where)
    assert "< HTTP/1.1 100 Continue" in done.stderr
    assert told(done)["sha256"] == hashlib.sha256(BODY).hexdigest()


def test_an_upload_that_nobody_wants_is_not_sent(curl: "Curl", server: "Process", folder: Path) -> None:
    (folder / "body").write_bytes(BODY)
    wait = ("-H", "Expect: 100-continue", "--expect100-timeout", "15")
    done = curl(*wait, "-v", "--data-binary", "@body", "-w", " %{size_upload}", f"{server.where}/unread")
    assert "100 Continue" not in done.stderr
    assert done.stdout == "not for you 0"


def test_an_upload_that_nobody_reads_does_not_hide_the_answer(
    curl: "Curl", server: "Process", folder: Path
) -> None:
    """Closing at once would reset the connection, and curl might never see the reply (RFC 9112, 9.6)."""
    (folder / "body").write_bytes(BODY)
    done = curl("-H", "Expect:", "--data-binary", "@body", "-w", " %{http_code}", f"{server.where}/unread")
    assert done.stdout == "not for you 403"


def test_a_chunked_upload(curl: "Curl", server: "Process") -> None:
    seen = told(curl("-T", "-", f"{server.where}/upload", send=BODY))
    assert (seen["method"], seen["length"]) == ("PUT", len(BODY))
    assert seen["sha256"] == hashlib.sha256(BODY).hexdigest()


def test_a_form_with_a_file(curl: "Curl", server: "Process", folder: Path) -> None:
    (folder / "body").write_bytes(BODY)
    seen = told(curl("-F", "file=@body", "-F", "name=value", server.where))
    assert seen["length"] > len(BODY)


def test_a_stream(curl: "Curl", server: "Process") -> None:
    done = curl("-i", f"{server.where}/stream")
    assert "Transfer-Encoding: chunked" in done.stdout
    assert done.stdout.splitlines()[-1000:] == [f"line {number}" for number in range(1000)]


def test_many_at_once_get_their_own(curl: "Curl", server: "Process", folder: Path) -> None:
    curl(
        *("--parallel", "--parallel-immediate", "--parallel-max", "50"),
        *("-o", "reply-#1", f"{server.where}/echo?nonce=[1000-1199]"),
    )
    for number in range(1000, 1200):
        assert json.loads((folder / f"reply-{number}").read_text())["query"] == f"nonce={number}"


def test_tls(curl: "Curl", secure: "Process") -> None:
    offer = ("--http2", "--cacert", "authority.pem")
    done = curl(*offer, "-v", secure.where)
    assert "ALPN: server accepted http/1.1" in done.stderr
    seen = told(done)
    assert (seen["scheme"], seen["protocol"]) == ("https", "HTTP/1.1")


def test_an_upload_over_tls(curl: "Curl", secure: "Process") -> None:
    seen = told(curl("--cacert", "authority.pem", "-T", "-", f"{secure.where}/upload", send=BODY))
    assert seen["sha256"] == hashlib.sha256(BODY).hexdigest()


def test_a_unix_socket(curl: "Curl", unix: "Process") -> None:
    assert unix.where == "unix:s"
    seen = told(curl("--unix-socket", "s", "http://anything/path"))
    assert (seen["path"], seen["host"], seen["address"]) == ("/path", "anything", "")


@pytest.mark.skipif(not socket.has_ipv6, reason="this system has no IPv6")
def test_ipv6(curl: "Curl", launch: "Run", folder: Path) -> None:
    process = launch("echoing", "--host", "::1", "--port", "0", cwd=folder)
    assert told(curl("-g", process.where))["address"] == "::1"
