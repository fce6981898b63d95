"""Requests of several people on one connection: the replies stay in step, or come one late for ever after."""

import json
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest

from crosstalk.matrix import raw, servers
from greenlane.demo.hazards.desync_server import main

NONCES = ("a", "b", "c", "d")


@pytest.fixture(scope="module", params=["broken", "fixed"])
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def base(variant: str) -> Iterator[str]:
    with servers.desync(variant) as address:
        yield address


def ask(base: str, requests: Sequence[bytes]) -> list[str]:
    """Send ``requests`` at once, and return whose reply each got."""
    place = urlsplit(base)
    replies = raw.pipelined(str(place.hostname), place.port or 80, requests, timeout=20)
    return [whose(reply) for reply in replies]


def whose(reply: raw.RawReply) -> str:
    assert reply.status == 200, reply
    report: Any = json.loads(reply.body)
    (nonce,) = {value for each in report["checkpoints"] for value in each["read"].values()}
    return str(nonce)


def path(variant: str, nonce: str) -> str:
    return f"/hazards/desync/{variant}?nonce={nonce}&pause=0"


def test_replies_are_one_late_after_a_body_that_nobody_read(base: str, variant: str) -> None:
    first, *others = NONCES
    requests = [
        raw.post("127.0.0.1", path(variant, first), first),
        *(raw.get("127.0.0.1", path(variant, nonce), nonce) for nonce in others),
    ]
    expected = [*NONCES] if variant == "fixed" else [first, first, *others[:-1]]
    assert ask(base, requests) == expected


def test_it_is_so_for_everybody_who_comes_later(base: str, variant: str) -> None:
    """One connection, exchange after exchange, as a proxy keeps it for its visitors."""
    place = urlsplit(base)
    with raw.Connection(str(place.hostname), place.port or 80, timeout=20) as connection:
        got = [
            whose(connection.exchange([request])[0])
            for request in (
                raw.post("127.0.0.1", path(variant, "a"), "a"),
                *(raw.get("127.0.0.1", path(variant, nonce), nonce) for nonce in "bcdefgh"),
            )
        ]
    assert got == [*("abcdefgh" if variant == "fixed" else "aabcdefg")]


def test_without_bodies_both_stay_in_step(base: str, variant: str) -> None:
    """So it is the unread body that does it, and not the pipelining."""
    requests = [raw.get("127.0.0.1", path(variant, nonce), nonce) for nonce in NONCES]
    assert ask(base, requests) == [*NONCES]


def test_wrong_parameters_are_refused_in_json(base: str, variant: str) -> None:
    place = urlsplit(base)
    request = raw.get("127.0.0.1", path(variant, "a%20b"), "a")
    (reply,) = raw.pipelined(str(place.hostname), place.port or 80, [request], timeout=20)
    assert reply.status == 400
    assert json.loads(reply.body)["parameter"] == "nonce"


@pytest.mark.parametrize("arguments", [[], ["mended"], ["broken", "fixed"]])
def test_the_server_says_how_it_is_called(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match=r"usage: .* broken\|fixed"):
        main(arguments)
