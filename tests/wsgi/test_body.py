"""`wsgi.input` is a file: whatever is asked of it, in pieces of whatever size, it answers as one does."""

import io
from collections.abc import Callable

import pytest
from gevent.socket import socketpair
from hypothesis import given
from hypothesis import strategies as st

from greenlane.wsgi.body import Body, ChunkedBody, EmptyBody, SizedBody
from greenlane.wsgi.errors import BadBodyError
from greenlane.wsgi.settings import Settings
from greenlane.wsgi.stream import Stream

CONTENT = st.lists(
    st.sampled_from([b"a", b"\n", b"bc", b"\r\n", b"0\r\n\r\n", b"x" * 9_000]), max_size=20
).map(b"".join)
CALLS = st.lists(
    st.tuples(st.sampled_from(["read", "readline"]), st.sampled_from([-1, 0, 1, 2, 7, 8_192, 70_000, None])),
    max_size=12,
)
BEHIND = b"GET /next HTTP/1.1\r\n"


def chunks(content: bytes, sizes: list[int]) -> bytes:
    """Frame `content` in chunks of these sizes, the rest in one."""
    framed = b""
    for size in [*sizes, len(content)]:
        part, content = content[:size], content[size:]
        if part:
            framed += b"%X;a=b\r\n%b\r\n" % (len(part), part)
    return framed + b"0\r\nX-Trailer: 1\r\n\r\n"


def with_body(data: bytes, make: Callable[[Stream], Body], check: Callable[[Body], None]) -> None:
    """Send `data`, followed by the next request, and let `check` read it."""
    ours, theirs = socketpair()
    with ours, theirs:
        stream = Stream(ours)
        try:
            theirs.sendall(data + BEHIND)
            body = make(stream)
            check(body)
            assert body.discard(200_000)
            stream.look(len(BEHIND))
            assert stream.pending == BEHIND, "what stands behind the body is for the next request"
        finally:
            stream.close()


def ask_both(body: Body, file: io.BytesIO, calls: list[tuple[str, int | None]]) -> None:
    for name, size in calls:
        assert getattr(body, name)(size) == getattr(file, name)(size)


@given(CONTENT, CALLS)
def test_a_sized_body_is_a_file(content: bytes, calls: list[tuple[str, int | None]]) -> None:
    with_body(
        content,
        lambda stream: SizedBody(stream, Settings(), len(content), awaits_continue=False),
        lambda body: ask_both(body, io.BytesIO(content), calls),
    )


@given(CONTENT, st.lists(st.integers(1, 10_000), max_size=8), CALLS)
def test_a_chunked_body_is_a_file(
    content: bytes, sizes: list[int], calls: list[tuple[str, int | None]]
) -> None:
    with_body(
        chunks(content, sizes),
        lambda stream: ChunkedBody(stream, Settings(), awaits_continue=False),
        lambda body: ask_both(body, io.BytesIO(content), calls),
    )


@given(CONTENT, st.sampled_from([-1, 0, 1, 5, 20_000, None]))
def test_lines_come_as_a_file_has_them(content: bytes, hint: int | None) -> None:
    def check(body: Body) -> None:
        file = io.BytesIO(content)
        assert body.readlines(hint) == file.readlines(hint)
        assert list(body) == list(file)

    with_body(
        content, lambda stream: SizedBody(stream, Settings(), len(content), awaits_continue=False), check
    )


def test_no_body_is_an_empty_file() -> None:
    body = EmptyBody()
    assert (body.read(), body.read(5), body.readline(), body.readlines(), list(body)) == (
        b"",
        b"",
        b"",
        [],
        [],
    )
    assert body.discard(0)


def test_extensions_of_chunks_are_no_body_of_their_own() -> None:
    """Each is short, but in front of every byte they would be thousands of times what is counted."""

    def check(body: Body) -> None:
        with pytest.raises(BadBodyError, match="too many extensions"):
            body.read()
        assert not body.discard(200_000), "nor is it read to be thrown away"

    ours, theirs = socketpair()
    with ours, theirs:
        stream = Stream(ours)
        try:
            theirs.sendall((b"1;" + b"a" * 4_000 + b"\r\nx\r\n") * 20)
            check(ChunkedBody(stream, Settings(), awaits_continue=False))
        finally:
            stream.close()
