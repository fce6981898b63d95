r"""What llhttp, as httptools sets it up, says of bytes where that matters, beside what this server says.

Rule: a new httptools that reads something in another way fails here. What stands in `DIFFERENT` must be
caught or mended by this server; for what stands in `REFUSES` it may lean on llhttp.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import httptools
import pytest

if TYPE_CHECKING:
    from tests.wsgi.wire.conftest import Wires


class Heard:
    """What the parser reports."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.heads: list[str] = []
        self.fields: list[tuple[bytes, bytes]] = []
        self.bodies: list[bytes] = []
        self.trailers: list[tuple[bytes, bytes]] = []
        self.keeps_alive = False
        self._target = b""
        self._body = b""
        self._in_head = True

    def on_message_begin(self) -> None:
        self._target = self._body = b""
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        (self.fields if self._in_head else self.trailers).append((name, value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        self.keeps_alive = self.parser.should_keep_alive()  # forgotten when the message is complete
        method, version = self.parser.get_method().decode(), self.parser.get_http_version()
        self.heads.append(f"{method} {self._target.decode()} {version}")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.bodies.append(self._body)


def hear(pieces: Iterable[bytes]) -> tuple[Heard, str]:
    """Feed a fresh parser; what it reported, and its error, if any."""
    heard = Heard()
    try:
        for piece in pieces:
            heard.parser.feed_data(piece)
    except httptools.HttpParserUpgrade as upgrade:
        return heard, f"upgrade at {upgrade.args[0]}"
    except httptools.HttpParserError as error:
        return heard, str(error)
    return heard, ""


def head(*fields: bytes, line: bytes = b"POST / HTTP/1.1") -> bytes:
    return b"\r\n".join([line, b"Host: test", *fields, b"", b""])


TE_CHUNKED = b"Transfer-Encoding: chunked"
CHUNKED = head(TE_CHUNKED)
LAST = b"0\r\n\r\n"
NEXT = head(line=b"GET /next HTTP/1.1")

DIFFERENT = [
    # What is sent, what llhttp says (its first line, or an error), and what this server says.
    ("RTSP with our version", head(line=b"GET / RTSP/1.1"), "GET / 1.1", 400),
    ("RTSP", head(line=b"DESCRIBE / RTSP/1.0"), "DESCRIBE / 1.0", 400),
    ("ICE", head(line=b"SOURCE / ICE/1.1"), "SOURCE / 1.1", 400),
    ("HTTP/0.9", head(line=b"GET / HTTP/0.9"), "GET / 0.9", 505),
    ("HTTP/2.0", head(line=b"GET / HTTP/2.0"), "GET / 2.0", 505),
    ("no version, and fields", head(line=b"GET /"), "GET / 0.9", 400),
    ("no version, and a bare LF", b"GET /\n\r\n", "GET / 0.9", 400),
    ("spaces in the line", head(line=b"GET   /  HTTP/1.1"), "GET / 1.1", 400),
    ("bare LFs before the line", b"\n\n\n" + NEXT, "GET /next 1.1", 400),
    ("a bare CR before the line", b"\r" + NEXT, "GET /next 1.1", 400),
    ("empty lines without end", b"\r\n" * 10_000 + NEXT, "GET /next 1.1", 400),
    ("a fragment", head(line=b"GET /a#b HTTP/1.1"), "GET /a#b 1.1", 400),
    ("an asterisk", head(line=b"GET *a HTTP/1.1"), "GET *a 1.1", 400),
    ("a user in the target", head(line=b"GET http://u@h/ HTTP/1.1"), "GET http://u@h/ 1.1", 400),
    ("no host in the target", head(line=b"GET http:///a HTTP/1.1"), "GET http:///a 1.1", 400),
    ("no Host", b"GET / HTTP/1.1\r\n\r\n", "GET / 1.1", 400),
    ("two Hosts", head(b"Host: other"), "POST / 1.1", 400),
    ("a Host that is none", head().replace(b"test", b"a/b@c d"), "POST / 1.1", 400),
    ("an underscore", head(b"Content_Length: 5"), "POST / 1.1", 400),
    ("a long field", head(b"X: " + b"a" * 100_000), "POST / 1.1", 431),
    ("many fields", head(*[b"X: a"] * 10_000), "POST / 1.1", 431),
    ("a huge length", head(b"Content-Length: 18446744073709551615"), "POST / 1.1", 413),
    ("gzip, chunked", head(b"Transfer-Encoding: gzip, chunked"), "POST / 1.1", 501),
    ("gzip and chunked", head(b"Transfer-Encoding: gzip", TE_CHUNKED), "POST / 1.1", 501),
    ("no token, chunked", head(b"Transfer-Encoding: @, chunked"), "POST / 1.1", 400),
    ("an empty coding", head(b"Transfer-Encoding: , chunked"), "POST / 1.1", 400),
    ("chunked in HTTP/1.0", head(TE_CHUNKED, line=b"POST / HTTP/1.0"), "POST / 1.0", 400),
    ("a huge chunk", CHUNKED + b"FFFFFFFFFFFFFFFF\r\n", "POST / 1.1", 400),
    ("zeros without end", CHUNKED + b"0" * 100_000 + b"1\r\n", "POST / 1.1", 400),
    ("an extension without end", CHUNKED + b"0;" + b"a" * 100_000 + b"\r\n\r\n", "POST / 1.1", 400),
    ("an extension of no name", CHUNKED + b"0;=b\r\n\r\n", "POST / 1.1", 400),
    ("an extension of no value", CHUNKED + b"0;a=\r\n\r\n", "POST / 1.1", 400),
    ("quotes within a token", CHUNKED + b'0;a=b"c"\r\n\r\n', "POST / 1.1", 400),
    # Right by the RFCs, and refused by llhttp.
    ("a method of nobody's list", head(line=b"BREW / HTTP/1.1"), "Invalid method encountered", 200),
    ("a method in small letters", head(line=b"get / HTTP/1.1"), "Invalid method encountered", 200),
    ("a method that begins alike", head(line=b"GETS / HTTP/1.1"), "Expected space after method", 200),
    ("a method of WebDAV", head(line=b"LABEL / HTTP/1.1"), "Invalid method encountered", 200),
    ("a method of RTSP", head(line=b"SETUP / HTTP/1.1"), "Invalid method for HTTP/x.x request", 200),
    ("a tab behind chunked", head(TE_CHUNKED + b"\t") + LAST, "Request has invalid `Transfer-Encoding`", 200),
    ("space before ;", CHUNKED + b"0 ;a\r\n\r\n", "Invalid character in chunk size", 200),
    ("space behind ;", CHUNKED + b"0; a\r\n\r\n", "Invalid character in chunk extensions", 200),
    ("space before =", CHUNKED + b"0;a =b\r\n\r\n", "Invalid character in chunk extensions name", 200),
    ("space behind =", CHUNKED + b"0;a= b\r\n\r\n", "Invalid character in chunk extensions value", 200),
]


@pytest.mark.parametrize(
    ("sent", "llhttp", "ours"), [row[1:] for row in DIFFERENT], ids=[row[0] for row in DIFFERENT]
)
def test_where_we_say_something_else(wires: "Wires", sent: bytes, llhttp: str, ours: int) -> None:
    heard, error = hear([sent])
    if error:
        assert error == llhttp
    else:
        assert heard.heads == [llhttp]
    [reply] = wires.get({}).exchange(sent, hang_up=True)
    assert reply.status == ours


REFUSES = [
    head(b"X: a\r\n b"),
    head(b"X:\r\n a"),
    head(b"X : a"),
    head(b"X\t: a"),
    head(b": a"),
    head(b"X"),
    head(b"X(Y): a"),
    head(b"X\xe9: a"),
    head(b"X: a\x00"),
    head(b"X: a\x1b"),
    head(b"X: a\x7f"),
    head(b"X: \x0ba"),
    head(b"X: a\rb"),
    head(b"X: a\nb"),
    head(b"X: a\r"),
    b"GET / HTTP/1.1\r\n Host: test\r\n\r\n",
    b"GET / HTTP/1.1\nHost: test\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: test\n\r\n",
    b"GET / HTTP/1.1\r\nHost: test\r\n\n",
    b"GET / HTTP/1.1\r\nHost: test\r\n\rX",
    head(b"Content-Length: +5"),
    head(b"Content-Length: 5 5"),
    head(b"Content-Length: 5, 5"),
    head(b"Content-Length:"),
    head(b"Content-Length: 18446744073709551616"),
    head(b"Content-Length: 5", b"Content-Length: 5"),
    head(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    head(b"Transfer-Encoding: chunked", b"Content-Length: 5"),
    head(b"Transfer-Encoding: chunked, chunked"),
    head(b"Transfer-Encoding: chunked, gzip"),
    head(b"Transfer-Encoding: gzip"),
    head(b"Transfer-Encoding: chunked;a"),
    head(b"Transfer-Encoding:"),
    CHUNKED + b"+1\r\n",
    CHUNKED + b"0x1\r\n",
    CHUNKED + b" 1\r\n",
    CHUNKED + b"1 \r\n",
    CHUNKED + b"\r\n",
    CHUNKED + b"10000000000000000\r\n",
    CHUNKED + b"1\n",
    CHUNKED + b"1;a\n",
    CHUNKED + b'1;a="\n"\r\n',
    CHUNKED + b"1\r\nx\n",
    CHUNKED + b"1\r\nxx\r\n",
    CHUNKED + b"0\r\nX : a\r\n\r\n",
    CHUNKED + b"0\r\nX: a\r\n b\r\n\r\n",
    CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n",
    CHUNKED + b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    CHUNKED + b"0\r\n\n",
]


@pytest.mark.parametrize("sent", REFUSES, ids=[repr(sent)[-40:] for sent in REFUSES])
@pytest.mark.parametrize("step", [1_000_000, 1], ids=["whole", "byte by byte"])
def test_what_llhttp_refuses(sent: bytes, step: int) -> None:
    heard, error = hear(sent[start : start + step] for start in range(0, len(sent), step))
    assert error
    assert not heard.bodies


@pytest.mark.parametrize("framing", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_an_upgrade_hides_the_body(framing: bytes) -> None:
    """The worst of them: to whoever reads on behind it, the body is the next request."""
    sent = head(b"Connection: upgrade", b"Upgrade: any", framing)
    heard, error = hear([sent + b"Hello"])
    assert (heard.heads, heard.bodies) == (["POST / 1.1"], [b""])
    assert error == f"upgrade at {len(sent)}"


def test_an_upgrade_hides_a_bad_coding() -> None:
    heard, error = hear([head(b"Connection: upgrade", b"Upgrade: any", b"Transfer-Encoding: nonsense")])
    assert (heard.heads, error.partition(" ")[0]) == (["POST / 1.1"], "upgrade")


@pytest.mark.parametrize(
    ("fields", "keeps"),
    [
        ([b"Connection: keep-alive, close"], True),  # we close: RFC 9112, 9.3
        ([b"Proxy-Connection: keep-alive"], True),  # we close: the field means nothing
        ([b"Connection: x, Keep-Alive"], True),
        ([], False),
    ],
)
def test_what_llhttp_takes_for_keep_alive_in_http_1_0(fields: list[bytes], keeps: bool) -> None:
    heard, _ = hear([head(*fields, line=b"GET / HTTP/1.0")])
    assert heard.keeps_alive is keeps


def test_proxy_connection_closes_for_llhttp_and_not_for_us() -> None:
    assert hear([head(b"Proxy-Connection: close") + NEXT])[1] == "Data after `Connection: close`"


def test_what_follows_the_last_request_is_an_error_to_llhttp() -> None:
    """And none to us: nobody looks at it (RFC 9112, 9.6)."""
    assert hear([head(b"Connection: close") + NEXT])[1] == "Data after `Connection: close`"


def test_close_in_a_trailer_counts_for_llhttp() -> None:
    _, error = hear([CHUNKED + b"0\r\nConnection: close\r\n\r\n" + NEXT])
    assert error == "Data after `Connection: close`"


def test_values_keep_the_white_space_behind_them() -> None:
    heard, _ = hear([head(b"X: \t a b \t ", b"Y: \xa0a\xa0", b"Z:  ")])
    assert heard.fields[1:] == [(b"X", b"a b \t "), (b"Y", b"\xa0a\xa0"), (b"Z", b"")]


def test_trailers_come_as_fields_behind_the_body() -> None:
    heard, _ = hear([CHUNKED + b"1\r\nx\r\n0\r\nX: a\r\n\r\n"])
    assert (heard.bodies, heard.trailers) == ([b"x"], [(b"X", b"a")])


def test_several_requests_are_reported_from_one_feed() -> None:
    heard, error = hear([NEXT * 3])
    assert (heard.heads, error) == (["GET /next 1.1"] * 3, "")


def test_the_greeting_of_http_2_is_an_error() -> None:
    assert hear([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])[1] == "Pause on PRI/Upgrade"
