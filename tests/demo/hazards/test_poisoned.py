"""The pooled connection with an unread reply: against the line server, and a real Redis where there is."""

import gc
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
import psutil
import pytest
from gevent import socket
from werkzeug.test import Client

from crosstalk.server import running_server
from greenlane.demo import create_demo
from greenlane.demo.hazards.poisoned_resp import Connection, LineServer, ProtocolError

CELL = "poisoned-connection"


@pytest.fixture
def server() -> LineServer:
    return LineServer()


@pytest.fixture
def connection(server: LineServer) -> Iterator[Connection]:
    connection = Connection(server.url)
    yield connection
    connection.close()


def sockets() -> int:
    return len(psutil.Process().net_connections("tcp"))


def must_be_closed_but(number: int) -> None:
    """Wait for the greenlets of closed connections to notice, and fail if there are more sockets then."""
    gc.collect()
    with gevent.Timeout(10, AssertionError(f"there were {number} sockets, and there are more")):
        while sockets() > number:
            gevent.sleep(0.001)


# Over real sockets


def test_a_connection_given_back_with_a_reply_on_it_hands_that_to_the_next_user(
    demonstration: str, drive: Any
) -> None:
    seen = drive(demonstration, f"{CELL}/broken", fate="cancel", share=0.1)
    seen.must_be_whole()
    assert seen.doomed >= 5
    assert seen.checks["foreign"] >= 5
    assert not seen.checks["torn"]


def test_what_is_read_was_sent_over_the_same_connection_just_before(demonstration: str, drive: Any) -> None:
    """The proof that it is off by one, and not merely mixed up: the writer's channel is the reader's."""
    seen = drive(demonstration, f"{CELL}/broken", fate="cancel", share=0.1)
    pairs = [
        (report, seen.reports[read])
        for nonce, report in seen.reports.items()
        if (read := report["checkpoints"][0]["read"]["first"]) != nonce and read in seen.reports
    ]
    assert pairs
    for reader, writer in pairs:
        assert reader["channel"] == writer["channel"]
        assert writer["checkpoints"][-1]["at"] < reader["checkpoints"][0]["at"]


def test_a_connection_closed_when_its_call_was_cancelled_poisons_nobody(
    demonstration: str, drive: Any
) -> None:
    seen = drive(demonstration, f"{CELL}/fixed", fate="cancel", share=0.1)
    seen.must_be_clean()
    assert seen.doomed >= 5


def test_without_a_cancelled_call_even_the_broken_pool_is_clean(drive: Any) -> None:
    """So it is the cancelling that breaks it, and nothing else."""
    with running_server(200) as base:
        drive(base, f"{CELL}/broken").must_be_clean()


def test_with_a_real_redis(drive: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with real_redis(tmp_path) as url:
        monkeypatch.setenv("REDIS_URL", url)
        with running_server(200) as base:
            broken = drive(base, f"{CELL}/broken", fate="cancel", share=0.1)
            broken.must_be_whole()
            assert broken.checks["foreign"] >= 5
            drive(base, f"{CELL}/fixed", fate="cancel", share=0.1).must_be_clean()


@contextmanager
def real_redis(folder: Path) -> Iterator[str]:
    """Run Debian's redis-server, with a password, and give its address."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("there is no redis-server here: install Redis to try it with a real one")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"--port {port} --bind 127.0.0.1 --save --appendonly no --requirepass s3cr@t".split()
    process = subprocess.Popen([program, *options, "--dir", folder], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert any("Ready to accept connections" in line for line in process.stdout), "Redis did not start"
        yield f"redis://:s3cr%40t@127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


# What is left


@pytest.mark.parametrize("variant", ["broken", "fixed"])
def test_nothing_is_left_when_the_demonstration_is(variant: str) -> None:
    gc.collect()  # what other tests have thrown away must not go in the middle of this one
    gevent.idle()
    before, threads = sockets(), psutil.Process().num_threads()
    client = Client(create_demo(secret_key="for this test"))
    address = f"/hazards/{CELL}/{variant}?nonce=a&pause=0"
    requests = [gevent.spawn(client.get, address + fate) for fate in ("", "&fate=cancel") for _ in range(5)]
    gevent.joinall(requests, timeout=20, raise_error=True)
    assert sorted(request.get().status_code for request in requests) == [200] * 5 + [503] * 5
    assert sockets() > before
    for request in requests:
        request.get().close()
    del client, requests, request
    must_be_closed_but(before)
    assert psutil.Process().num_threads() <= threads


# Bad input, and servers that are none


@pytest.mark.parametrize("fate", ["raise", "CANCEL", "no"])
def test_another_fate_is_refused(fate: str) -> None:
    reply = Client(create_demo(secret_key="x")).get(f"/hazards/{CELL}/fixed?nonce=a&fate={fate}")
    assert reply.status_code == 400
    assert json.loads(reply.data)["parameter"] == "fate"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:1", "REDIS_URL cannot be used: it is no address"),
        ("redis://", "REDIS_URL cannot be used: it is no address"),
        ("redis://127.0.0.1:port", "REDIS_URL cannot be used"),
        ("redis://:hidden@127.0.0.1:1", "does not answer"),
    ],
)
def test_a_redis_url_of_no_use_is_told_without_its_password(
    url: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    reply = Client(create_demo(secret_key="x")).get(f"/hazards/{CELL}/fixed?nonce=a")
    assert reply.status_code == 503
    assert said in json.loads(reply.data)["error"]
    assert "hidden" not in reply.get_data(as_text=True)


# The line server and the connection


def test_the_line_server_echoes(connection: Connection) -> None:
    assert [connection.call("ECHO", word) for word in ("a", "b c", "", "\r\n", "ä")] == [
        *("a", "b c", "", "\r\n", "ä")
    ]


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"*1\r\n$4\r\nPING\r\n", b"-ERR unknown command\r\n"),
        (b"*1\r\n$4\r\necho\r\n", b"-ERR wrong number of arguments for 'echo' command\r\n"),
        (b"*0\r\n", b"-ERR unknown command\r\n"),
        (b"ECHO a\r\n", b"-ERR Protocol error: expected '*' and a number up to 1024\r\n"),
        (b"*-1\r\n", b"-ERR Protocol error: expected '*' and a number up to 1024\r\n"),
        (b"*1\r\n$999999\r\n", b"-ERR Protocol error: expected '$' and a number up to 1024\r\n"),
        (b"*1\r\n$4\r\nEC", b""),
        (b"", b""),
    ],
)
def test_the_line_server_refuses_what_it_does_not_know(
    server: LineServer, sent: bytes, answer: bytes
) -> None:
    address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
    with socket.create_connection(address, 20) as client, client.makefile("rb") as answers:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        assert answers.read() == answer


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_host_may_be_a_number_or_a_name(server: LineServer, host: str) -> None:
    connection = Connection(server.url.replace("127.0.0.1", host))
    assert connection.call("ECHO", "a") == "a"
    connection.close()


def test_an_error_of_the_server_is_an_error(connection: Connection) -> None:
    with pytest.raises(ProtocolError, match="KEYS was answered with -ERR unknown command"):
        connection.call("KEYS", "*")


def test_a_server_that_goes_away_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = Connection(f"redis://127.0.0.1:{listener.getsockname()[1]}")
        peer, _address = listener.accept()
        peer.close()
        with pytest.raises(OSError, match=r"broke off|reset"):
            connection.call("ECHO", "a")
        connection.close()


def test_a_refused_password_leaves_no_connection(server: LineServer) -> None:
    """The line server knows no AUTH, so it refuses any."""
    before = sockets()
    with pytest.raises(ProtocolError, match="AUTH was answered with -ERR"):
        Connection(server.url.replace("//", "//:secret@"))
    must_be_closed_but(before)
