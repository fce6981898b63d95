"""Requests byte by byte: several at once, replies in order, and a client that goes away."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import gevent
import pytest
from gevent import socket as gevent_socket
from gevent.event import AsyncResult, Event
from gevent.server import StreamServer

from crosstalk.matrix import raw

Handle = Callable[[Any], object]
Serve = Callable[[Handle], tuple[str, int]]


@pytest.fixture(autouse=True)
def _waits_on_gevent(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a patched process: server and client share this thread."""
    monkeypatch.setattr(raw, "socket", gevent_socket)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve connections by a function of their socket, and return host and port."""
    with ExitStack() as stack:

        def start(handle: Handle) -> tuple[str, int]:
            def connection(peer: Any, _address: object) -> None:
                with peer:
                    handle(peer)

            server = StreamServer(("127.0.0.1", 0), connection)
            server.start()
            stack.callback(server.stop, timeout=1)
            return "127.0.0.1", int(server.address[1])

        yield start


def reply(body: bytes, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d Any\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def read_heads(peer: Any, count: int) -> bytes:
    """Read until ``count`` heads have come, and return everything."""
    came = b""
    while came.count(b"\r\n\r\n") < count and (data := peer.recv(65_536)):
        came += data
    return came


def test_requests_are_written_at_once_and_replies_come_in_order(serve: Serve) -> None:
    def answer(peer: Any) -> None:
        read_heads(peer, 3)  # would wait for ever for what is not written
        peer.sendall(reply(b"one") + reply(b"") + reply(b"three", 404))

    requests = [raw.get("127.0.0.1", f"/{number}", "n") for number in range(3)]
    assert raw.pipelined(*serve(answer), requests, timeout=20) == [
        raw.RawReply(200, b"one"),
        raw.RawReply(200, b""),
        raw.RawReply(404, b"three"),
    ]


def test_replies_may_come_byte_by_byte_and_in_chunks(serve: Serve) -> None:
    def answer(peer: Any) -> None:
        read_heads(peer, 2)
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n2\r\n!!\r\n0\r\n\r\n"
        for byte in chunked + reply(b"two"):
            peer.sendall(bytes((byte,)))

    replies = raw.pipelined(*serve(answer), [b"GET / HTTP/1.1\r\n\r\n"] * 2, timeout=20)
    assert [each.body for each in replies] == [b"one!!", b"two"]


def test_a_reply_too_many_is_the_next_exchanges(serve: Serve) -> None:
    """As it is with a proxy that counts: this is how replies get out of step."""

    def answer(peer: Any) -> None:
        read_heads(peer, 1)
        peer.sendall(reply(b"one") + reply(b"smuggled"))
        read_heads(peer, 1)
        peer.sendall(reply(b"two"))

    with raw.Connection(*serve(answer), timeout=20) as connection:
        bodies = [connection.exchange([raw.get("h", "/", "n")])[0].body for _ in range(2)]
    assert bodies == [b"one", b"smuggled"]


def test_connections_have_numbers_that_no_other_client_has(serve: Serve) -> None:
    place = serve(lambda _peer: None)
    with raw.Connection(*place, timeout=20) as one, raw.Connection(*place, timeout=20) as other:
        assert one.number != other.number
        assert max(one.number, other.number) < 0


@pytest.mark.parametrize("sent", [b"", reply(b"one"), reply(b"one") + b"HTTP/1.1 200 OK\r\nContent-Le"])
def test_a_connection_that_ends_early_is_told(serve: Serve, sent: bytes) -> None:
    def answer(peer: Any) -> None:
        read_heads(peer, 2)
        peer.sendall(sent)

    with pytest.raises(raw.BrokenOff, match=r"[01] of 2 replies came"):
        raw.pipelined(*serve(answer), [raw.get("h", "/", "n")] * 2, timeout=20)


def test_what_is_no_http_is_told(serve: Serve) -> None:
    def answer(peer: Any) -> None:
        peer.sendall(b"220 mail.example ESMTP\r\n")
        read_heads(peer, 1)

    with pytest.raises(raw.BrokenOff, match="what came is no HTTP"):
        raw.pipelined(*serve(answer), [raw.get("h", "/", "n")], timeout=20)


def test_nobody_who_answers_is_an_error(serve: Serve) -> None:
    with pytest.raises(TimeoutError):
        raw.pipelined(*serve(lambda peer: read_heads(peer, 1)), [b"GET"], timeout=0.05)
    with gevent_socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        raw.pipelined("127.0.0.1", port, [b"GET"], timeout=20)


# Going away


def test_a_client_goes_away_after_the_first_piece_and_the_server_notices(serve: Serve) -> None:
    asked: list[bytes] = []
    noticed = Event()

    def answer(peer: Any) -> None:
        asked.append(read_heads(peer, 1))
        peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                peer.sendall(b"5\r\nfirst\r\n")
                gevent.sleep(0.001)
        except OSError:
            noticed.set()

    came = raw.abandon(*serve(answer), "/stream?a=b", headers={"X-Nonce": "n"}, timeout=20)
    assert came.startswith(b"first")
    assert asked[0].startswith(b"GET /stream?a=b HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    assert b"\r\nX-Nonce: n\r\n" in asked[0]
    assert noticed.wait(20)


def test_the_connection_is_reset_even_when_nothing_was_left_to_read(serve: Serve) -> None:
    ended: AsyncResult[object] = AsyncResult()

    def answer(peer: Any) -> None:
        read_heads(peer, 1)
        peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        try:
            ended.set(peer.recv(1))
        except OSError as error:
            ended.set(error)

    assert raw.abandon(*serve(answer), "/stream", timeout=20) == b"first"
    assert isinstance(ended.get(timeout=20), ConnectionResetError)


def test_a_stream_that_is_refused_is_told_with_its_status(serve: Serve) -> None:
    def answer(peer: Any) -> None:
        read_heads(peer, 1)
        peer.sendall(reply(b"no such stream", 404))

    with pytest.raises(raw.RefusedError, match="status 404") as caught:
        raw.abandon(*serve(answer), "/stream", timeout=20)
    assert caught.value.status == 404


def test_a_stream_that_ends_before_its_first_piece_is_told(serve: Serve) -> None:
    def answer(peer: Any) -> None:
        read_heads(peer, 1)
        peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

    with pytest.raises(raw.BrokenOff, match="before the first piece"):
        raw.abandon(*serve(answer), "/stream", timeout=20)


# The bytes


def test_a_post_carries_a_request_of_its_own() -> None:
    inner = raw.get("h", "/p?nonce=n", "n")
    assert inner == b"GET /p?nonce=n HTTP/1.1\r\nHost: h\r\nCookie: nonce=n\r\n\r\n"
    head, _, body = raw.post("h", "/p?nonce=n", "n").partition(b"\r\n\r\n")
    assert body == inner
    assert f"Content-Length: {len(inner)}".encode() in head
