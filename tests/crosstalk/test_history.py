"""The history: who wrote which nonce, and what came of it."""

import re
from collections.abc import Callable
from dataclasses import replace

from crosstalk.history import KEPT_ANOMALIES, History
from crosstalk.oracle import Check
from crosstalk.reply import Reply

Answer = Callable[..., Reply]


def test_every_request_gets_a_nonce_of_its_own_that_a_probe_takes(history: History) -> None:
    nonces = [history.issue("local", user).nonce for user in (1, 1, 2)]
    assert len(set(nonces)) == 3
    assert all(re.fullmatch("[A-Za-z0-9_-]{1,64}", nonce) for nonce in nonces)


def test_a_seed_repeats_the_nonces_and_another_does_not() -> None:
    assert History(7).issue("local", 1).nonce == History(7).issue("local", 1).nonce
    assert History(7).issue("local", 1).nonce != History(8).issue("local", 1).nonce


def test_clean_replies_are_counted(history: History, answer: Answer) -> None:
    for number in range(3):
        probe = history.issue("local", number)
        history.record(probe, answer(probe, probe.nonce, probe.nonce, in_flight=3 - number, switches=number))
    tally = history.tally("local")
    assert (tally.requests, tally.failed, tally.cross_talk, tally.stale) == (3, 0, 0, 0)
    assert tally.checks == {Check.OWN: 6}
    assert (tally.overlapped, tally.switches, tally.peak_in_flight) == (2, 3, 3)
    assert tally.threads == {(1, 1)}
    assert history.witness("local") is None


def test_cross_talk_names_reader_and_writer(history: History, answer: Answer) -> None:
    writer, reader = history.issue("shared", 1), history.issue("shared", 2)
    history.record(reader, answer(reader, reader.nonce, writer.nonce, greenlet=0xB))
    history.record(writer, answer(writer, writer.nonce, greenlet=0xA))
    witness = history.witness("shared")
    assert witness is not None
    assert witness.writer is writer
    assert (witness.anomaly.reader, witness.anomaly.kind, witness.anomaly.checkpoint) == (
        reader,
        "foreign",
        2,
    )
    assert (writer.greenlet, reader.greenlet) == (0xA, 0xB)
    assert history.tally("shared").cross_talk == 1


def test_a_stale_find_is_an_anomaly_before_the_first_checkpoint(history: History, answer: Answer) -> None:
    first, second = history.issue("kept", 1), history.issue("kept", 2)
    history.record(first, answer(first, first.nonce))
    history.record(second, answer(second, second.nonce, found=first.nonce))
    witness = history.witness("kept")
    assert witness is not None
    assert (witness.anomaly.kind, witness.anomaly.checkpoint, witness.writer) == ("stale", 0, first)
    assert history.tally("kept").stale == 1


def test_a_witness_with_a_known_writer_comes_first(history: History, answer: Answer) -> None:
    unknown, known, reader = (history.issue("shared", user) for user in range(3))
    history.record(reader, answer(reader, "nobody's"))
    history.record(unknown, answer(unknown, known.nonce))
    assert history.witness("shared").writer is known  # type: ignore[union-attr]
    history.record(known, answer(known, known.nonce))
    assert history.witness("shared").value == known.nonce  # type: ignore[union-attr]


def test_a_foreign_reading_tells_more_than_a_stale_or_a_torn_one(history: History, answer: Answer) -> None:
    writer, *readers = (history.issue("shared", user) for user in range(4))
    history.record(writer, answer(writer, writer.nonce))
    torn = answer(readers[0], "replaced below")
    torn = replace(torn, checkpoints=(replace(torn.checkpoints[0], read={"a": writer.nonce, "b": None}),))
    stale = answer(readers[1], readers[1].nonce, found=writer.nonce)
    foreign = answer(readers[2], writer.nonce)
    for reader, reply, kind in zip(
        readers, (torn, stale, foreign), ("torn", "stale", "foreign"), strict=True
    ):
        history.record(reader, reply)
        assert history.witness("shared").anomaly.kind == kind  # type: ignore[union-attr]


def test_a_nonce_that_was_never_issued_has_no_writer(history: History, answer: Answer) -> None:
    probe = history.issue("shared", 1)
    history.record(probe, answer(probe, "nobody's"))
    witness = history.witness("shared")
    assert witness is not None
    assert (witness.value, witness.writer) == ("nobody's", None)


def test_failures_are_counted_apart_and_by_reason(history: History) -> None:
    for reason in ("status 500", "status 500", "timed out"):
        history.record_failure(history.issue("local", 1), reason)
    tally = history.tally("local")
    assert (tally.requests, tally.failed) == (0, 3)
    assert tally.failures == {"status 500": 2, "timed out": 1}


def test_what_was_never_answered_has_failed(history: History, answer: Answer) -> None:
    answered, failed, unanswered = (history.issue("local", user) for user in range(3))
    history.record(answered, answer(answered, answered.nonce))
    history.record_failure(failed, "status 500")
    history.fail_unanswered("no reply")
    history.fail_unanswered("no reply")
    tally = history.tally(unanswered.strategy)
    assert (tally.requests, tally.failed, tally.failures["no reply"]) == (1, 2, 1)


def test_anomalies_are_kept_up_to_a_bound_and_counted_beyond(history: History, answer: Answer) -> None:
    for _ in range(KEPT_ANOMALIES + 10):
        probe = history.issue("shared", 1)
        history.record(probe, answer(probe, "x"))
    tally = history.tally("shared")
    assert len(tally.anomalies) == KEPT_ANOMALIES
    assert tally.cross_talk == KEPT_ANOMALIES + 10
