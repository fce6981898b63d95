"""Every case of the `.http` files beside this one, against the real server, in three ways.

Rule: what is expected stands with the case. A new case needs no code here.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pytest
from gevent.server import StreamServer
from gevent.socket import socket

if TYPE_CHECKING:
    from tests.wsgi.wire.conftest import Case, Expected, Message, Wires

BEFORE = b"GET /before HTTP/1.1\r\nHost: test\r\n\r\n"
AFTER = b"GET /after HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
"""Must be answered when the connection stays open, and never when it does not: whoever reads the case's end
wrongly takes this for something else."""


def whole(sent: bytes) -> list[bytes]:
    return [sent]


def byte_by_byte(sent: bytes) -> list[bytes]:
    most = 1_000  # in larger pieces what is longer than this: it would take too long
    step = -(-len(sent) // most)
    return [sent[start : start + step] for start in range(0, len(sent), step)]


def behind_another(sent: bytes) -> list[bytes]:
    return [BEFORE + sent]


@pytest.mark.parametrize("split", [whole, byte_by_byte, behind_another])
def test_the_case_comes_out_as_it_says(
    wires: "Wires", case: "Case", split: Callable[[bytes], Sequence[bytes]]
) -> None:
    wire = wires.get(case.settings)
    # Who is done closes at once when nothing more has come: what is sent behind that may meet a reset.
    comes_too_late = split is byte_by_byte and case.expected[-1].status == 200 and not case.stays_open
    behind = b"" if case.silent or comes_too_late else AFTER
    replies = wire.exchange(*split(case.sent + behind))
    messages = wire.app.messages
    if split is behind_another:
        assert (replies.pop(0).body, messages.pop(0).environ["PATH_INFO"]) == (b"/before", "/before")
        wire.app.called -= 1
    if case.stays_open:
        assert (replies.pop().body, messages.pop().environ["PATH_INFO"]) == (b"/after", "/after")
        wire.app.called -= 1
    assert [reply.status for reply in replies] == [expected.status for expected in case.expected]
    check_messages(messages, [expected for expected in case.expected if expected.status == 200])
    if not any(expected.in_body for expected in case.expected):
        assert wire.app.called == len(messages)
    if replies[-1].status != 200:
        check_log(wire.log.getvalue(), replies[-1].status)
    for message, reply in zip(messages, replies, strict=False):
        if message.environ["SERVER_PROTOCOL"] == "HTTP/1.0" and case.stays_open:
            assert reply.headers["connection"] == "keep-alive"  # or the client would wait for the end
    for reply in replies:
        closes = not case.stays_open and reply is replies[-1]
        assert (reply.headers.get("connection") == "close") == closes
    assert wire.errors.getvalue() == ""


def check_messages(messages: "list[Message]", expected: "list[Expected]") -> None:
    assert len(messages) == len(expected)
    for message, wanted in zip(messages, expected, strict=True):
        environ = message.environ
        assert (environ["REQUEST_METHOD"], environ["PATH_INFO"]) == (wanted.method, wanted.path)
        assert {name: environ.get(name) for name in wanted.environ} == wanted.environ
        assert message.body == wanted.body


def check_log(log: str, status: int) -> None:
    """The last line tells the operator what the client is not told: why."""
    before, _, behind = log.splitlines()[-1].removesuffix('"').rpartition(' "')
    assert before.count('"') == 2
    assert f'" {status} ' in before
    assert behind


def test_what_comes_with_the_last_request_is_not_looked_at(wires: "Wires") -> None:
    """RFC 9112, 9.6. No case of the files, since it may meet a reset when it comes later."""
    wire = wires.get({})
    assert [reply.status for reply in wire.exchange(AFTER + b"nonsense\r\n\r\n")] == [200]
    assert len(wire.app.messages) == 1


def test_each_piece_is_read_on_its_own(wires: "Wires", monkeypatch: pytest.MonkeyPatch) -> None:
    """Or "byte by byte" would be mere words: pieces that are sent too soon reach the server as one."""
    sizes = []

    def listen(sock: socket, address: object) -> None:
        while data := sock.recv(65_536):
            sizes.append(len(data))

    wire = wires.get({})
    with StreamServer(("127.0.0.1", 0), listen) as server:
        monkeypatch.setattr(wire, "server", server)
        server.start()
        wire.talk_and_hang_up(*byte_by_byte(AFTER))
    assert sizes == [1] * len(AFTER)
