"""Histories with anomalies put into them: each is named, with its reader, its writer and the value.

What is expected is worked out from what was put in, never by the checker's own rules.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from crosstalk.checker import Check, Checker, Kind, Probe
from crosstalk.checker.evidence import rows
from crosstalk.reply import Fields

MakeProbe = Callable[..., Probe]

STEPS = {"foreign": 6, "torn": 4, "stale": 3, "stale in one field": 2, "missing": 4, "raised": 4}
"""How few steps tell each: the writes that matter, the switch, the reading."""

KINDS = {
    "foreign": Kind.FOREIGN,
    "torn": Kind.TORN,
    "stale": Kind.STALE,
    "stale in one field": Kind.STALE,
    "missing": Kind.MISSING,
    "raised": Kind.MISSING,
}


@dataclass(frozen=True)
class Planned:
    """A request to be made: what goes wrong in it, whose value it reads, and at which checkpoint."""

    number: int
    wrong: str | None
    writer: int
    checkpoint: int
    checkpoints: int
    began: float

    @property
    def nonce(self) -> str:
        return f"u{self.number}-{self.number}-abc"

    def probe(self, probe: MakeProbe, plan: list["Planned"]) -> Probe:
        foreign = plan[self.writer].nonce
        read: str | Fields | None = {
            "foreign": foreign,
            "torn": {"first": foreign, "second": self.nonce},
            "missing": None,
        }.get(self.wrong or "", self.nonce)
        reads: list[str | Fields | None] = [self.nonce] * self.checkpoints
        errors: list[str | None] = [None] * self.checkpoints
        reads[self.checkpoint - 1] = read
        if self.wrong == "raised":
            errors[self.checkpoint - 1] = "KeyError"
        found: str | Fields | None = None
        if self.wrong == "stale":
            found = foreign
        if self.wrong == "stale in one field":
            found = {"first": None, "second": foreign}
        return probe(self.nonce, *reads, user=self.number, found=found, errors=errors, began=self.began)


@st.composite
def plans(draw: st.DrawFn) -> list[Planned]:
    size = draw(st.integers(2, 10))
    plan = []
    for number in range(size):
        checkpoints = draw(st.integers(1, 4))
        plan.append(
            Planned(
                number,
                draw(st.none() | st.sampled_from(sorted(STEPS))),
                # Anybody but itself.
                (number + draw(st.integers(1, size - 1))) % size,
                draw(st.integers(1, checkpoints)),
                checkpoints,
                draw(st.integers(0, 50)) / 7,
            )
        )
    return plan


@given(plan=plans(), order=st.integers(0, 1000))
def test_each_anomaly_is_named_with_its_reader_writer_and_value(
    probe: MakeProbe, plan: list[Planned], order: int
) -> None:
    checker = Checker()
    probes = [planned.probe(probe, plan) for planned in plan]
    Random(order).shuffle(probes)
    for each in probes:
        checker.add(each)
    tally = checker.tally("local")
    wrong = [planned for planned in plan if planned.wrong]
    expected = Counter(KINDS[planned.wrong] for planned in wrong if planned.wrong)
    assert tally.met == expected
    cross_talk = sum(count for kind, count in expected.items() if kind is not Kind.MISSING)
    assert (tally.requests, tally.failed, tally.cross_talk) == (len(plan), 0, cross_talk)
    assert sum(tally.checks.values()) == sum(planned.checkpoints for planned in plan)
    at_checkpoints = len(wrong) - expected[Kind.STALE]
    assert tally.checks[Check.OWN] == sum(planned.checkpoints for planned in plan) - at_checkpoints
    by_nonce = {planned.nonce: planned for planned in plan}
    for kind in (Kind.FOREIGN, Kind.TORN, Kind.STALE, Kind.MISSING):
        examples = tally.examples.get(kind, [])
        assert {example.reader.nonce for example in examples} == {
            planned.nonce for planned in wrong if planned.wrong and KINDS[planned.wrong] is kind
        }
        for example in examples:
            planned = by_nonce[example.reader.nonce]
            assert example.checkpoint == (0 if kind is Kind.STALE else planned.checkpoint)
            assert example.value == (None if kind is Kind.MISSING else plan[planned.writer].nonce)
            if example.value is not None:
                writer = tally.writers[example.value]
                assert (writer.nonce, writer.user) == (example.value, planned.writer)


@given(plan=plans())
def test_the_witness_is_as_small_as_can_be(probe: MakeProbe, plan: list[Planned]) -> None:
    checker = Checker()
    for planned in plan:
        checker.add(planned.probe(probe, plan))
    tally = checker.tally("local")
    crossed = any(planned.wrong and KINDS[planned.wrong] is not Kind.MISSING for planned in plan)
    for kind in (None, *Kind):
        costs = [
            STEPS[planned.wrong]
            for planned in plan
            if planned.wrong
            # Where a value crossed, that is told before something that was only missing.
            and (
                KINDS[planned.wrong] is kind
                if kind
                else KINDS[planned.wrong] is not Kind.MISSING or not crossed
            )
        ]
        witness = tally.witness(kind)
        assert (witness is None) == (not costs)
        if witness is not None:
            assert len(witness.timeline) == min(costs)


@given(plan=plans())
def test_a_timeline_tells_what_the_two_requests_did_and_when(probe: MakeProbe, plan: list[Planned]) -> None:
    checker = Checker()
    by_nonce = {}
    for planned in plan:
        made = by_nonce[planned.nonce] = planned.probe(probe, plan)
        checker.add(made)
    for kind in Kind:
        witness = checker.tally("local").witness(kind)
        if witness is None:
            continue
        anomaly, times = witness.anomaly, [step.at for step in witness.timeline]
        assert times == sorted(times)  # type: ignore[type-var]
        for step in witness.timeline:
            who = by_nonce[anomaly.reader.nonce if step.by == "reader" else anomaly.value or ""]
            assert who.reply is not None
            first, second = who.reply.wrote
            if step.does.startswith("wrote"):
                assert step.at == {"wrote first": first, "wrote second": second}[step.does]
            elif step.does == "looked before writing":
                assert step.at == who.reply.began
            elif step.does == "read":
                assert step.at == who.reply.checkpoints[anomaly.checkpoint - 1].at
            else:
                assert step.does == "switched by sleep"
                assert step.at in (second, *(checkpoint.at for checkpoint in who.reply.checkpoints))
        fields = {step.does for step in witness.timeline if step.does.startswith("wrote")}
        assert fields == {
            f"wrote {name}" for name, value in anomaly.read.items() if anomaly.error or value == anomaly.value
        }


@given(
    shift=st.integers(1, 4),
    before=st.integers(0, 3),
    length=st.integers(2, 9),
    after=st.integers(0, 3),
    by_channel=st.booleans(),
    order=st.integers(0, 1000),
)
def test_replies_that_are_off_by_a_fixed_number_are_a_row(
    probe: MakeProbe, shift: int, before: int, length: int, after: int, by_channel: bool, order: int
) -> None:
    """Some requests without harm, then each gets what was meant for one before, then none any more."""
    size = before + shift + length + after
    through = {"channel": "c"} if by_channel else {"connection": 5}
    probes = []
    for number in range(size):
        off = before + shift <= number < before + shift + length
        read = f"u{number - shift if off else number}-x"
        probes.append(probe(f"u{number}-x", read, began=10.0 * number, **through))
    Random(order).shuffle(probes)
    checker = Checker()
    for each in probes:
        checker.add(each)
    found = list(rows(checker.tally("local").victims))
    victims = tuple(f"u{number}-x" for number in range(before + shift, before + shift + length))
    # As long as nobody reads what a victim wrote, it may be anything.
    assert [(row.shift, row.nonces) for row in found] == ([(shift, victims)] if length > shift else [])
    if found:
        assert found[0].channel == ("c of p1" if by_channel else "connection 5")
        assert checker.tally("local").anomalies()[Kind.OFF_BY_ONE] == length


def test_a_row_ends_where_the_shift_changes(probe: MakeProbe) -> None:
    """Another reply is left behind, and later one is taken away: the last victim alone is no row."""
    checker = Checker()
    for number, writer in enumerate((0, 1, 2, 2, 3, 5), 1):
        checker.add(probe(f"n{number}", f"n{writer}", connection=1, began=10.0 * number))
    found = [(row.shift, row.nonces) for row in rows(checker.tally("local").victims)]
    assert found == [(1, ("n1", "n2", "n3")), (2, ("n4", "n5"))]


@given(order=st.permutations(range(1, 12)))
def test_foreign_readings_in_no_order_are_no_row(probe: MakeProbe, order: list[int]) -> None:
    """Each reads somebody's value on a connection of its own: a shared object, and not a shifted reply."""
    checker = Checker()
    for number, writer in enumerate(order):
        checker.add(probe(f"u{number}-x", f"u{writer}-x", connection=number, began=float(number)))
    assert list(rows(checker.tally("local").victims)) == []


@given(reads=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=8, max_size=8))
def test_lost_updates_are_the_writes_that_nobody_read(probe: MakeProbe, reads: list[tuple[int, int]]) -> None:
    checker = Checker()
    for number, values in enumerate(reads):
        checker.add(probe(f"u{number}", *(f"u{value}" for value in values)))
    seen = {value for values in reads for value in values}
    assert checker.tally("local").anomalies()[Kind.LOST_UPDATE] == len(set(range(8)) - seen)


@given(reads=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=8, max_size=8))
def test_a_value_that_was_found_before_writing_is_not_lost(
    probe: MakeProbe, reads: list[tuple[int, int]]
) -> None:
    checker = Checker()
    for number, (value, found) in enumerate(reads):
        checker.add(probe(f"u{number}", f"u{value}", found=f"u{found}"))
    seen = {value for value, _found in reads}
    seen |= {found for number, (_value, found) in enumerate(reads) if found != number}  # not its own, yet
    assert checker.tally("local").anomalies()[Kind.LOST_UPDATE] == len(set(range(8)) - seen)
