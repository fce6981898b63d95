"""The head of a response: what `start_response` takes and what it refuses."""

import pytest

from greenlane.wsgi.response import check_head, encode_head


def test_a_head_is_encoded_with_a_date_and_the_servers_lines_last() -> None:
    checked = check_head("200 OK", [("X-A", "1"), ("X-A", "caf\xe9")])
    head = encode_head(checked, b"Connection: close\r\n")
    lines = head.split(b"\r\n")
    assert lines[:3] == [b"HTTP/1.1 200 OK", b"X-A: 1", b"X-A: caf\xe9"]
    assert lines[3].startswith(b"Date: ")
    assert lines[3].endswith(b" GMT")
    assert lines[4:] == [b"Connection: close", b"", b""]


def test_the_applications_own_date_is_kept() -> None:
    head = encode_head(check_head("200 OK", [("date", "yesterday")]), b"")
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


@pytest.mark.parametrize(
    "name", ["Connection", "keep-alive", "TE", "Trailer", "Upgrade", "Proxy-Authenticate", "Proxy-Connection"]
)
def test_what_speaks_of_the_connection_is_the_servers_to_say(name: str) -> None:
    """PEP 3333, "Other HTTP Features": an application that says it is in error."""
    for _ in range(2):  # a name that was looked at before is looked up
        with pytest.raises(ValueError, match=f"{name} is the server's to say"):
            check_head("200 OK", [(name, "close")])


def test_a_line_end_is_found_among_many_values() -> None:
    """They are searched all at once, and the one at fault is named."""
    good = [(f"X-{number}", "value") for number in range(50)]
    for bad in ("a\rb", "a\nb", "a\r\n", "\r\nX: y", "a\0b"):
        for place in (0, 25, 50):
            with pytest.raises(ValueError, match="'X-Bad'"):
                check_head("200 OK", [*good[:place], ("X-Bad", bad), *good[place:]])


def test_a_204_has_no_content_length() -> None:
    """RFC 9110, 8.6."""
    assert b"Content-Length" not in check_head("204 No Content", [("Content-Length", "0")])[1]
    assert check_head("304 Not Modified", [("Content-Length", "5")])[1].endswith(b"\r\nContent-Length: 5\r\n")
