"""Several clients at once, good and bad, against one server: what must hold whatever they do.

Rule: a client first sends whole and valid requests, so that it is known what it must get for them. Behind
them anything may come: something damaged, half of something, a hang-up, a reset.
"""

import gc
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from struct import pack
from typing import TYPE_CHECKING

import gevent
import pytest
from gevent import socket

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.wsgi.wire.conftest import Case, Reply, Wire, Wires
    from tests.wsgi.wire.mutated.conftest import Attempts, Cut, Damage

WAIT = 10.0
"""Seconds in which all clients of one attempt must be done."""


def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Read all of the body, one byte or none, as the path says; answer with the path and what was read."""
    path = environ["PATH_INFO"]
    how_much = 0 if path.startswith("/none") else 1 if path.startswith("/one") else -1
    body = environ["wsgi.input"].read(how_much)
    start_response("200 OK", [("X-Method", environ["REQUEST_METHOD"])])
    answer = [path.encode("latin-1"), b" ", body]
    return iter(answer) if path.endswith("iterated") else answer


@dataclass(frozen=True)
class Valid:
    """A whole request, and the body of its reply."""

    sent: bytes
    answer: bytes


def valid_request(random: Random, name: str) -> Valid:
    """Make a request that must be answered, and after which the connection stays open."""
    how = random.choice(("all", "one", "none"))
    path = f"/{how}/{name}/{random.choice(('listed', 'iterated'))}"
    method = random.choice(("GET", "POST", "HEAD", "BREW"))
    body = random.randbytes(random.choice((0, 1, 30, 3_000)))
    lines = [f"{method} {path} HTTP/1.1", "Host: test", *["X: a"] * random.randint(0, 3)]
    match random.randrange(3):
        case 0:
            chunked = b"".join(b"%x;a\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:]) if part)
            lines, framed = [*lines, "Transfer-Encoding: chunked"], chunked + b"0\r\nX: a\r\n\r\n"
        case 1:
            lines, framed = [*lines, f"Content-Length: {len(body)}"], body
        case _:
            body = framed = b""
    read = {"all": body, "one": body[:1], "none": b""}[how]
    answer = b"" if method == "HEAD" else path.encode() + b" " + read
    return Valid("\r\n".join([*lines, "", ""]).encode() + framed, answer)


class Client:
    """One connection: some valid requests, and then something else.

    Args:
        random: decides what is sent, and how.
        name: of this client, in the paths of its requests.
        tail: what follows the valid requests.

    """

    def __init__(self, random: Random, name: str, tail: bytes) -> None:
        self.valid = [valid_request(random, f"{name}.{number}") for number in range(random.randint(0, 4))]
        self.sent = b"".join(request.sent for request in self.valid) + tail
        self.ending = random.choice(("hang up", "hang up", "reset", "close"))
        self.waits = [random.random() < 0.5 for _ in range(10)]

    def run(self, wire: "Wire", pieces: list[bytes]) -> bytes | None:
        """Do it; what was received, or None when the client did not stay to read."""
        received = b""
        with wire.connect() as sock:
            try:
                for piece, wait in zip(pieces, self.waits, strict=False):
                    sock.sendall(piece)
                    if wait:
                        gevent.idle()
                if self.ending == "reset":
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
                if self.ending != "hang up":
                    return None
                sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # the server had enough of it, and said so
            try:
                while data := sock.recv(65_536):
                    received += data
            except ConnectionError:
                return None
        return received


def check_replies(client: Client, replies: "list[Reply]") -> None:
    """Each valid request is answered, in order and whole; behind them at most one refusal, the last."""
    good = len(client.valid)
    assert [(reply.status, reply.body) for reply in replies[:good]] == [
        (200, request.answer) for request in client.valid
    ]
    assert all(reply.status == 200 for reply in replies[good:-1])
    if replies and replies[-1].status != 200:
        assert replies[-1].headers["connection"] == "close"


def live_greenlets() -> int:
    gc.collect()
    return sum(isinstance(found, gevent.Greenlet) and not found.dead for found in gc.get_objects())


def test_whatever_clients_do(
    wires: "Wires",
    damage: "Damage",
    cut: "Cut",
    all_cases: "list[Case]",
    attempts: "Attempts",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failures: list[object] = []
    monkeypatch.setattr(gevent.get_hub(), "handle_error", lambda *failure: failures.append(failure))
    wire = wires.get({"linger": 0.05})
    wire.served = app
    tails = [b"", *(case.sent for case in all_cases if len(case.sent) < 1_000)]
    before = live_greenlets()
    for seed in attempts(200):
        random = Random(seed)
        clients = [
            Client(random, f"{seed}.{number}", damage(random, random.choice(tails), random.choice(tails)))
            for number in range(random.randint(1, 5))
        ]
        running = [gevent.spawn(client.run, wire, cut(random, client.sent)) for client in clients]
        done = gevent.joinall(running, timeout=WAIT, raise_error=True)
        assert len(done) == len(clients), f"seed {seed}: a client waits for ever"
        for client, greenlet in zip(clients, running, strict=True):
            if greenlet.value is not None:
                try:
                    check_replies(client, wire.understand(greenlet.value))
                except Exception as error:
                    raise AssertionError(f"seed {seed}: {client.sent!r} got {greenlet.value!r}") from error
        assert wire.all_gone(WAIT), f"seed {seed}: {wire.server.connections} connections stay"
        assert (wire.errors.getvalue(), failures) == ("", []), f"seed {seed}"
    assert live_greenlets() <= before
