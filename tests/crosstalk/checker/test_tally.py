"""Tallies: small, and however they are added up the same."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstalk.checker import Check, Checker, Kind, Probe, Tally
from crosstalk.checker.checker import RECENT
from crosstalk.checker.evidence import CHANNELS, SAMPLE, VICTIMS, Sample, Victim, Victims
from crosstalk.checker.tally import EXAMPLES, REASONS

MakeProbe = Callable[..., Probe]


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, tuple[str | None, ...], str | None, int, str, str]]:
    """Draw requests: cell, what was read, found, connection, fate, failure."""
    nonces = st.sampled_from([f"u{number}-x" for number in range(30)])
    return draw(
        st.lists(
            st.tuples(
                st.sampled_from(["one", "two"]),
                st.tuples(st.none() | nonces, st.none() | nonces),
                st.none() | nonces,
                st.integers(1, 3),
                st.sampled_from(["", "", "", "kill"]),
                st.sampled_from(["", "", "", "status 500", "timed out"]),
            ),
            max_size=30,
        )
    )


def counted(probes: list[Probe]) -> Checker:
    checker = Checker()
    for each in probes:
        checker.add(each)
    return checker


def documents(checker: Checker) -> dict[str, object]:
    documents = {cell: tally.as_document() for cell, tally in checker.tallies.items()}
    for document in documents.values():
        # Which comes first among equals is nobody's concern.
        document["writers"].sort(key=lambda writer: writer["nonce"])
        document["examples"].sort(key=repr)
    return json.loads(json.dumps(documents))  # type: ignore[no-any-return]


@given(history=histories(), first=st.integers(0, 30), second=st.integers(0, 30))
def test_adding_up_is_associative_and_the_same_as_counting_all(
    probe: MakeProbe, history: list[tuple[str, tuple[str, ...], str, int, str, str]], first: int, second: int
) -> None:
    probes = [
        probe(
            f"u{number}-x",
            *reads,
            cell=cell,
            user=number,
            found=found,
            connection=connection,
            began=float(number),
            fate=fate or None,
            failed=failed or None,
            switches=number % 3,
            in_flight=number,
            thread=number % 2,
        )
        for number, (cell, reads, found, connection, fate, failed) in enumerate(history)
    ]
    low, high = sorted((first, second))
    parts = probes[:low], probes[low:high], probes[high:]

    def added(*checkers: Checker) -> Checker:
        total = Checker()
        for checker in checkers:
            total.merge(checker.tallies)
        return total

    def through_json(checker: Checker) -> Checker:
        made = Checker()
        made.tallies = {
            cell: Tally.from_document(json.loads(json.dumps(tally.as_document())))
            for cell, tally in checker.tallies.items()
        }
        return made

    a, b, c = (counted(list(part)) for part in parts)
    sums = [
        counted(probes),
        added(added(a, b), c),
        added(a, added(b, c)),
        added(c, a, b),
        added(*map(through_json, (a, b, c))),
    ]
    for each in sums:
        # A writer whom another checker has counted is found by going through all once more.
        each.find_writers(probes)
    assert all(documents(each) == documents(sums[0]) for each in sums[1:])


def test_counting_a_clean_reply(probe: MakeProbe) -> None:
    checker = counted([probe(f"n{n}", f"n{n}", f"n{n}", in_flight=3 - n, switches=n) for n in range(3)])
    tally = checker.tally("local")
    assert (tally.requests, tally.failed, tally.cross_talk, tally.stale) == (3, 0, 0, 0)
    assert tally.checks == {Check.OWN: 6}
    assert (tally.overlapped, tally.switches, tally.peak_in_flight) == (2, 3, 3)
    assert tally.threads == {("p1", 1)}
    assert not tally.anomalies()
    assert tally.witness() is None


def test_doomed_requests_that_ended_as_announced_have_not_failed(probe: MakeProbe) -> None:
    tally = counted(
        [probe("a", fate="raise"), probe("b", fate="kill", failed="status 200"), probe("c", failed="busy")]
    ).tally("local")
    assert (tally.requests, tally.doomed, tally.failed) == (0, 1, 2)
    assert tally.failures == {"status 200": 1, "busy": 1}


def test_a_doomed_request_may_be_the_writer(probe: MakeProbe) -> None:
    """It wrote like any other, and whoever reads it afterwards must learn whose it is."""
    checker = counted([probe("gone", fate="kill", user=7), probe("a", "a", found="gone", user=1)])
    witness = checker.tally("local").witness()
    assert witness is not None
    assert witness.writer is not None
    assert (witness.writer.user, witness.writer.fate, witness.writer.greenlet) == (7, "kill", None)
    assert [(step.at, step.by) for step in witness.timeline][:2] == [(None, "writer")] * 2


def test_a_writer_of_another_cell_is_found(probe: MakeProbe) -> None:
    checker = counted([probe("a", "b", cell="one"), probe("b", "b", cell="two")])
    assert checker.tally("one").writers["b"].cell == "two"


def test_a_writer_of_long_ago_is_found_by_going_through_once_more(probe: MakeProbe) -> None:
    probes = [probe("old", "old", user=9)]
    probes += [probe(f"n{number}", f"n{number}") for number in range(RECENT)]
    probes.append(probe("a", "old"))
    checker = counted(probes)
    assert checker.tally("local").wanted == {"old"}
    checker.find_writers(probes)
    assert checker.tally("local").writers["old"].user == 9


def test_adding_up_keeps_no_writer_that_no_example_names(probe: MakeProbe) -> None:
    total = Checker()
    for worker in range(4):
        names = [f"{chr(ord('z') - worker)}{n}" for n in range(EXAMPLES + 1)]
        part = counted([probe(name, names[n - 1]) for n, name in enumerate(names)])
        total.merge(part.tallies)
    tally = total.tally("local")
    assert set(tally.writers) <= {example.value for example in tally.examples[Kind.FOREIGN]}


def test_nothing_is_gone_through_when_nobody_is_wanted(probe: MakeProbe) -> None:
    checker = counted([probe("a", "b"), probe("b", "b")])

    def never() -> Probe:
        raise AssertionError

    checker.find_writers(never() for _ in range(1))


def test_a_nonce_that_nobody_wrote_has_no_writer(probe: MakeProbe) -> None:
    checker = counted([probe("a", "nobody's")])
    checker.find_writers([probe("b", "b")])
    witness = checker.tally("local").witness()
    assert witness is not None
    assert (witness.anomaly.value, witness.writer) == ("nobody's", None)


def test_a_witness_with_a_known_writer_comes_first(probe: MakeProbe) -> None:
    known = [probe("b", "c", user=2), probe("c", "c", user=3)]
    witness = (
        counted([probe("a", found={"first": "nobody's", "second": None}), *known]).tally("local").witness()
    )
    assert witness is not None
    assert witness.anomaly.reader.nonce == "b"


def test_a_witness_with_two_users_comes_before_one_with_one(probe: MakeProbe) -> None:
    own = [probe("a", "a", user=1), probe("b", "b", found="a", user=1)]
    two = [probe("c", "c", user=2), probe("d", "c", user=3)]
    witness = counted([*own, *two]).tally("local").witness()
    assert witness is not None
    assert witness.anomaly.reader.nonce == "d"


def test_what_crossed_in_no_written_field_is_told_all_the_same(probe: MakeProbe) -> None:
    """A proxy that reads the request, say, and neither of the two fields."""
    read = {"first": "a", "second": "a", "request.args": "b"}
    witness = counted([probe("a", read), probe("b", "b")]).tally("local").witness()
    assert witness is not None
    assert [step.does for step in witness.timeline] == ["was sent", "switched by sleep", "read"]
    assert witness.anomaly.cost == 3


def test_a_field_that_was_emptied_is_torn_without_a_writer(probe: MakeProbe) -> None:
    witness = counted([probe("a", {"first": "a", "second": None})]).tally("local").witness()
    assert witness is not None
    assert (witness.anomaly.value, witness.writer) == (None, None)
    assert [step.does for step in witness.timeline] == ["wrote second", "switched by sleep", "read"]


def test_a_value_that_crossed_is_told_before_one_that_was_gone(probe: MakeProbe) -> None:
    """Also where it takes more steps, and however many were only gone."""
    gone = [probe(f"a{n}", {"first": f"a{n}", "second": None}) for n in range(2 * EXAMPLES)]
    witness = (
        counted([*gone, probe("b", {"first": "c", "second": "b"}), probe("c", "c")]).tally("local").witness()
    )
    assert witness is not None
    assert (witness.anomaly.reader.nonce, witness.anomaly.value) == ("b", "c")


@pytest.mark.parametrize("crossed_at", [1, 2])
def test_of_one_request_the_checkpoint_at_which_a_value_crossed_is_told(
    probe: MakeProbe, crossed_at: int
) -> None:
    reads = [{"first": "a", "second": None}, {"first": "b", "second": "a"}]
    tally = counted([probe("a", *(reads if crossed_at == 2 else reversed(reads))), probe("b", "b")]).tally(
        "local"
    )
    (example,) = tally.examples[Kind.TORN]
    assert (example.checkpoint, example.value) == (crossed_at, "b")


def test_examples_are_kept_up_to_a_bound_and_counted_beyond(probe: MakeProbe) -> None:
    size = 3 * EXAMPLES
    checker = counted([probe(f"n{number}", f"n{(number + 1) % size}") for number in range(size)])
    tally = checker.tally("local")
    assert tally.met[Kind.FOREIGN] == size
    assert len(tally.examples[Kind.FOREIGN]) == EXAMPLES
    assert len(tally.writers) <= EXAMPLES


def test_a_million_anomalies_take_no_more_room_than_a_thousand(probe: MakeProbe) -> None:
    """So to speak: everything that a tally keeps has a bound."""
    checker = Checker()
    sample = probe("a", "b")
    for number in range(4 * SAMPLE):
        checker.add(
            replace(sample, nonce=f"u{number}", connection=number % 400, failed=None, start=float(number))
        )
        checker.add(replace(sample, nonce=f"f{number}", failed=f"reason {number}", reply=None))
    tally = checker.tally("local")
    assert tally.met[Kind.FOREIGN] == 4 * SAMPLE
    assert len(tally.failures) == REASONS + 1
    assert len(tally.overwritten.nonces) <= SAMPLE
    assert len(tally.victims.by_channel) == CHANNELS
    assert max(map(len, tally.victims.by_channel.values())) <= VICTIMS
    assert len(checker._recent) == RECENT
    assert 0 < tally.anomalies()[Kind.LOST_UPDATE] <= SAMPLE


@given(
    st.lists(st.integers(0, 9_999), max_size=3_000),
    st.lists(st.integers(0, 9_999), max_size=3_000),
)
def test_samples_add_up_too(one: list[int], other: list[int]) -> None:
    """Also one that holds all with one that holds a share."""

    def sampled(numbers: list[int]) -> Sample:
        sample = Sample()
        for number in numbers:
            sample.add(f"u{number}")
        return sample

    many = [*one, *range(0, 5_000, 2)]
    for first, second in ((many, other), (other, many)):
        merged = sampled(first)
        merged.merge(sampled(second))
        assert merged == sampled(other + many)
        assert merged.level > 0
        assert SAMPLE / 4 < len(merged.nonces) <= SAMPLE


def test_the_earliest_victims_of_a_channel_are_kept() -> None:
    victims = Victims()
    for number in reversed(range(100)):
        victims.add("c", [Victim((float(number), 0.0), f"u{number}", "x")])
    assert [victim.nonce for victim in victims.by_channel["c"]] == [f"u{number}" for number in range(VICTIMS)]


@pytest.mark.parametrize(
    ("nonce", "channel"), [("u1-2-ab", "connection 4"), ("w2-u1-2-ab", "connection w2-4")]
)
def test_workers_number_their_own_connections(probe: MakeProbe, nonce: str, channel: str) -> None:
    checker = counted([probe(nonce, "x", connection=4)])
    assert list(checker.tally("local").victims.by_channel) == [channel]
