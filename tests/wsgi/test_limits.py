"""Each limit and each time in the settings: what is just within it passes, what is beyond is stopped.

A pause or a slow trickle of the client's is what is tried here, so these tests make some, short ones:
nothing is synchronised by them.
"""

import ssl
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import gevent
import pytest
import trustme
from gevent import socket
from gevent.event import Event

from greenlane.wsgi import WSGIServer
from greenlane.wsgi.tls import server_context

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.wsgi.conftest import Answer, Client, Closing

    Serve = Callable[..., WSGIServer]
    Connect = Callable[[WSGIServer], Client]
    Secure = Callable[[WSGIServer], "TLS"]

GET = "GET / HTTP/1.1\r\nHost: test\r\n\r\n"
BAD = "nonsense\r\n\r\n"
POST = "POST / HTTP/1.1\r\nHost: test\r\n"
MEGABYTE = 1_000_000


class Reader:
    """Reads the body as it comes, says what it has, and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.received = 0

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        self.calls += 1
        while part := environ["wsgi.input"].read(1):
            self.received += len(part)
        start_response("200 OK", [])
        return [b"read"]


@pytest.fixture
def reader() -> Reader:
    return Reader()


def await_idle(server: WSGIServer, within: float = 5.0) -> float:
    """Wait until no connection is left; how long that took."""
    begun = monotonic()
    with gevent.Timeout(within):
        while server.connections:
            gevent.sleep(0.001)
    return monotonic() - begun


@contextmanager
def dripping(sock: socket.socket, data: bytes, every: float) -> Iterator[None]:
    """Send one byte after another meanwhile, until the other side has had enough."""

    def drip() -> None:
        try:
            for byte in data:
                sock.sendall(bytes([byte]))
                gevent.sleep(every)
        except OSError:
            pass

    greenlet = gevent.spawn(drip)
    try:
        yield
    finally:
        greenlet.kill()


# TLS, byte by byte.


class TLS:
    """A client that holds its TLS in its hands: what is sent when is the test's to say."""

    def __init__(self, server: WSGIServer, authority: trustme.CA) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(context)
        self.sock = socket.create_connection(("127.0.0.1", server.server_port), timeout=5)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    def hello(self) -> bytes:
        """The first bytes of a handshake."""
        with pytest.raises(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._outgoing.read()

    def shake_hands(self) -> "TLS":
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self.sock.sendall(self._outgoing.read())
                self._incoming.write(self.sock.recv(65_536))
            else:
                self.sock.sendall(self._outgoing.read())
                return self

    def record(self, data: str) -> bytes:
        """The bytes of a record with `data`."""
        self._tls.write(data.encode())
        return self._outgoing.read()

    def read(self) -> bytes:
        """All that comes until the server closes."""
        received = b""
        while True:
            try:
                part = self._tls.read(65_536)
            except ssl.SSLWantReadError:
                data = self.sock.recv(65_536)
                if not data:
                    return received
                self._incoming.write(data)
            else:
                if not part:  # goodbye
                    return received
                received += part


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator["Secure"]:
    """Open connections, on which nothing was said yet: `secure(server)`."""
    clients: list[TLS] = []

    def open_one(server: WSGIServer) -> TLS:
        clients.append(TLS(server, authority))
        return clients[-1]

    yield open_one
    for client in clients:
        client.sock.close()


@pytest.fixture
def secured(authority: trustme.CA, tmp_path: Path) -> Any:
    """A kind of server that speaks TLS."""
    certificate = tmp_path / "certificate.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    return partial(WSGIServer, tls=server_context(certificate))


# Connections.


@pytest.mark.parametrize("what", ["nonsense", "half a head", "half a body", "nothing", "reset"])
def test_a_connection_that_failed_gives_its_place_back(
    serve: "Serve", connect: "Connect", reader: Reader, what: str
) -> None:
    server = serve(reader, max_connections=1, head_timeout=0.05, keep_alive=0.05, body_timeout=0.05, linger=0)
    client = connect(server)
    if what == "nonsense":
        client.send(BAD)
    elif what == "half a head":
        client.send(GET[:10])
    elif what == "half a body":
        client.send(POST + "Content-Length: 5\r\n\r\nHe")
    elif what == "reset":
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        client.send(GET[:10]).close()
    assert connect(server).get().body == b"read"


def test_a_handshake_that_failed_gives_its_place_back(
    serve: "Serve", connect: "Connect", reader: Reader, secured: Any, secure: "Secure"
) -> None:
    server = serve(reader, kind=secured, max_connections=1)
    with suppress(ConnectionError):
        connect(server).send(GET).rest()
    reply = secure(server).shake_hands()
    reply.sock.sendall(reply.record(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")))
    assert reply.read().endswith(b"\r\n\r\nread")


def test_one_address_gets_its_share_and_no_more(serve: "Serve", connect: "Connect", answer: "Answer") -> None:
    server = serve(answer([b"Hello"]), max_connections_per_address=2)
    first, second = connect(server), connect(server)
    assert first.get().status == second.get().status == 200
    third = connect(server)
    reply = third.reply()
    assert (reply.status, reply.headers["connection"]) == (503, "close")
    assert third.ended()
    for client in (first, third):
        client.close()
    with gevent.Timeout(5):
        while connect(server).get().status != 200:  # the server learns of the closing in its own time
            gevent.sleep(0.001)
    assert second.get().status == 200


def test_another_address_has_its_own_share(serve: "Serve", connect: "Connect", answer: "Answer") -> None:
    server = serve(answer([b"Hello"]), max_connections_per_address=1)
    assert connect(server).get().status == 200
    with socket.create_connection(
        ("127.0.0.1", server.server_port), timeout=5, source_address=("127.0.0.2", 0)
    ) as elsewhere:
        elsewhere.sendall(GET.encode())
        assert elsewhere.recv(12) == b"HTTP/1.1 200"


def test_a_request_that_is_on_its_way_does_not_destroy_the_503(
    serve: "Serve", connect: "Connect", answer: "Answer"
) -> None:
    """RFC 9112, 9.6: closed at once, with bytes unread, the connection would be reset."""
    server = serve(answer([b"Hello"]), max_connections_per_address=1)
    connect(server).get()
    client = connect(server).send(GET + "x" * 100_000)
    assert client.reply().status == 503
    assert client.ended()


def test_those_that_are_turned_away_do_not_take_the_places(
    serve: "Serve", connect: "Connect", answer: "Answer"
) -> None:
    """They linger, but no more of them than have a place: here, one."""
    server = serve(answer([b"Hello"]), max_connections_per_address=1, max_connections=3, linger=30)
    first = connect(server)
    first.get()
    for _ in range(10):
        connect(server).rest()
    with socket.create_connection(
        ("127.0.0.1", server.server_port), timeout=5, source_address=("127.0.0.2", 0)
    ) as elsewhere:
        elsewhere.sendall(GET.encode())
        assert elsewhere.recv(12) == b"HTTP/1.1 200"


def test_through_tls_one_too_many_is_closed_without_a_word(
    serve: "Serve", connect: "Connect", answer: "Answer", secured: Any, secure: "Secure"
) -> None:
    server = serve(answer([b"Hello"]), kind=secured, max_connections_per_address=1)
    secure(server).shake_hands()
    assert connect(server).rest() == b""


@pytest.mark.parametrize("most", [1, 3])
def test_the_last_request_of_a_connection_is_told_so(
    serve: "Serve", connect: "Connect", reader: Reader, most: int
) -> None:
    client = connect(serve(reader, max_requests_per_connection=most))
    client.send(GET * (most + 1))
    replies = [client.reply() for _ in range(most)]
    assert [reply.headers.get("connection") for reply in replies] == [None] * (most - 1) + ["close"]
    assert client.ended()
    assert reader.calls == most


@pytest.mark.skipif(sys.platform != "linux", reason="others count the queue differently")
def test_the_kernel_holds_as_many_as_the_backlog(
    serve: "Serve", connect: "Connect", answer: "Answer"
) -> None:
    server = serve(answer([b"Hello"]), backlog=2)
    connect(server).get()  # gevent begins to accept once more when its loop runs first
    server.stop_accepting()
    held: list[socket.socket] = []
    with suppress(TimeoutError):  # what is too much is not answered
        while len(held) < 10:
            held.append(socket.create_connection(("127.0.0.1", server.server_port), timeout=0.2))
    for sock in held:
        sock.close()
    assert 2 <= len(held) <= 3  # Linux holds one more


# Idle connections.


def test_a_connection_in_use_is_not_idle_and_then_it_is(
    serve: "Serve", connect: "Connect", reader: Reader
) -> None:
    """It looks at its own time now and then: also after it has looked once and went on."""
    keep_alive = 0.3
    client = connect(serve(reader, keep_alive=keep_alive))
    begun = monotonic()
    while monotonic() - begun < 3 * keep_alive:
        client.get()
        gevent.sleep(0.02)
    client.get()
    begun = monotonic()
    assert client.ended()
    assert keep_alive - 0.05 < monotonic() - begun < 2 * keep_alive


def test_a_request_that_takes_longer_is_not_idle(serve: "Serve", connect: "Connect") -> None:
    go = Event()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        go.wait(0.3)
        start_response("200 OK", [])
        return [b"late"]

    client = connect(serve(app, keep_alive=0.05))
    assert client.get().body == b"late"
    assert client.ended()


def test_a_connection_is_idle_behind_a_body_that_was_thrown_away(
    serve: "Serve", connect: "Connect", answer: "Answer"
) -> None:
    """Its time was over meanwhile, when nobody could be told."""
    client = connect(serve(answer([b"no"]), keep_alive=0.05, head_timeout=5))
    client.send(POST + "Content-Length: 5\r\n\r\nHe").reply()
    gevent.sleep(0.15)
    client.send("llo")
    assert client.ended()


def test_a_secured_connection_is_closed_when_idle(
    serve: "Serve", reader: Reader, secured: Any, secure: "Secure"
) -> None:
    server = serve(reader, kind=secured, keep_alive=0.1)
    client = secure(server).shake_hands()
    record = client.record(GET)
    with dripping(client.sock, record[:-1], every=0.02):  # not a byte of a request was ever read
        assert client.read() == b""
    assert reader.calls == 0


# Heads.


def test_a_handshake_that_never_comes_is_given_up(
    serve: "Serve", connect: "Connect", reader: Reader, secured: Any
) -> None:
    client = connect(serve(reader, kind=secured, head_timeout=0.05))
    assert client.rest() == b""


def test_a_handshake_has_a_deadline_and_not_a_pause(
    serve: "Serve", reader: Reader, secured: Any, secure: "Secure"
) -> None:
    client = secure(serve(reader, kind=secured, head_timeout=0.1))
    begun = monotonic()
    with dripping(client.sock, client.hello(), every=0.01), suppress(ConnectionError):
        while client.sock.recv(1):
            pass
    assert monotonic() - begun < 2


def test_a_record_in_bytes_does_not_hold_a_head(
    serve: "Serve", reader: Reader, secured: Any, secure: "Secure"
) -> None:
    """Slowloris through TLS: a socket's own timeout begins anew with each byte of a record."""
    client = secure(serve(reader, kind=secured, head_timeout=0.2)).shake_hands()
    client.sock.sendall(client.record("G"))
    begun = monotonic()
    with dripping(client.sock, client.record("ET / HTTP/1.1\r\n" + "X: y\r\n" * 50), every=0.02):
        assert client.read().startswith(b"HTTP/1.1 408 ")
    assert monotonic() - begun < 3
    assert reader.calls == 0


def test_a_record_in_bytes_does_not_hold_a_body(
    serve: "Serve", reader: Reader, secured: Any, secure: "Secure"
) -> None:
    server = serve(reader, kind=secured, body_timeout=0.2)
    client = secure(server).shake_hands()
    client.sock.sendall(client.record(POST + "Content-Length: 300\r\n\r\n"))
    begun = monotonic()
    with dripping(client.sock, client.record("x" * 300), every=0.02):
        assert client.read().startswith(b"HTTP/1.1 408 ")
    assert monotonic() - begun < 3


LINE = len("GET / HTTP/1.1")


@pytest.mark.parametrize(
    ("limit", "size", "status"),
    [
        ({"max_request_line": 100}, 100, 200),
        ({"max_request_line": 100}, 101, 414),
        ({"max_header_count": 5}, 5, 200),
        ({"max_header_count": 5}, 6, 431),
        ({"max_head_size": 300}, 300, 200),
        ({"max_head_size": 300}, 301, 431),
    ],
    ids=str,
)
@pytest.mark.parametrize("step", [1, 7, 10_000], ids=lambda step: f"{step} bytes at a time")
def test_a_head_may_be_as_large_as_its_limit(
    serve: "Serve",
    connect: "Connect",
    reader: Reader,
    limit: dict[str, int],
    size: int,
    status: int,
    step: int,
) -> None:
    if "max_request_line" in limit:
        head = GET.replace("/ ", "/" + "a" * (size - LINE) + " ", 1)
    elif "max_header_count" in limit:
        head = GET[:-2] + "X: y\r\n" * (size - 1) + "\r\n"
    else:
        head = GET[:-2] + "X: " + "y" * (size - len(GET) - len("X: \r\n")) + "\r\n\r\n"
        assert len(head) == size
    client = connect(serve(reader, **limit))
    for start in range(0, size if "max_head_size" in limit else len(head), step):
        try:
            client.send(head[start : start + step])
        except ConnectionError:  # it has heard enough
            break
        gevent.sleep(0)
    assert client.reply().status == status
    assert reader.calls == (status == 200)


# Bodies.


def test_a_client_that_sends_a_byte_now_and_then_is_cut_off(
    serve: "Serve", connect: "Connect", reader: Reader
) -> None:
    """It never pauses for long: what counts is the rate."""
    client = connect(serve(reader, body_timeout=0.3, min_rate=10_000))
    begun = monotonic()
    client.send(POST + "Content-Length: 1000000\r\n\r\n")
    with dripping(client.sock, b"x" * MEGABYTE, every=0.005):
        assert client.reply().status == 408
    assert 0.25 < monotonic() - begun < 3
    assert client.ended()


def test_a_chunked_trickle_is_cut_off_too(serve: "Serve", connect: "Connect", reader: Reader) -> None:
    client = connect(serve(reader, body_timeout=0.3, min_rate=10_000))
    client.send(POST + "Transfer-Encoding: chunked\r\n\r\n")
    with dripping(client.sock, b"1\r\nx\r\n" * MEGABYTE, every=0.005):
        assert client.reply().status == 408


def test_a_fast_client_may_pause_now_and_then(serve: "Serve", connect: "Connect", reader: Reader) -> None:
    """Together the pauses are longer than the time; what came between has earned it again."""
    client = connect(serve(reader, body_timeout=0.4, min_rate=1_000))
    client.send(POST + "Content-Length: 4000\r\n\r\n")
    for _ in range(4):
        gevent.sleep(0.2)
        client.send("x" * 1000)
    assert client.reply().body == b"read"


def test_bytes_that_nobody_waited_for_count_too(serve: "Serve", connect: "Connect") -> None:
    """A pause, then much at once while the application is busy, then a pause."""
    first, go = Event(), Event()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        body = environ["wsgi.input"]
        body.read(1)
        first.set()
        assert go.wait(5)
        body.read()
        start_response("200 OK", [])
        return [b"read"]

    client = connect(serve(app, body_timeout=0.5, min_rate=1_000))
    client.send(POST + "Content-Length: 2002\r\n\r\n")
    gevent.sleep(0.3)
    client.send("x")
    assert first.wait(5)
    client.send("x" * 2000)
    go.set()
    gevent.sleep(0.3)
    client.send("x")
    assert client.reply().body == b"read"


def test_a_body_may_be_as_large_as_its_limit(serve: "Serve", connect: "Connect", reader: Reader) -> None:
    server = serve(reader, max_body_size=10)
    for body in (
        "Content-Length: 10\r\n\r\n0123456789",
        "Transfer-Encoding: chunked\r\n\r\n" + "5\r\n01234\r\n" * 2 + "0\r\n\r\n",
    ):
        assert connect(server).send(POST + body).reply().status == 200
    assert (reader.calls, reader.received) == (2, 20)


def test_a_body_that_says_it_is_too_large_is_not_the_applications(
    serve: "Serve", connect: "Connect", reader: Reader
) -> None:
    client = connect(serve(reader, max_body_size=10)).send(POST + "Content-Length: 11\r\n\r\n0123456789a")
    reply = client.reply()
    assert (reply.status, reply.headers["connection"]) == (413, "close")
    assert client.ended()
    assert reader.calls == 0


@pytest.mark.parametrize("size", [1, 5, 11])
def test_chunks_that_become_too_many_are_a_413(
    serve: "Serve", connect: "Connect", reader: Reader, size: int
) -> None:
    client = connect(serve(reader, max_body_size=10))
    client.send(POST + "Transfer-Encoding: chunked\r\n\r\n" + f"{size:x}\r\n{'x' * size}\r\n" * 11)
    reply = client.reply()
    assert (reply.status, reply.headers["connection"]) == (413, "close")
    assert client.ended()
    assert reader.received <= 10


def test_an_application_may_answer_too_many_chunks_itself(serve: "Serve", connect: "Connect") -> None:
    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        with pytest.raises(OSError, match="more than 10 bytes"):
            environ["wsgi.input"].read()
        start_response("422 Too Much", [])
        return []

    client = connect(serve(app, max_body_size=10))
    client.send(POST + "Transfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n0\r\n\r\n")
    reply = client.reply()
    assert (reply.status, reply.headers["connection"]) == (422, "close")
    assert client.ended()


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
@pytest.mark.parametrize(("size", "stays"), [(1000, True), (1001, False)])
def test_of_an_unread_body_no_more_is_read_than_its_limit(
    serve: "Serve", connect: "Connect", answer: "Answer", size: int, stays: bool, chunked: bool
) -> None:
    client = connect(serve(answer([b"no"]), max_discard=1000 + chunked))  # its end costs a look
    body = f"Content-Length: {size}\r\n\r\n" + "x" * size
    if chunked:
        body = f"Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n{'x' * size}\r\n0\r\n\r\n"
    client.send(POST + body + GET)
    assert client.reply().body == b"no"
    if stays:
        assert client.reply().body == b"no"
    else:
        assert client.ended()


@pytest.mark.parametrize("rest", ["", "llo"], ids=["nothing", "a trickle"])
def test_an_unread_body_must_come_in_the_time_of_a_head(
    serve: "Serve", connect: "Connect", answer: "Answer", rest: str
) -> None:
    server = serve(answer([b"no"]), head_timeout=0.15, linger=0)
    client = connect(server).send(POST + "Content-Length: 5000\r\n\r\nHe")
    client.reply()
    with dripping(client.sock, rest.encode() * 1000, every=0.02):
        assert 0.1 < await_idle(server) < 2


# Responses.


class Endless:
    """A response without an end, which says when it was closed and how much of it was asked for."""

    def __init__(self) -> None:
        self.closed = Event()
        self.given = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.given += 100_000
            yield b"x" * 100_000

    def close(self) -> None:
        self.closed.set()


def test_a_client_that_takes_a_little_now_and_then_is_cut_off(
    serve: "Serve", connect: "Connect", answer: "Answer"
) -> None:
    """It never pauses for long; it takes some 5 MB a second where 50 are asked for."""
    result = Endless()
    server = serve(answer(result), write_timeout=0.3, min_rate=50 * MEGABYTE)
    client = connect(server)
    client.send(GET)
    with gevent.Timeout(10):
        while not result.closed.is_set():
            client.sock.recv(50_000)
            gevent.sleep(0.01)
    client.close()


def test_a_client_that_takes_all_may_pause_now_and_then(
    serve: "Serve", connect: "Connect", answer: "Answer"
) -> None:
    """Together the pauses are longer than the time; what it took between has earned it again."""
    size = 60 * MEGABYTE
    client = connect(serve(answer([b"x" * size]), write_timeout=0.4)).send(GET)
    received = 0
    while received < size:
        if received // (10 * MEGABYTE) < (received := received + len(client.sock.recv(MEGABYTE))) // (
            10 * MEGABYTE
        ):
            gevent.sleep(0.15)
    assert received >= size


def test_a_file_that_nobody_takes_is_given_up(
    serve: "Serve", connect: "Connect", closing: "type[Closing]", tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    closed = Event()
    with (tmp_path / "file").open("rb+") as file:
        file.truncate(1000 * MEGABYTE)

        def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
            start_response("200 OK", [])
            wrapper: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
            wrapper.close = closed.set  # type: ignore[attr-defined]
            return wrapper

        connect(serve(app, write_timeout=0.1)).send(GET)
        assert closed.wait(5)


# The end of a connection, and of the server.


def test_a_client_that_does_not_close_is_waited_for_so_long(
    serve: "Serve", connect: "Connect", answer: "Answer"
) -> None:
    server = serve(answer([b"Hello"]), linger=0.2)
    client = connect(server).send(BAD)
    assert client.reply().status == 400
    assert client.ended()  # our side is closed at once; its own it keeps open
    assert 0.1 < await_idle(server) < 2


def test_a_client_that_closes_is_not_waited_for(serve: "Serve", connect: "Connect", answer: "Answer") -> None:
    server = serve(answer([b"Hello"]), linger=30)
    client = connect(server).send(BAD)
    assert client.reply().status == 400
    client.close()
    assert await_idle(server) < 5


def test_a_client_that_goes_on_sending_is_not_listened_to_for_long(
    serve: "Serve", connect: "Connect", answer: "Answer"
) -> None:
    server = serve(answer([b"Hello"]), linger=0.1)
    client = connect(server).send(BAD)

    def flood() -> None:
        with suppress(ConnectionError):
            while True:
                client.send("x" * 100_000)

    flooding = gevent.spawn(flood)
    assert await_idle(server) < 3
    flooding.get(timeout=5)


def test_what_has_not_finished_in_the_settings_time_is_cut_off(serve: "Serve", connect: "Connect") -> None:
    inside = Event()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        inside.set()
        Event().wait()
        raise AssertionError("never")

    server = serve(app, drain_timeout=0.1)
    client = connect(server).send(GET)
    assert inside.wait(5)
    begun = monotonic()
    assert server.drain() == 1
    assert 0.1 <= monotonic() - begun < 2
    assert client.ended()
