"""The head of a response: what `start_response` takes and what it refuses."""

import pytest

from greenlane.wsgi.response import check_head


def test_a_head_is_encoded_with_a_date_and_the_servers_lines_last() -> None:
    head = check_head("200 OK", [("X-A", "1"), ("X-A", "caf\xe9")]).encode(b"Connection: close\r\n")
    lines = head.split(b"\r\n")
    assert lines[:3] == [b"HTTP/1.1 200 OK", b"X-A: 1", b"X-A: caf\xe9"]
    assert lines[3].startswith(b"Date: ")
    assert lines[3].endswith(b" GMT")
    assert lines[4:] == [b"Connection: close", b"", b""]


def test_the_applications_own_date_is_kept() -> None:
    head = check_head("200 OK", [("date", "yesterday")]).encode()
    assert head.lower().count(b"date:") == 1


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (b"200 OK", [], TypeError),
        ("200 OK", [(b"X-A", "1")], TypeError),
        ("200 OK", [("X-A", 1)], TypeError),
        ("200", [], ValueError),
        ("OK", [], ValueError),
        ("101 Switching Protocols", [], ValueError),
        ("200 OK\r\nX-Injected: 1", [], ValueError),
        ("200 \u20ac", [], ValueError),
        ("200 OK", [("X A", "1")], ValueError),
        ("200 OK", [("X-A:", "1")], ValueError),
        ("200 OK", [("", "1")], ValueError),
        ("200 OK", [("X-A\n", "1")], ValueError),
        ("200 OK", [("X-A", "1\r\nX-Injected: 1")], ValueError),
        ("200 OK", [("X-A", "1\n")], ValueError),
        ("200 OK", [("X-A", "1\x00")], ValueError),
        ("200 OK", [("X-A", "\u20ac")], ValueError),
        ("200 OK", [("Content-Length", "-1")], ValueError),
        ("200 OK", [("Content-Length", "\xb2")], ValueError),
        ("200 OK", [("Content-Length", "1"), ("content-length", "1")], ValueError),
        ("200 OK", [("Transfer-Encoding", "chunked")], ValueError),
    ],
)
def test_what_would_break_the_stream_is_refused(
    status: str, headers: list[tuple[str, str]], error: type[Exception]
) -> None:
    with pytest.raises(error):
        check_head(status, headers)


@pytest.mark.parametrize(("value", "closes"), [("close", True), ("Close ", True), ("keep-alive", False)])
def test_of_connection_only_close_is_heeded(value: str, closes: bool) -> None:
    head = check_head("200 OK", [("Connection", value), ("Keep-Alive", "timeout=5")])
    assert head.closes is closes
    assert head.fields == b""


def test_a_204_has_no_content_length() -> None:
    """RFC 9110, 8.6."""
    assert check_head("204 No Content", [("Content-Length", "0")]).fields == b""
    assert check_head("304 Not Modified", [("Content-Length", "5")]).fields == b"Content-Length: 5\r\n"
