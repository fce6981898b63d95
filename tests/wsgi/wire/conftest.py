r"""What the tests of the wire share: the cases, which are text files, and servers that record what they see.

Rule: knows HTTP only from the RFCs and h11, and the server only from outside, over loopback.

A case is written like this, and a new one needs no code:

    == what it is about
    RFC 9112, 6.3: the section, and why
    > POST /path HTTP/1.1
    > Host: test
    > Content-Length: 5
    >
    | Hello
    = POST /path
    + body Hello

A line behind `>` is sent with CRLF, one behind `|` without. Both may hold
`\r \n \t \0 \\ \xff`, and `\(ab*3)` for `ababab`. What must come of it follows:

    = POST /path        the application sees this method and this PATH_INFO
    + body Hello        and this body (else: none)
    + HTTP_X a          and this in its environment (QUERY_STRING, if it is not named, is empty)
    - HTTP_Y            and not this
    then closed         and the connection ends behind it (else: another request is answered)
    = 400               refused and closed; the application is never called
    = 400 in the body   the same, but the application may have been called, and failed to read

`with head_timeout=0.05` is a setting of the server; `silence` says that the
client sends nothing more and waits for the server. A line that begins with `#` is a comment.
"""

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
import h11
import pytest
from gevent import socket

from greenlane.wsgi import Settings, WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

HERE = Path(__file__).parent
TIMEOUT = 5.0
"""Seconds that a test waits for anything."""

_ESCAPE = re.compile(r"\\(?:([rnt0\\])|x([0-9a-f]{2})|\(((?:(?!\\\().)+?)\*([0-9]+)\)|(.?))", re.DOTALL)
_SIMPLE = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}


@dataclass
class Expected:
    """One request that the application must see, or the refusal of one.

    Attributes:
        status: of the reply: 200 when the application sees it.
        method: and `path` are what the application must find.
        body: what it must read.
        environ: what else it must find in its environment; None for what must not be there.
        in_body: whether the application may be called before the fault is found.

    """

    status: int = 200
    method: str = ""
    path: str = ""
    body: bytes = b""
    environ: dict[str, str | None] = field(default_factory=lambda: {"QUERY_STRING": ""})
    in_body: bool = False


@dataclass
class Case:
    """One case of one file.

    Attributes:
        name: unique, and what a test is called after.
        why: the section of the RFC, and the reason.
        sent: what the client sends.
        expected: what must come of it, in this order.
        stays_open: whether another request can follow.
        silent: whether the client sends nothing more, so that the server has to act first.
        settings: of the server, where they are not the default.

    """

    name: str
    why: str = ""
    sent: bytes = b""
    expected: list[Expected] = field(default_factory=list)
    stays_open: bool = True
    silent: bool = False
    settings: dict[str, Any] = field(default_factory=dict)


def unescape(text: str) -> str:
    r"""Replace what a line of text cannot hold: `\r \n \t \0 \\ \xff`, and `\(ab*3)` for `ababab`."""

    def replace(match: re.Match[str]) -> str:
        simple, code, repeated, times, wrong = match.groups()
        if wrong is not None:
            raise ValueError(f"no such escape in a case: {match[0]!r}")
        return _SIMPLE[simple] if simple else chr(int(code, 16)) if code else unescape(repeated) * int(times)

    return _ESCAPE.sub(replace, text)


def read_cases(path: Path) -> list[Case]:
    """All cases of one file.

    Raises:
        ValueError: a line that means nothing, naming the file and the line.

    """
    cases: list[Case] = []
    for number, line in enumerate(path.read_text("ascii").split("\n"), 1):
        try:
            _read_line(line, cases)
        except (ValueError, LookupError) as error:
            raise ValueError(f"{path.name}, line {number}: {line!r}: {error}") from error
    for case in cases:
        if not (case.why and case.sent and case.expected):
            raise ValueError(f"{path.name}: '{case.name}' lacks a reason, bytes to send, or what to expect")
    return cases


def _read_line(line: str, cases: list[Case]) -> None:
    if line != line.rstrip():
        raise ValueError("white space at the end gets lost: write \\x20 or \\t")
    mark, _, rest = line.partition(" ")
    if mark == "==":
        cases.append(Case(rest))
    elif mark not in ("", "#"):
        _read_part(cases[-1], mark, rest, line)


def _read_part(case: Case, mark: str, rest: str, line: str) -> None:
    match mark:
        case ">":
            case.sent += unescape(rest).encode("latin-1") + b"\r\n"
        case "|":
            case.sent += unescape(rest).encode("latin-1")
        case "=":
            case.expected.append(_expectation(rest))
            case.stays_open = case.stays_open and case.expected[-1].status == 200
        case "+" | "-":
            name, _, value = rest.partition(" ")
            if name == "body":
                case.expected[-1].body = unescape(value).encode("latin-1")
            else:
                case.expected[-1].environ[name] = unescape(value) if mark == "+" else None
        case "then":
            case.stays_open = {"open": True, "closed": False}[rest]
        case "silence":
            case.silent = True
        case "with":
            name, _, value = rest.partition("=")
            case.settings[name] = float(value) if "." in value else int(value)
        case _ if not case.sent and not case.expected:
            case.why += line + " "
        case _:
            raise ValueError("what is this?")


def _expectation(text: str) -> Expected:
    if refused := re.fullmatch(r"([0-9]{3})( in the body)?", text):
        return Expected(int(refused[1]), in_body=refused[2] is not None)
    method, _, path = text.partition(" ")
    return Expected(method=method, path=unescape(path))


@dataclass(frozen=True)
class Message:
    """One request, as the application saw it."""

    environ: "WSGIEnvironment"
    body: bytes


class Recorder:
    """An application that reads every body and remembers what it saw.

    Attributes:
        called: how many requests it was called for.
        messages: those whose body it could read to the end.

    """

    def __init__(self) -> None:
        self.called = 0
        self.messages: list[Message] = []

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        self.called += 1
        self.messages.append(Message(dict(environ), environ["wsgi.input"].read()))
        # So that whoever reads the replies knows which of them have no body (RFC 9110, 9.3.2).
        start_response("200 OK", [("X-Method", environ["REQUEST_METHOD"])])
        return [environ["PATH_INFO"].encode("latin-1")]


@dataclass(frozen=True)
class Reply:
    """One response, as h11 understood it."""

    status: int
    headers: dict[str, str]
    body: bytes


def read_replies(data: bytes, *, to_head: bool = False) -> list[Reply]:
    """All final responses in what a server sent until it closed.

    Args:
        data: all of it.
        to_head: whether a refusal at the end may be the reply to a HEAD: only the recorder names the method.

    Raises:
        h11.RemoteProtocolError: it is not a row of whole responses.

    """
    replies = []
    while data:
        head, _, behind = data.partition(b"\r\n\r\n")
        has_no_body = b"\r\nX-Method: HEAD\r\n" in head + b"\r\n" or (to_head and not behind)
        method = "HEAD" if has_no_body else "GET"
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target="/", headers=[("Host", "test")]))
        client.send(h11.EndOfMessage())
        client.receive_data(data)
        client.receive_data(b"")
        body = b""
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
        fields = {name.decode(): value.decode("latin-1") for name, value in response.headers}
        assert len(fields) == len(response.headers), f"a reply repeats a field: {response.headers}"
        replies.append(Reply(response.status_code, fields, body))
        data = client.trailing_data[0]
    return replies


class Wire:
    """A server that records, and the way to talk to it byte by byte.

    Attributes:
        app: the recorder.
        served: what it serves: the recorder, unless a test puts another application here.
        errors: what it and the application wrote to `wsgi.errors`.
        log: its access log.

    """

    def __init__(self, **settings: Any) -> None:
        self.app = Recorder()
        self.served: WSGIApplication = self.app
        self.errors = io.StringIO()
        self.log = io.StringIO()
        self.server = WSGIServer(
            ("127.0.0.1", 0), self._call, settings=Settings(**settings), log=self.log, error_log=self.errors
        )
        self.server.start()

    def _call(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        return self.served(environ, start_response)

    def forget(self) -> None:
        """Begin anew: nothing was called, nothing was logged, and what is served is a new recorder."""
        self.served = self.app = Recorder()
        for log in (self.errors, self.log):
            log.seek(0)
            log.truncate()

    def talk(self, *pieces: bytes) -> bytes:
        """Send the pieces, each on its own, and read until the server closes.

        Args:
            pieces: the server has read one before the next is sent.

        Raises:
            TimeoutError: the server neither sent anything nor closed for `TIMEOUT` seconds.
            ConnectionResetError: it closed with bytes unread, which may destroy a reply (RFC 9112, 9.6).

        """
        with self.connect() as sock:
            for piece in pieces:
                sock.sendall(piece)
                gevent.idle()  # and not sleep(0), between two of which the loop need not look at sockets
            return b"".join(iter(lambda: sock.recv(65_536), b""))

    def talk_and_hang_up(self, *pieces: bytes) -> bytes:
        """The same, but close the client's side behind them, and take a reset for an end like any other.

        For bytes of which nobody knows whether the server would read all of them.
        """
        received = []
        with self.connect() as sock, suppress(ConnectionError):
            with suppress(OSError):
                for piece in pieces:
                    sock.sendall(piece)
                    gevent.idle()
                sock.shutdown(socket.SHUT_WR)
            while data := sock.recv(65_536):
                received.append(data)
        return b"".join(received)

    def connect(self) -> socket.socket:
        """A connection, without Nagle's algorithm, that waits for at most `TIMEOUT` seconds."""
        sock = socket.create_connection(("127.0.0.1", self.server.server_port), timeout=TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def exchange(self, *pieces: bytes, hang_up: bool = False) -> list[Reply]:
        """One of the two, and what came back, understood. Raises what it and `read_replies` raise."""
        if hang_up:
            return self.understand(self.talk_and_hang_up(*pieces))
        return read_replies(self.talk(*pieces))

    def understand(self, received: bytes) -> list[Reply]:
        """All final responses in what was received, where the last may be one to HEAD. See `read_replies`."""
        return read_replies(received, to_head=True)

    def all_gone(self, timeout: float) -> bool:
        """Wait until no connection is left, for at most `timeout` seconds; whether none is."""
        assert self.server.pool is not None
        return self.server.pool.join(timeout=timeout) and not self.server.connections

    def close(self) -> None:
        """Stop the server, connections and all."""
        self.server.stop(timeout=0)


class Wires:
    """Servers by their settings, each started when it is first asked for."""

    def __init__(self) -> None:
        self._started: dict[str, Wire] = {}

    def get(self, settings: dict[str, Any]) -> Wire:
        """The server with these settings, which remembers nothing of those it served before."""
        wire = self._started.get(repr(settings))
        if wire is None:
            wire = self._started[repr(settings)] = Wire(**settings)
        wire.forget()
        return wire

    def close(self) -> None:
        """Stop them all."""
        for wire in self._started.values():
            wire.close()


def read_all_cases() -> dict[str, Case]:
    """The cases of all files, by the file and their name."""
    found = {path.stem: read_cases(path) for path in sorted(HERE.glob("*.http"))}
    named = {f"{stem}: {case.name}": case for stem, cases in found.items() for case in cases}
    assert len(named) == sum(map(len, found.values())), "two cases have one name"
    return named


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for a `case` all of them, one by one."""
    if "case" in metafunc.fixturenames:
        named = read_all_cases()
        metafunc.parametrize("case", named.values(), ids=named.keys())


@pytest.fixture(scope="session")
def all_cases() -> list[Case]:
    """All cases at once."""
    return list(read_all_cases().values())


@pytest.fixture(scope="module")
def wires() -> Iterator[Wires]:
    """Servers that all tests of a module share: `wires.get({})` is the one with the defaults."""
    started = Wires()
    yield started
    started.close()
