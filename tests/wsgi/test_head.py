"""Heads, one after the other through one parser: none of them changes what the next one says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenlane.wsgi import head as head_module
from greenlane.wsgi.errors import BadRequestError
from greenlane.wsgi.head import HeadParser
from greenlane.wsgi.settings import Settings

HOST = b"Host: test\r\n"
HEADS = [
    b"GET / HTTP/1.1\r\n" + HOST,
    b"GET /b?c HTTP/1.0\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 5\r\n" + HOST,
    b"POST / HTTP/1.1\r\nContent-Length: 0\r\n" + HOST,
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HOST,
    b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n" + HOST,
    b"GET / HTTP/1.1\r\nConnection: close\r\n" + HOST,
    b"GET / HTTP/1.1\r\nProxy-Connection: close\r\n" + HOST,
    b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n" + HOST,
    b"POST / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n" + HOST,
    b"CONNECT test:1 HTTP/1.1\r\n" + HOST,
    b"BREW /pot HTTP/1.1\r\n" + HOST,
    b"DESCRIBE / HTTP/1.1\r\n" + HOST,
    b"PRI * HTTP/1.1\r\n" + HOST,
    b"GET / HTTP/1.1\r\n",
    b"GET / HTTP/1.1\r\nX_A: 1\r\n" + HOST,
    b"GET / HTTP/1.1\r\nA: 1\x00\r\n" + HOST,
    b"GET / HTTP/1.1\r\n" + HOST + HOST,
    b"GET / HTTP/1.1\r\nA: 1\r\na: 2 \r\nCookie: c\r\nCookie: d\r\n" + HOST,
]


def said(parser: HeadParser, data: bytes) -> object:
    """What a parser makes of a head: all of it, or why not."""
    try:
        head = parser.parse(data + b"\r\n")
    except BadRequestError as error:
        return error.status, str(error)
    return head.line, head.method, head.target, head.http_1_1, head.fields


@given(st.lists(st.sampled_from(HEADS), min_size=2, max_size=8))
def test_a_parser_says_of_each_head_what_a_new_one_says(heads: list[bytes]) -> None:
    """It is used again, since a new one costs half as much as parsing a small head."""
    parser = HeadParser(Settings())
    for data in heads:
        assert said(parser, data) == said(HeadParser(Settings()), data)


def test_repeated_fields_are_one() -> None:
    """RFC 9110, 5.2; and RFC 9113, 8.2.3, for cookies, as CGI has it."""
    fields = HeadParser(Settings()).parse(HEADS[-1] + b"\r\n").fields
    assert fields == {"HTTP_A": "1, 2", "HTTP_COOKIE": "c; d", "HTTP_HOST": "test"}


def test_what_clients_choose_is_remembered_within_bounds() -> None:
    parser = HeadParser(Settings())
    for number in range(3_000):
        parser.parse(b"GET /%d HTTP/1.1\r\nX-Name-%d: 1\r\nHost: host-%d\r\n\r\n" % (number, number, number))
    parser.parse(
        b"GET /%b HTTP/1.1\r\nX-%b: 1\r\nHost: %b\r\n\r\n" % (b"a" * 1_000, b"a" * 1_000, b"a" * 1_000)
    )
    for remembered in (head_module._keys, head_module._hosts, head_module._lines):
        assert len(remembered) <= head_module._REMEMBERED
        assert max(map(len, remembered)) <= head_module._MAX_REMEMBERED_LENGTH


def test_a_line_that_was_checked_is_checked_again_where_less_is_allowed() -> None:
    line = b"GET /remembered HTTP/1.1"
    HeadParser(Settings()).parse(line + b"\r\n" + HOST + b"\r\n")
    with pytest.raises(BadRequestError, match="too long"):
        HeadParser(Settings(max_request_line=10)).parse(line + b"\r\n" + HOST + b"\r\n")
