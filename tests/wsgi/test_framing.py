"""The framing tables: every case is decided, and by the rule that the RFC gives."""

from itertools import product
from time import process_time

import pytest

from greenlane.wsgi.errors import BadRequestError
from greenlane.wsgi.framing import (
    AWAIT_CONTINUE,
    KEEP_ALIVE,
    REQUEST_BODY,
    RESPONSE_BODY,
    RequestBody,
    ResponseBody,
    awaits_continue,
    keep_alive,
    request_body,
)
from greenlane.wsgi.head import Head


def head(*, http_1_1: bool = True, **fields: str) -> Head:
    return Head(b"POST / HTTP/1.1", "POST", "/", http_1_1, fields)


@pytest.mark.parametrize(
    ("table", "width"), [(REQUEST_BODY, 3), (KEEP_ALIVE, 3), (AWAIT_CONTINUE, 3), (RESPONSE_BODY, 4)]
)
def test_every_case_is_decided(table: dict[tuple[bool, ...], object], width: int) -> None:
    assert set(table) == set(product((False, True), repeat=width))


def test_a_request_in_doubt_is_refused() -> None:
    """RFC 9112, 6.1 and 6.3: whoever sends both, or chunks in 1.0, may be smuggling."""
    for has_coding, has_length, http_1_1 in REQUEST_BODY:
        in_doubt = has_coding and (has_length or not http_1_1)
        assert (REQUEST_BODY[has_coding, has_length, http_1_1] is RequestBody.AMBIGUOUS) == in_doubt


def test_a_response_has_a_body_unless_it_may_not() -> None:
    """RFC 9112, 6.3 (1): to HEAD, and of 204 and 304, the head is all."""
    for to_head, bodiless, sized, http_1_1 in RESPONSE_BODY:
        framing = RESPONSE_BODY[to_head, bodiless, sized, http_1_1]
        assert (framing is ResponseBody.NONE) == (to_head or bodiless)
        assert framing is not ResponseBody.CHUNKED or http_1_1, "an HTTP/1.0 client knows no chunks"


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("gzip, chunked", "501"),
        ("chunked-x, chunked", "501"),
        ("Chunked, gzip, chunked", "400"),
        ('x-mine;a=b;c="d, chunked", chunked', "501"),
        ("gzip", "400"),
        ("chunked, gzip", "400"),
        ("chunked, chunked", "400"),
        (", chunked", "400"),
        ("", "400"),
        ("chunked;a=b", "400"),
        ("chunked gzip", "400"),
        ("\xa0chunked", "400"),
    ],
)
def test_a_coding_that_is_not_chunked_alone_is_refused(value: str, status: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        request_body(head(HTTP_TRANSFER_ENCODING=value), None)
    assert caught.value.status.startswith(status)


@pytest.mark.parametrize("member", ["x; ", "x;\t", 'x;a="b" '])
def test_a_list_of_codings_is_judged_at_once(member: str) -> None:
    """A space fitted two places of the pattern: each member doubled the time, and 170 bytes took days.

    Few members come first: where time doubles, they end the test.
    """
    for members in (20, 22, 24, 30_000 // len(member)):
        for last in ('"', '",chunked', ",chunked,gzip", ",chunked"):
            begun = process_time()
            with pytest.raises(BadRequestError):
                request_body(head(HTTP_TRANSFER_ENCODING=",".join([member] * members) + last), None)
            assert process_time() - begun < 1


@pytest.mark.parametrize("coding", ["x;", "x;a"])
def test_spaces_around_a_coding_are_judged_at_once(coding: str) -> None:
    """They could be shared out between two places of the pattern in as many ways as there are spaces."""
    for spaces in (1_000, 10_000, 60_000):
        begun = process_time()
        with pytest.raises(BadRequestError):
            request_body(head(HTTP_TRANSFER_ENCODING=coding + " " * spaces + '",chunked'), None)
        assert process_time() - begun < 1


def test_a_coding_has_no_case() -> None:
    assert request_body(head(HTTP_TRANSFER_ENCODING="ChUnKeD"), None) == (RequestBody.CHUNKED, 0)


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("+5", "400"),
        ("0x5", "400"),
        ("5, 5", "400"),
        ("", "400"),
        ("\xb2", "400"),
        ("5_0", "400"),
        ("11", "413"),
    ],
)
def test_a_length_that_is_none_or_too_much_is_refused(value: str, status: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        request_body(head(CONTENT_LENGTH=value), 10)
    assert caught.value.status.startswith(status)


def test_a_length_is_a_number() -> None:
    assert request_body(head(CONTENT_LENGTH="10"), 10) == (RequestBody.SIZED, 10)
    assert request_body(head(CONTENT_LENGTH="00010"), 10) == (RequestBody.SIZED, 10)
    assert request_body(head(CONTENT_LENGTH="11"), None) == (RequestBody.SIZED, 11)


@pytest.mark.parametrize(
    ("value", "in_1_1", "in_1_0"),
    [
        (None, True, False),
        ("close", False, False),
        ("Close", False, False),
        ("keep-alive", True, True),
        ("Keep-Alive, TE", True, True),
        ("keep-alive, close", False, False),
        ("te\t,\tCLOSE ", False, False),
        ("closed", True, False),
    ],
)
def test_who_would_use_the_connection_again(value: str | None, in_1_1: bool, in_1_0: bool) -> None:
    fields = {} if value is None else {"HTTP_CONNECTION": value}
    assert keep_alive(Head(b"", "GET", "/", True, fields)) is in_1_1
    assert keep_alive(Head(b"", "GET", "/", False, fields)) is in_1_0


def test_who_waits_to_be_told_to_go_on() -> None:
    asked = head(HTTP_EXPECT="100-Continue")
    assert awaits_continue(asked, RequestBody.SIZED)
    assert not awaits_continue(asked, RequestBody.NONE)
    assert not awaits_continue(head(http_1_1=False, HTTP_EXPECT="100-continue"), RequestBody.SIZED)
    assert not awaits_continue(head(http_1_1=False, HTTP_EXPECT="else"), RequestBody.SIZED)
    with pytest.raises(BadRequestError) as caught:
        awaits_continue(head(HTTP_EXPECT="else"), RequestBody.SIZED)
    assert caught.value.status.startswith("417")
