"""The rules: every reading judged in the words of the design, and no rule that could be left out."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstalk.checker import RULES, Check, Checker, Kind, Probe
from crosstalk.checker.rules import foreign_values, judge, judge_checkpoint
from crosstalk.reply import Checkpoint, Fields, Reply

MakeProbe = Callable[..., Probe]
NONCES = st.sampled_from(["mine", "yours", "theirs"])
FIELDS = st.dictionaries(st.sampled_from(["first", "second", "request.args"]), st.none() | NONCES, min_size=1)


def checkpoint(fields: Fields, error: str | None = None) -> Checkpoint:
    return Checkpoint("sleep", fields, error, 1, 5.0)


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
    assert judge_checkpoint("mine", checkpoint({"first": first, "second": second})) is expected


@pytest.mark.parametrize("value", ["mine", "yours", None])
def test_an_error_is_missing_whatever_was_read(value: str | None) -> None:
    for fields in ({"first": value, "second": value}, {"first": "mine", "second": value}):
        assert judge_checkpoint("mine", checkpoint(fields, "KeyError")) is Check.MISSING


def test_a_checkpoint_without_fields_is_missing() -> None:
    assert judge_checkpoint("mine", checkpoint({})) is Check.MISSING


@given(FIELDS)
def test_own_means_that_every_field_holds_the_nonce_and_nothing_else_does(fields: Fields) -> None:
    check = judge_checkpoint("mine", checkpoint(fields))
    assert (check is Check.OWN) == (set(fields.values()) == {"mine"})
    assert (check is Check.FOREIGN) == (set(fields.values()) in ({"yours"}, {"theirs"}))
    assert (check is Check.MISSING) == (set(fields.values()) == {None})
    assert (check is Check.TORN) == (len(set(fields.values())) > 1)


@given(FIELDS, st.none() | st.just("KeyError"))
def test_at_most_one_rule_applies_to_a_checkpoint(fields: Fields, error: str | None) -> None:
    """So that their order does not matter."""
    assert sum(rule("mine", checkpoint(fields, error)) for rule in RULES.checkpoint.values()) <= 1


@given(found=FIELDS, reads=st.lists(FIELDS, min_size=1))
def test_cross_talk_is_any_check_foreign_or_torn_or_stale(
    reply: Callable[..., Reply], found: Fields, reads: list[Fields]
) -> None:
    judgement = judge("mine", reply(*reads, found=found))
    stale = any(value is not None for value in found.values())
    assert judgement.stale == stale
    assert judgement.cross_talk == (
        stale or any(set(read.values()) not in ({"mine"}, {None}) for read in reads)
    )


def test_the_own_nonce_before_writing_is_stale(reply: Callable[..., Reply]) -> None:
    assert judge("mine", reply("mine", found="mine")).stale


def test_foreign_values_are_named_once() -> None:
    fields = {"first": "yours", "second": "mine", "third": "yours", "fourth": None}
    assert foreign_values("mine", fields) == ["yours"]


CASES: dict[str, Callable[[MakeProbe], list[Probe]]] = {
    "foreign": lambda probe: [probe("a", "a", "x")],
    "torn": lambda probe: [probe("a", "a", {"first": "a", "second": None})],
    "missing": lambda probe: [probe("a", "a", None)],
    "stale": lambda probe: [probe("a", "a", found="x")],
    "off-by-one": lambda probe: [
        probe(f"n{number}", f"n{number - 1}", connection=7, began=100.0 * number) for number in range(1, 5)
    ],
    "lost-update": lambda probe: [probe("a", "b", "b"), probe("b", "b")],
}


@pytest.mark.parametrize("name", RULES.names)
def test_without_a_rule_what_it_finds_is_missed(probe: MakeProbe, name: str) -> None:
    """The mutation score of the checker: for each rule a history in which nothing else finds the same."""
    found = {}
    for rules in (RULES, RULES.without(name)):
        assert (name in rules.names) == (rules is RULES)
        checker = Checker(rules)
        for each in CASES[name](probe):
            checker.add(each)
        found[rules is RULES] = checker.tally("local").anomalies(rules)
    assert found[True][Kind(name)] > 0
    assert found[False][Kind(name)] == 0


@pytest.mark.parametrize("name", ["foreign", "torn", "stale"])
def test_without_a_rule_of_cross_talk_there_is_none(probe: MakeProbe, name: str) -> None:
    checker = Checker(RULES.without(name))
    for each in CASES[name](probe):
        checker.add(each)
    tally = checker.tally("local")
    assert (tally.requests, tally.cross_talk, tally.witness()) == (1, 0, None)


def test_every_rule_has_a_case() -> None:
    assert set(CASES) == set(RULES.names) == {kind.value for kind in Kind}
