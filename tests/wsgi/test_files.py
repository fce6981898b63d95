"""Files as responses: sent by the kernel where they can be, read where not, and closed always.

And large bodies both ways in little memory.
"""

import gzip
import io
import os
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import gevent
import pytest
import trustme
from gevent import socket, ssl
from gevent.event import Event

from greenlane.wsgi import WSGIServer
from greenlane.wsgi.tls import server_context

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from tests.wsgi.conftest import Client

    Serve = Callable[..., WSGIServer]
    Connect = Callable[[WSGIServer], Client]

GET = "GET / HTTP/1.1\r\nHost: test\r\n\r\n"
CONTENT = bytes(range(256)) * 1000
MEGABYTE = 1_000_000
STAT = Path("/proc/self/stat")


class Sender:
    """An application that answers with a file, which it opens anew for each request."""

    def __init__(self, open_it: Callable[[], Any], *headers: tuple[str, str]) -> None:
        self._open = open_it
        self._headers = headers
        self.files: list[Any] = []
        self.closed = Event()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response("200 OK", list(self._headers))
        file = self._open()
        self.files.append(file)
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
        close = wrapped.close  # type: ignore[attr-defined]

        def closing() -> None:
            close()
            self.closed.set()

        wrapped.close = closing  # type: ignore[attr-defined]
        return wrapped


class Kernel:
    """Counts what the kernel was asked to send."""

    def __init__(self) -> None:
        self.calls = 0
        self.sent = 0
        self.before: Callable[[], object] = lambda: None
        self._sendfile = os.sendfile

    def sendfile(self, *args: Any) -> int:
        self.calls += 1
        self.before()
        sent = self._sendfile(*args)
        self.sent += sent
        return sent


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    counting = Kernel()
    monkeypatch.setattr(os, "sendfile", counting.sendfile)
    return counting


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with `CONTENT`."""
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


def test_the_kernel_sends_a_regular_file(
    serve: "Serve", connect: "Connect", kernel: Kernel, path: Path
) -> None:
    app = Sender(lambda: path.open("rb"))
    client = connect(serve(app))
    for _ in range(2):
        reply = client.get()
        assert (reply.headers["content-length"], reply.body) == (str(len(CONTENT)), CONTENT)
    assert kernel.sent == 2 * len(CONTENT)
    assert all(file.closed for file in app.files)


def test_a_head_is_all_that_is_sent_to_head(
    serve: "Serve", connect: "Connect", kernel: Kernel, path: Path
) -> None:
    app = Sender(lambda: path.open("rb"))
    client = connect(serve(app))
    reply = client.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n").reply(head_only=True)
    assert reply.headers["content-length"] == str(len(CONTENT))
    assert client.get().body == CONTENT
    assert kernel.sent == len(CONTENT)
    assert all(file.closed for file in app.files)


@pytest.mark.parametrize("buffered", [False, True])
def test_a_file_is_sent_from_where_it_stands(
    serve: "Serve", connect: "Connect", kernel: Kernel, path: Path, buffered: bool
) -> None:
    def opened() -> IO[bytes]:
        file: IO[bytes] = path.open("rb") if buffered else io.FileIO(path)
        assert file.read(10) == CONTENT[:10]  # buffered: the kernel's position is far behind that
        file.seek(5, os.SEEK_CUR)
        return file

    reply = connect(serve(Sender(opened))).get()
    assert (reply.headers["content-length"], reply.body) == (str(len(CONTENT) - 15), CONTENT[15:])
    assert kernel.sent == len(CONTENT) - 15


@pytest.mark.parametrize("promised", [0, 10, len(CONTENT)])
def test_no_more_is_sent_than_what_was_promised(
    serve: "Serve", connect: "Connect", kernel: Kernel, path: Path, promised: int
) -> None:
    """PEP 3333: the file may be longer than its Content-Length."""
    client = connect(serve(Sender(lambda: path.open("rb"), ("Content-Length", str(promised)))))
    for _ in range(2):
        assert client.get().body == CONTENT[:promised]
    assert kernel.sent == 2 * promised


def test_a_file_that_is_shorter_than_promised_is_a_500(
    serve: "Serve", connect: "Connect", errors: io.StringIO, path: Path
) -> None:
    """While there is time: nothing was sent."""
    app = Sender(lambda: path.open("rb"), ("Content-Length", str(len(CONTENT) + 1)))
    client = connect(serve(app))
    assert client.get().status == client.get().status == 500
    assert "its Content-Length is" in errors.getvalue()
    assert all(file.closed for file in app.files)


def test_a_file_that_shrinks_in_the_middle_ends_the_connection(
    serve: "Serve", connect: "Connect", errors: io.StringIO, kernel: Kernel, path: Path
) -> None:
    """Nothing must stand in the place of what is missing."""
    size = 3 * MEGABYTE
    os.truncate(path, size)

    def shrink() -> None:
        if kernel.calls == 2:
            os.truncate(path, MEGABYTE)

    kernel.before = shrink
    client = connect(serve(Sender(lambda: path.open("rb"), ("Content-Length", str(size)))))
    client.send(GET + GET)
    received = client.rest().partition(b"\r\n\r\n")[2]
    assert MEGABYTE <= len(received) < size
    assert received.startswith(CONTENT)
    assert b"HTTP/1.1" not in received
    assert "shorter than its Content-Length" in errors.getvalue()


def test_an_empty_file_is_an_empty_body(serve: "Serve", connect: "Connect", tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    client = connect(serve(Sender(lambda: (tmp_path / "empty").open("rb"))))
    for _ in range(2):
        reply = client.get()
        assert (reply.headers["content-length"], reply.body) == ("0", b"")


@pytest.mark.skipif(not STAT.exists(), reason="there is no /proc")
def test_a_file_that_hides_its_size_is_read(serve: "Serve", connect: "Connect") -> None:
    """Its size is 0, and it has content."""
    reply = connect(serve(Sender(lambda: STAT.open("rb")))).get()
    assert reply.body.startswith(str(os.getpid()).encode())


def from_pipe() -> IO[bytes]:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as end:
        end.write(b"Hello")
    return os.fdopen(reading, "rb")


def compressed(folder: Path) -> gzip.GzipFile:
    with gzip.open(folder / "packed", "wb") as file:
        file.write(b"Hello")
    return gzip.GzipFile(folder / "packed")


def buffered(folder: Path) -> io.BufferedReader:
    return io.BufferedReader(compressed(folder))


class Shouting(io.FileIO):
    """A file whose bytes are others than those that it reads."""

    def __init__(self, folder: Path) -> None:
        (folder / "quiet").write_bytes(b"hELLO")
        super().__init__(folder / "quiet")

    def read(self, size: int | None = -1) -> bytes:
        return super().read(size).swapcase()


class Other:
    """A file object with a descriptor whose bytes are others."""

    def __init__(self, folder: Path) -> None:
        (folder / "other").write_bytes(b"something else")
        self._file = (folder / "other").open("rb")
        self._rest = io.BytesIO(b"Hello")
        self.closed = False

    def fileno(self) -> int:
        return self._file.fileno()

    def read(self, size: int) -> bytes:
        return self._rest.read(size)

    def close(self) -> None:
        self._file.close()
        self.closed = True


@pytest.mark.parametrize(
    "opened",
    [lambda folder: io.BytesIO(b"Hello"), lambda folder: from_pipe(), compressed, buffered, Shouting, Other],
    ids=["memory", "pipe", "gzip", "buffered gzip", "of its own", "other"],
)
def test_what_is_no_regular_file_is_read(
    serve: "Serve", connect: "Connect", kernel: Kernel, tmp_path: Path, opened: Callable[[Path], Any]
) -> None:
    """Also where a descriptor is at hand: what is behind it may be other bytes than those that are read.

    A buffered reader was taken for a file of the disk, whatever it buffers, and compressed bytes were sent.
    """
    app = Sender(partial(opened, tmp_path))
    client = connect(serve(app))
    for _ in range(2):
        assert client.get().body == b"Hello"
    assert kernel.calls == 0
    assert all(file.closed for file in app.files)


def test_a_file_of_text_is_the_applications_mistake(
    serve: "Serve", connect: "Connect", errors: io.StringIO, path: Path
) -> None:
    app = Sender(lambda: path.open(encoding="latin-1"))
    assert connect(serve(app)).get().status == 500
    assert "made of bytes, not str" in errors.getvalue()
    assert app.files[0].closed


def test_a_closed_file_is_the_applications_mistake(
    serve: "Serve", connect: "Connect", errors: io.StringIO, path: Path
) -> None:
    def opened() -> IO[bytes]:
        file = path.open("rb")
        file.close()
        return file

    assert connect(serve(Sender(opened))).get().status == 500
    assert "closed file" in errors.getvalue()


def test_what_was_written_stands_before_the_file(serve: "Serve", connect: "Connect", path: Path) -> None:
    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response("200 OK", [])(b"before ")
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](path.open("rb"))
        return wrapped

    assert connect(serve(app)).get().body == b"before " + CONTENT


def test_through_tls_a_file_is_read(serve: "Serve", kernel: Kernel, path: Path, tmp_path: Path) -> None:
    """The kernel would send what nobody has encrypted."""
    authority, certificate = trustme.CA(), tmp_path / "certificate.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    app = Sender(lambda: path.open("rb"))
    server = serve(app, kind=partial(WSGIServer, tls=server_context(certificate)))
    sock = socket.create_connection(("127.0.0.1", server.server_port), timeout=5)
    with context.wrap_socket(sock, server_hostname="localhost") as secured:
        secured.sendall(b"GET / HTTP/1.0\r\n\r\n")
        received = b"".join(iter(partial(secured.recv, 65_536), b""))
    assert received.partition(b"\r\n\r\n")[2] == CONTENT
    assert kernel.calls == 0
    assert app.files[0].closed


def test_a_file_is_closed_when_its_client_goes_away(
    serve: "Serve", connect: "Connect", errors: io.StringIO, path: Path
) -> None:
    os.truncate(path, 1000 * MEGABYTE)
    app = Sender(lambda: path.open("rb"))
    client = connect(serve(app)).send(GET)
    client.sock.recv(1000)
    client.close()
    assert app.closed.wait(5)
    assert app.files[0].closed
    assert errors.getvalue() == ""


def test_a_large_file_does_not_hold_the_others(
    serve: "Serve", connect: "Connect", kernel: Kernel, path: Path
) -> None:
    size = 100 * MEGABYTE
    os.truncate(path, size)
    sender = Sender(lambda: path.open("rb"))
    at_the_other = []

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/file":
            return sender(environ, start_response)
        at_the_other.append(kernel.sent)
        start_response("200 OK", [])
        return []

    server = serve(app)
    file, other = connect(server), connect(server)
    other.get("/")
    file.send("GET /file HTTP/1.1\r\nHost: test\r\n\r\n")
    drain = gevent.spawn(file.rest)
    while not kernel.sent:
        gevent.sleep(0)
    other.get("/")
    drain.kill()
    assert 0 < at_the_other[1] < size


# Much, in little memory.


@pytest.fixture
def peak() -> Iterator[Callable[[], int]]:
    """The most memory that Python held since the test began, in bytes."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def test_half_a_gigabyte_is_sent_in_little_memory(
    serve: "Serve", connect: "Connect", kernel: Kernel, path: Path, peak: Callable[[], int]
) -> None:
    size = 500 * MEGABYTE
    os.truncate(path, size)
    client = connect(serve(Sender(lambda: path.open("rb")))).send(
        "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
    )
    buffer, received = bytearray(MEGABYTE), 0
    while count := client.sock.recv_into(buffer):
        received += count
    assert kernel.sent == size < received < size + 1000
    assert peak() < 10 * MEGABYTE


@pytest.mark.parametrize("framing", ["Content-Length: 256000000", "Transfer-Encoding: chunked"])
def test_a_large_upload_is_read_in_little_memory(
    serve: "Serve", connect: "Connect", peak: Callable[[], int], framing: str
) -> None:
    size, received = 256 * MEGABYTE, 0

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        nonlocal received
        while part := environ["wsgi.input"].read(100_000):
            received += len(part)
        start_response("200 OK", [])
        return [b"%d" % received]

    client = connect(serve(app)).send(f"POST / HTTP/1.1\r\nHost: test\r\n{framing}\r\n\r\n")
    part = bytes(MEGABYTE)
    if "chunked" in framing:
        part = b"%x\r\n%b\r\n" % (len(part), part)
    for _ in range(size // MEGABYTE):
        client.send(part)
    if "chunked" in framing:
        client.send(b"0\r\n\r\n")
    assert client.reply().body == b"%d" % size
    assert peak() < 10 * MEGABYTE


def test_an_endless_stream_is_made_in_little_memory(
    serve: "Serve", connect: "Connect", peak: Callable[[], int], answer: "Callable[..., WSGIApplication]"
) -> None:
    """What the client does not take waits in the application, and not in the server."""
    client = connect(serve(answer(b"x" * 100_000 for _ in range(1_000)))).send(
        "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
    )
    buffer, received = bytearray(MEGABYTE), 0
    while count := client.sock.recv_into(buffer):
        received += count
    assert received > 100 * MEGABYTE
    assert peak() < 10 * MEGABYTE
