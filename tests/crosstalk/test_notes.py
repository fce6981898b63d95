"""The notes' oracle: what it takes for a visitor's own, and what it does not."""

import json
from collections import Counter
from random import Random

import pytest

from crosstalk.notes import EACH, InvalidReply, Reply, Rows, Tally, Visitor, parse


def reply(*texts: str) -> Reply:
    return Reply(tuple(enumerate(texts)), "token", 2, True)


def test_exactly_the_own_rows_are_own() -> None:
    visitor = Visitor(1, Random(1))
    assert visitor.judge(reply()) is Rows.OWN
    first, second = visitor.write(), visitor.write()
    assert visitor.judge(reply(second, first)) is Rows.OWN
    visitor.delete(first)
    assert visitor.judge(reply(second)) is Rows.OWN


def test_anything_else_is_not() -> None:
    visitor, other = Visitor(1, Random(1)), Visitor(2, Random(2))
    first, second, foreign = visitor.write(), visitor.write(), other.write()
    assert visitor.judge(reply(second, first, foreign)) is Rows.FOREIGN
    assert visitor.judge(reply(foreign)) is Rows.FOREIGN
    assert foreign in visitor.difference(reply(foreign))
    assert visitor.judge(reply(second)) is Rows.MISSING
    assert first in visitor.difference(reply(second))
    assert visitor.judge(reply()) is Rows.MISSING
    for read in ((first, second), (second, first, first)):
        assert visitor.judge(reply(*read)) is Rows.OTHER
    visitor.delete(first)
    assert visitor.judge(reply(second, first)) is Rows.OTHER
    assert str([second, first]) in visitor.difference(reply(second, first))


def test_the_oldest_make_room() -> None:
    visitor = Visitor(1, Random(1))
    texts = [visitor.write() for _ in range(EACH + 2)]
    assert visitor.judge(reply(*reversed(texts[2:]))) is Rows.OWN
    assert visitor.judge(reply(*reversed(texts))) is Rows.OTHER


def test_no_two_texts_are_the_same() -> None:
    assert len({Visitor(1, Random(seed)).write() for seed in range(50)}) == 50


def document(**changes: object) -> bytes:
    return json.dumps({"notes": [], "token": "t", "in_flight": 1, "switches": 0} | changes).encode()


def test_a_reply_is_read() -> None:
    body = document(notes=[{"id": 7, "text": "a"}], in_flight=3, switches=1)
    assert parse(body) == Reply(((7, "a"),), "t", 3, True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        document(notes=None),
        document(notes=["a"]),
        document(in_flight="many"),
        document(in_flight=float("inf")),
    ],
)
def test_what_is_no_reply_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidReply):
        parse(body)


@pytest.mark.parametrize(
    ("tally", "says"),
    [
        (Tally(), "no reply"),
        (Tally(Counter({Rows.OWN: 10}), failed=1, overlapped=10, peak_in_flight=5), "1 requests failed"),
        (Tally(Counter({Rows.OWN: 9, Rows.MISSING: 1}), overlapped=10, peak_in_flight=5), "lacked own rows"),
        (
            Tally(Counter({Rows.OWN: 9, Rows.OTHER: 1}), overlapped=10, peak_in_flight=5),
            "or had deleted ones",
        ),
        (Tally(Counter({Rows.OWN: 10}), overlapped=4, peak_in_flight=5), "no overlap"),
        (Tally(Counter({Rows.OWN: 10}), overlapped=10, peak_in_flight=1), "no overlap"),
    ],
)
def test_what_proves_nothing_says_why(tally: Tally, says: str) -> None:
    assert says in (tally.inconclusive() or "")


def test_enough_is_enough() -> None:
    assert Tally(Counter({Rows.OWN: 10}), overlapped=5, peak_in_flight=2).inconclusive() is None
