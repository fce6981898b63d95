"""The access log: its forms, what it says of refusals, and that a client cannot write into it."""

import io
import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from greenlane.wsgi import WSGIServer, request_id
from greenlane.wsgi.access import Entry, format_entry

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.wsgi.conftest import Answer, Client

    from greenlane.wsgi.settings import AccessLog

    Serve = Callable[..., WSGIServer]
    Connect = Callable[[WSGIServer], Client]

COMMON = re.compile(
    r'(?P<address>\S+) - - \[(?P<time>[^]]+)\] "(?P<request>(?:[^"\\]|\\.)*)"'
    r" (?P<status>\d{3}) (?P<bytes>\d+)"
    r' (?P<seconds>\d+\.\d{6}) (?P<id>\S+)(?: "(?P<reason>(?:[^"\\]|\\.)*)")?'
)


class Log:
    """Where a server writes; what it wrote, read back in either form."""

    def __init__(self) -> None:
        self._text = io.StringIO()

    def write(self, text: str) -> None:
        self._text.write(text)

    def lines(self) -> list[str]:
        text = self._text.getvalue()
        assert text == "" or text.endswith("\n")
        return text.split("\n")[:-1]

    def common(self) -> list[dict[str, Any]]:
        found = [COMMON.fullmatch(line) for line in self.lines()]
        assert all(found), self.lines()
        return [match.groupdict() for match in found if match]

    def json(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines()]


@pytest.fixture
def log() -> Log:
    return Log()


def test_the_common_form(serve: "Serve", connect: "Connect", answer: "Answer", log: Log) -> None:
    client = connect(serve(answer([b"Hello"], status="201 Created"), log=log))
    client.get("/a?b=c")
    client.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n").reply(head_only=True)
    first, second = log.common()
    assert (first["address"], first["request"]) == ("127.0.0.1", "GET /a?b=c HTTP/1.1")
    assert (first["status"], first["bytes"], first["reason"]) == ("201", "5", None)
    assert (second["request"], second["bytes"]) == ("HEAD / HTTP/1.1", "0")
    said = datetime.strptime(first["time"], "%d/%b/%Y:%H:%M:%S %z")
    assert abs(said - datetime.now(UTC)) < timedelta(seconds=10)
    assert 0 < float(first["seconds"]) < 5


def test_each_line_of_json_is_an_object(
    serve: "Serve", connect: "Connect", answer: "Answer", log: Log
) -> None:
    server = serve(answer([b"Hello"]), log=log, access_log="json")
    connect(server).get('/"\\?')
    bad = connect(server).send("nonsense\r\n\r\n")
    bad.reply()
    assert bad.ended()
    first, second = log.json()
    assert list(first) == ["time", "request_id", "address", "request", "status", "bytes", "seconds"]
    assert (first["request"], first["status"], first["bytes"]) == ('GET /"\\? HTTP/1.1', 200, 5)
    assert abs(datetime.fromisoformat(first["time"]) - datetime.now(UTC)) < timedelta(seconds=10)
    assert (second["request_id"], second["request"], second["status"]) == ("-", "-", 400)
    assert second["reason"].startswith("the request line is none")


@pytest.mark.parametrize("form", ["common", "json"])
def test_off_is_off(
    serve: "Serve", connect: "Connect", answer: "Answer", log: Log, form: "AccessLog"
) -> None:
    for access_log, lines in (("off", 0), (form, 2)):
        server = serve(answer([b"Hello"]), log=log, linger=0, access_log=access_log)
        connect(server).get()
        connect(server).send("nonsense\r\n\r\n").reply()
        assert server.drain() == 0
        assert len(log.lines()) == lines


def test_each_request_has_a_line(serve: "Serve", connect: "Connect", answer: "Answer") -> None:
    log = io.StringIO()
    client = connect(serve(answer([b"Hello"]), log=log))
    client.get("/path?x=1")
    client.get('/"[31m')
    client.send("nonsense\r\n\r\n").reply()
    assert client.ended()
    first, second, third = log.getvalue().splitlines()
    assert first.startswith("127.0.0.1 - - [")
    assert '+0000] "GET /path?x=1 HTTP/1.1" 200 5 0.0' in first
    assert '"GET /\\x22[31m HTTP/1.1" 200 5 ' in second
    assert '"-" 400 11 ' in third


@pytest.mark.parametrize(
    ("method", "field", "status"),
    [
        ("HEAD", "Expect: foo", 417),
        ("POST", "Expect: foo", 417),
        ("POST", "Transfer-Encoding: gzip, chunked", 501),
        ("POST", "Content-Length: 11", 413),
    ],
)
def test_a_request_that_is_refused_has_its_line(
    serve: "Serve", connect: "Connect", answer: "Answer", method: str, field: str, status: int
) -> None:
    """Its head was whole, so what was asked is known, and HEAD is answered without content (RFC 9110, 9.3.2).

    It was answered like a GET, with bytes that a client reads as the next response, and logged as `-`.
    """
    log = io.StringIO()
    client = connect(serve(answer([b"Hello"]), log=log, max_body_size=10))
    client.send(f"{method} /path?x=1 HTTP/1.1\r\nHost: test\r\n{field}\r\n\r\n")
    reply = client.reply(head_only=True)
    body = client.rest()
    assert reply.status == status
    assert len(body) == (0 if method == "HEAD" else int(reply.headers["content-length"]))
    assert f'"{method} /path?x=1 HTTP/1.1" {status} {len(body)} ' in log.getvalue()


def test_a_log_that_nobody_reads_costs_no_request(
    serve: "Serve", connect: "Connect", answer: "Answer"
) -> None:
    log = io.StringIO()
    log.close()  # writing raises, as to a pipe whose reader has gone
    client = connect(serve(answer([b"Hello"]), log=log))
    assert client.get().status == 200
    assert client.get().status == 200


# Names.


def test_the_names_of_requests_that_overlap_are_their_own(
    serve: "Serve", connect: "Connect", log: Log
) -> None:
    """Each asks, lets the other run, and asks again: had both one place for it, they would agree."""
    inside: list[tuple[str, str]] = []
    both = Event()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        first = str(request_id)
        inside.append(("asked", environ["PATH_INFO"]))
        if len(inside) == 2:
            both.set()
        assert both.wait(5)
        inside.append(("asks again", environ["PATH_INFO"]))
        start_response("200 OK", [])
        return [f"{first} {request_id}".encode()]

    server = serve(app, log=log, access_log="json")
    clients = {
        path: connect(server).send(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n") for path in ("/a", "/b")
    }
    told = {path: client.reply().body.decode().split() for path, client in clients.items()}
    assert [what for what, _ in inside] == ["asked", "asked", "asks again", "asks again"]
    assert inside[0][1] != inside[1][1]
    assert told["/a"][0] == told["/a"][1]
    assert told["/b"][0] == told["/b"][1]
    assert told["/a"][0] != told["/b"][0]
    logged = {line["request"].split()[1]: line["request_id"] for line in log.json()}
    assert logged == {path: names[0] for path, names in told.items()}


def test_each_request_of_a_connection_has_a_name_of_its_own(
    serve: "Serve", connect: "Connect", log: Log
) -> None:
    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        start_response("200 OK", [])
        return [str(request_id).encode() if environ["PATH_INFO"] == "/ask" else b""]

    client = connect(serve(app, log=log))
    told = [client.get(path).body.decode() for path in ("/ask", "/", "/ask", "/")]
    names = [line["id"] for line in log.common()]
    assert len(set(names)) == 4
    assert (names[0], names[2]) == (told[0], told[2])


def test_outside_of_a_request_there_is_no_name() -> None:
    with pytest.raises(RuntimeError, match="outside of a request"):
        str(request_id)


# Refusals and clients that fail.


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [  # of a request whose head can be read, the line is known
        ("nonsense\r\n\r\n", 400, "the request line is none"),
        ("GET / HTTP/1.1\r\n\r\n", 400, "there is no Host"),
        ("GET / HTTP/3.0\r\nHost: test\r\n\r\n", 505, "the version is not HTTP/1.1"),
        ("GET / HTTP/1.1\r\nHost: test\r\nX_Y: z\r\n\r\n", 400, "the field name b'X_Y' has an underscore"),
        ("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 99\r\n\r\n", 413, "a body of 99 bytes"),
        ("GET / HTTP/1.1\r\nHo", 408, "the head took too long"),
        ("GET /" + "a" * 200 + " HTTP/1.1\r\n\r\n", 414, "the request line is too long"),
    ],
)
def test_a_refusal_says_why(
    serve: "Serve", connect: "Connect", answer: "Answer", log: Log, sent: str, status: int, reason: str
) -> None:
    server = serve(answer([]), log=log, linger=0, max_body_size=10, head_timeout=0.1, max_request_line=100)
    assert connect(server).send(sent).reply().status == status
    assert server.drain() == 0
    (line,) = log.common()
    request = "POST / HTTP/1.1" if status == 413 else "-"
    assert (line["status"], line["request"], line["id"]) == (str(status), request, "-")
    assert line["reason"].startswith(reason)


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ("xyz\r\n", 400, "a chunk's size"),
        ("ff\r\n", 413, "a body of more than 10 bytes"),
        ("5\r\nHe", 408, "kept the server waiting for too long"),
    ],
)
def test_a_body_that_broke_off_says_why(
    serve: "Serve", connect: "Connect", log: Log, body: str, status: int, reason: str
) -> None:
    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        environ["wsgi.input"].read()
        raise AssertionError("it was read")

    server = serve(app, log=log, max_body_size=10, body_timeout=0.1)
    client = connect(server).send(
        f"POST /up HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
    )
    assert client.reply().status == status
    (line,) = log.common()
    assert (line["status"], line["request"]) == (str(status), "POST /up HTTP/1.1")
    assert reason in line["reason"]


def test_a_client_that_left_has_its_line(serve: "Serve", connect: "Connect", log: Log) -> None:
    inside, gone = Event(), Event()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        inside.set()
        assert gone.wait(5)
        start_response("200 OK", [])
        yield b"x"

    server = serve(app, log=log)
    client = connect(server).send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert inside.wait(5)
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    client.close()
    gone.set()
    assert server.drain() == 0
    (line,) = log.common()
    assert (line["request"], line["reason"]) == ("GET / HTTP/1.1", None)


def test_a_request_that_is_killed_has_its_line(serve: "Serve", connect: "Connect", log: Log) -> None:
    inside = Event()

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        inside.set()
        gevent.sleep(60)
        return []

    server = serve(app, log=log)
    connect(server).send("GET /long HTTP/1.1\r\nHost: test\r\n\r\n")
    assert inside.wait(5)
    assert server.drain(timeout=0) == 1
    (line,) = log.common()
    assert (line["request"], line["status"]) == ("GET /long HTTP/1.1", "499")


# What a client may not do.


@pytest.mark.parametrize(
    "hostile",
    ['"', "\\", "\\x22", "\x1b[31m", "é", "\x9b", "\u2028", "\r", "\n", "\x00", "\x7f"],
    ids=repr,
)
def test_whatever_was_sent_a_line_is_one_line_of_plain_text(hostile: str) -> None:
    """And two requests that differ have lines that differ."""
    entry = Entry("1.2.3.4", f"GET /{hostile} HTTP/1.1", 200, 5, 0.25, "id", f"because of {hostile}")
    line = format_entry(entry, "common")
    assert line.endswith("\n")
    assert line[:-1].isascii()
    assert line[:-1].isprintable()
    match = COMMON.fullmatch(line[:-1])
    assert match
    assert match["request"].encode().decode("unicode_escape") == entry.line
    assert match["reason"].encode().decode("unicode_escape") == entry.reason
    told = json.loads(format_entry(entry, "json"))
    assert (told["request"], told["reason"]) == (entry.line, entry.reason)
    assert format_entry(entry, "json").count("\n") == 1


def test_the_address_is_the_applications_and_not_a_headers(
    serve: "Serve", connect: "Connect", log: Log
) -> None:
    """What an application makes of it, a proxy's word for it say, is escaped as well."""

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/told":
            environ["REMOTE_ADDR"] = 'evil" \n'
        start_response("200 OK", [])
        return []

    client = connect(serve(app, log=log))
    client.get("/", "X-Forwarded-For: 6.6.6.6")
    client.get("/told")
    first, second = log.lines()
    assert first.startswith("127.0.0.1 - - [")
    assert second.startswith("evil\\x22 \\n - - [")
