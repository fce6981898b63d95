"""The same bytes to this server and to h11, which was written by others from the same RFCs.

Rule: what h11 sends as a client is understood here as it was meant. Of damaged bytes, this server may refuse
more than h11 does as a server; what it takes it must understand in the same way, and it must take nothing
that h11 refuses, but for what `WE_TAKE_MORE` names with its reason.
"""

import re
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import h11
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.wsgi.wire.conftest import Case, Message, Wire, Wires
    from tests.wsgi.wire.mutated.conftest import Attempts, Cut, Damage

WE_TAKE_MORE = {
    rb"[0-9A-Fa-f][ \t]+;": "RFC 9112, 7.1.1: white space before a chunk's extension has to be parsed",
}
"""What this server takes and h11 refuses: a pattern of the bytes, and why."""

MOST_EMPTY_LINES = 2
"""RFC 9112, 2.2: at least one is to be ignored before a request. h11 takes none."""

TOKEN = st.text("!#$%&'*+-.^`|~0123456789abcXYZ", min_size=1, max_size=8)
"""Without the underscore, which this server refuses in the name of a field."""

METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE", "BREW", "get"]) | TOKEN.filter(
    lambda method: method != "CONNECT"
)
TARGETS = st.sampled_from(["/", "/a?b", "/%41%zz?%41", "http://other:8000/a?b", "http://other"]) | st.text(
    [chr(code) for code in range(0x21, 0x7F) if chr(code) != "#"], max_size=12
).map("/".__add__)
VALUES = st.text(
    [chr(code) for code in (*range(0x21, 0x7F), *range(0x80, 0x100))], min_size=1, max_size=8
) | st.sampled_from(["", "a b\tc", ", ,", "close", "0"])
SPOKEN_FOR = ("host", "content-length", "transfer-encoding", "connection", "expect", "upgrade", "te")
FIELDS = st.lists(
    st.tuples(st.sampled_from(["X", "X-A", "Cookie", "Accept", "Content-Type"]) | TOKEN, VALUES).filter(
        lambda field: field[0].lower() not in SPOKEN_FOR
    ),
    max_size=5,
)
BODIES = st.lists(
    st.binary(min_size=1, max_size=30) | st.just(b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n"), max_size=3
)

SEEDS = st.integers(0, 2**32 - 1)
"""Of where it is cut."""

GIVEN = settings(
    max_examples=150,
    derandomize=True,  # the same in every run
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@dataclass(frozen=True)
class Seen:
    """One request, as a server understood it."""

    method: str
    target: str
    fields: dict[str, str]
    body: bytes


def seen_by_us(message: "Message") -> Seen:
    environ = message.environ
    fields = {
        name: value for name, value in environ.items() if name.startswith(("HTTP_", "CONTENT_")) and value
    }
    if "HTTP_TRANSFER_ENCODING" in fields:
        fields["HTTP_TRANSFER_ENCODING"] = fields["HTTP_TRANSFER_ENCODING"].lower()  # as h11 does
    return Seen(environ["REQUEST_METHOD"], environ["RAW_URI"], fields, message.body)


def seen_by_h11(request: h11.Request, body: bytes) -> Seen:
    """The same in the words of PEP 3333."""
    fields: dict[str, str] = {}
    for raw, raw_value in request.headers:
        name, value = raw.decode("ascii").upper().replace("-", "_"), raw_value.decode("latin-1")
        key = name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"
        joint = "; " if key == "HTTP_COOKIE" else ", "
        fields[key] = f"{fields[key]}{joint}{value}" if key in fields else value
    target = request.target.decode("ascii")
    if absolute := re.match(r"https?://([^/?]*)", target, re.IGNORECASE):
        fields["HTTP_HOST"] = absolute[1]  # RFC 9112, 3.2.2
    fields = {name: value for name, value in fields.items() if value}
    return Seen(request.method.decode("ascii"), target, fields, body)


def one_by_h11(data: bytes) -> tuple[Seen, bytes, bool] | None:
    """The first request, what stands behind it, and whether that may be one. None: the data ends before.

    Raises:
        h11.RemoteProtocolError: it is none.

    """
    server = h11.Connection(h11.SERVER, max_incomplete_event_size=1_000_000)
    server.receive_data(data)
    body = b""
    while not isinstance(event := server.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            return None
        if isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
    server.send(h11.Response(status_code=404, headers=[("Content-Length", "0")]))
    server.send(h11.EndOfMessage())
    options = b",".join(value for name, value in request.headers if name == b"connection").lower()
    words = {word.strip(b" \t") for word in options.split(b",")}
    # h11 never keeps an HTTP/1.0 client; RFC 9112, 9.3, has it that one may ask for that.
    asks = request.http_version == b"1.0" and b"keep-alive" in words and b"close" not in words
    return seen_by_h11(request, body), server.trailing_data[0], asks or server.our_state is h11.DONE


def all_by_h11(data: bytes) -> tuple[list[Seen], bool]:
    """All requests, and whether something behind them is refused."""
    found: list[Seen] = []
    while True:
        for _ in range(MOST_EMPTY_LINES):
            data = data.removeprefix(b"\r\n")
        if not data:
            break
        try:
            one = one_by_h11(data)
        except h11.RemoteProtocolError:
            return found, True
        if one is None:
            break
        seen, data, goes_on = one
        found.append(seen)
        if not goes_on:
            break
    return found, False


def all_by_us(wire: "Wire", pieces: list[bytes]) -> tuple[list[Seen], bool]:
    wire.forget()
    statuses = [reply.status for reply in wire.exchange(*pieces, hang_up=True)]
    messages = [seen_by_us(message) for message in wire.app.messages]
    assert wire.errors.getvalue() == ""
    assert statuses[: len(messages)] == [200] * len(messages)
    assert len(statuses) <= len(messages) + 1, "more than one refusal"
    return messages, len(statuses) > len(messages)


@st.composite
def conversations(draw: st.DrawFn) -> bytes:
    """Some requests in a row, as h11 sends them."""
    return b"".join(draw(requests()) for _ in range(draw(st.integers(1, 3))))


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    client = h11.Connection(h11.CLIENT)
    chunks, trailers = draw(BODIES), []
    fields = [("Host", draw(st.sampled_from(["test", "[::1]:8000", "a.b:1"]))), *draw(FIELDS)]
    match draw(st.sampled_from(["chunked", "length", "length", "none"])):
        case "chunked":
            fields.insert(draw(st.integers(0, len(fields))), ("Transfer-Encoding", "chunked"))
            trailers = draw(FIELDS)
        case "length":
            size = str(sum(map(len, chunks)))
            fields.insert(draw(st.integers(0, len(fields))), ("Content-Length", size))
        case _:
            chunks = []
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in fields]
    sent = client.send(h11.Request(method=draw(METHODS), target=draw(TARGETS), headers=headers)) or b""
    for chunk in chunks:
        sent += client.send(h11.Data(chunk)) or b""
    return sent + (
        client.send(
            h11.EndOfMessage(
                headers=[(name.encode("ascii"), value.encode("latin-1")) for name, value in trailers]
            )
        )
        or b""
    )


@GIVEN
@given(sent=conversations(), seed=SEEDS)
def test_what_h11_sends_is_understood(wires: "Wires", cut: "Cut", sent: bytes, seed: int) -> None:
    meant, refused = all_by_h11(sent)
    assert not refused
    assert all_by_us(wires.get({}), cut(Random(seed), sent)) == (meant, False)


def check_damaged(wire: "Wire", sent: bytes, pieces: list[bytes]) -> None:
    theirs, _ = all_by_h11(sent)
    ours, we_refuse = all_by_us(wire, pieces)
    assert ours[: len(theirs)] == theirs[: len(ours)], f"understood in another way: {sent!r}"
    if len(ours) > len(theirs):
        assert any(re.search(pattern, sent) for pattern in WE_TAKE_MORE), (
            f"taken, and h11 refuses it: {sent!r}"
        )
    if len(ours) < len(theirs):
        assert we_refuse, f"neither taken nor refused: {sent!r}"


def test_the_cases_damaged(
    wires: "Wires", damage: "Damage", cut: "Cut", all_cases: "list[Case]", attempts: "Attempts"
) -> None:
    wire = wires.get({})
    small = [case.sent for case in all_cases if len(case.sent) < 1_000]
    for seed in attempts(3_000):
        random = Random(seed)
        sent = damage(random, random.choice(small), random.choice(small))
        check_damaged(wire, sent, cut(random, sent))


def test_the_cases_as_they_are(wires: "Wires", all_cases: "list[Case]") -> None:
    for case in all_cases:
        if not case.settings:
            check_damaged(wires.get({}), case.sent, [case.sent])
