"""The oracle: every check judged in the words of the design."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstalk.oracle import Check, foreign_values, judge, judge_checkpoint
from crosstalk.reply import Checkpoint, Fields, Reply

NONCES = st.sampled_from(["mine", "yours", "theirs"])
FIELDS = st.dictionaries(st.sampled_from(["first", "second", "request.args"]), st.none() | NONCES, min_size=1)


def checkpoint(first: str | None, second: str | None, error: str | None = None) -> Checkpoint:
    return Checkpoint("sleep", {"first": first, "second": second}, error, 1)


def reply(found: Fields, *checkpoints: Checkpoint) -> Reply:
    return Reply("s", found, checkpoints, greenlet=1, thread=1, pid=1, in_flight=2, switches=1)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("mine", "mine", Check.OWN),
        ("yours", "yours", Check.FOREIGN),
        ("mine", "yours", Check.TORN),
        ("yours", "mine", Check.TORN),
        ("yours", "theirs", Check.TORN),
        ("mine", None, Check.TORN),
        (None, None, Check.MISSING),
    ],
)
def test_a_checkpoint_is_judged_by_both_fields(
    first: str | None, second: str | None, expected: Check
) -> None:
    assert judge_checkpoint("mine", checkpoint(first, second)) is expected


def test_an_error_is_missing_whatever_was_read() -> None:
    assert judge_checkpoint("mine", checkpoint("mine", "mine", "KeyError")) is Check.MISSING


def test_a_checkpoint_without_fields_is_missing() -> None:
    assert judge_checkpoint("mine", Checkpoint("sleep", {}, None, 0)) is Check.MISSING


@given(FIELDS)
def test_own_means_that_every_field_holds_the_nonce_and_nothing_else_does(fields: Fields) -> None:
    check = judge_checkpoint("mine", Checkpoint("sleep", fields, None, 0))
    assert (check is Check.OWN) == (set(fields.values()) == {"mine"})
    assert (check is Check.FOREIGN) == (set(fields.values()) in ({"yours"}, {"theirs"}))
    assert (check is Check.MISSING) == (set(fields.values()) == {None})
    assert (check is Check.TORN) == (len(set(fields.values())) > 1)


@given(FIELDS, st.lists(FIELDS, min_size=1))
def test_cross_talk_is_any_check_foreign_or_torn_or_stale(found: Fields, reads: list[Fields]) -> None:
    judgement = judge("mine", reply(found, *(Checkpoint("sleep", read, None, 0) for read in reads)))
    stale = any(value is not None for value in found.values())
    assert judgement.stale == stale
    assert judgement.cross_talk == (
        stale or any(set(read.values()) not in ({"mine"}, {None}) for read in reads)
    )


def test_missing_alone_is_no_cross_talk() -> None:
    clean = {"first": None, "second": None}
    assert not judge("mine", reply(clean, checkpoint(None, None), checkpoint("mine", "mine"))).cross_talk


def test_foreign_values_are_those_of_others_in_order_and_once() -> None:
    assert foreign_values("mine", {"a": "yours", "b": "mine", "c": None, "d": "yours", "e": "theirs"}) == [
        "yours",
        "theirs",
    ]
