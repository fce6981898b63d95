"""The history: what was issued is written down, and what is read back is the same."""

import gzip
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstalk.checker import Cell, Check, CutOff, End, Header, Left, Probe, check
from crosstalk.history import History, HistoryFile, NotAHistory, read, spooled
from crosstalk.reply import Reply, parse

Answer = Callable[..., Reply]

HEADER = Header(
    7, "2026-01-01T00:00:00+00:00", ("prove",), {"host": "http://h"}, {"local": Cell("subject", 1)}
)


def body_of(nonce: str, strategy: str = "local") -> bytes:
    fields = {"first": nonce, "second": nonce}
    return json.dumps(
        {
            "strategy": strategy,
            "found": {"first": None, "second": None},
            "began": 1.0,
            "wrote": [1.5, 2],
            "checkpoints": [{"after": "sleep", "read": fields, "error": None, "switches": 2, "at": 3.25}],
            "greenlet": 140,
            "thread": 7,
            "pid": 7,
            "process": "here/7/ab",
            "in_flight": 3,
            "switches": 2,
        },
        indent=1,  # over several lines, as a server may send it
    ).encode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.jsonl.gz"


def write(path: Path, requests: int = 3, *, end: bool = True) -> list[str]:
    """Write a history of as many requests, one more that failed and one that was doomed."""
    nonces = []
    with HistoryFile(path, HEADER) as file:
        history = History(7, file=file)
        for user in range(requests):
            request = history.issue("local", user)
            request.connection = 40 + user
            nonces.append(request.nonce)
            body = body_of(request.nonce)
            history.record(request, parse(body, strategy="local", hops=1), body)
        history.record_failure(history.issue("local", 8), "status 500: \u2713\ud800")
        history.record_doomed(history.issue("local", 9, fate="raise"))
        if end:
            file.left(Left({"request": 0}, {"local": 0}, {"local": 2}, None, ("here/7/ab",)))
            file.end(parts=[], note="x")
    assert file.error is None
    return nonces


def test_every_request_gets_a_nonce_of_its_own_that_a_probe_takes(history: History) -> None:
    nonces = [history.issue("local", user).nonce for user in (1, 1, 2)]
    assert len(set(nonces)) == 3
    assert all(re.fullmatch("[A-Za-z0-9_-]{1,64}", nonce) for nonce in nonces)


def test_a_seed_repeats_the_nonces_and_another_does_not() -> None:
    assert History(7).issue("local", 1).nonce == History(7).issue("local", 1).nonce
    assert History(7).issue("local", 1).nonce != History(8).issue("local", 1).nonce


def test_a_workers_nonces_begin_with_its_prefix() -> None:
    assert History(7, prefix="w2-").issue("local", 1).nonce.startswith("w2-u1-0-")


def test_a_cell_tells_the_strategy_unless_it_is_given(history: History) -> None:
    assert history.issue("keep-alive/broken", 1, hazard="keep-alive").strategy == "broken"
    assert history.issue("keep-alive/broken", 1, strategy="other").strategy == "other"


def test_replies_are_counted_while_the_run_goes_on(history: History, answer: Answer) -> None:
    for number in range(3):
        request = history.issue("local", number)
        judgement = history.record(request, answer(request, request.nonce, request.nonce), b"{}")
        assert judgement.checks == (Check.OWN, Check.OWN)
    assert history.tally("local").requests == 3
    assert list(history.tallies) == ["local"]


def test_what_was_never_answered_has_failed(history: History, answer: Answer) -> None:
    answered, failed, _unanswered = (history.issue("local", user) for user in range(3))
    doomed = history.issue("local", 4, fate="kill")
    history.record(answered, answer(answered, answered.nonce), b"{}")
    history.record_failure(failed, "status 500")
    history.record_doomed(doomed)
    history.fail_unanswered("no reply")
    history.fail_unanswered("no reply")
    tally = history.tally("local")
    assert (tally.requests, tally.doomed, tally.failures) == (1, 1, {"status 500": 1, "no reply": 1})


def test_a_request_ends_as_it_announced_or_has_failed(history: History, answer: Answer) -> None:
    harmless, doomed = history.issue("local", 1), history.issue("local", 1, fate="raise")
    with pytest.raises(ValueError, match="was not doomed"):
        history.record_doomed(harmless)
    with pytest.raises(ValueError, match="was doomed"):
        history.record(doomed, answer(doomed, doomed.nonce), b"{}")
    history.record_failure(doomed, "status 200")
    assert (history.tally("local").failed, history.tally("local").requests) == (1, 0)


def test_a_request_ends_once(history: History) -> None:
    request = history.issue("local", 1)
    history.record_failure(request, "timed out")
    with pytest.raises(ValueError, match="has ended before"):
        history.record_failure(request, "too late")


def test_what_is_read_is_what_was_written(path: Path) -> None:
    nonces = write(path)
    header, *probes, left, end = read(path)
    assert header == HEADER
    assert left == Left({"request": 0}, {"local": 0}, {"local": 2}, None, ("here/7/ab",))
    assert end == End(5, {"parts": [], "note": "x"})
    answered = [probe for probe in probes if isinstance(probe, Probe) and probe.reply]
    assert [(probe.nonce, probe.user, probe.connection) for probe in answered] == [
        (nonce, user, 40 + user) for user, nonce in enumerate(nonces)
    ]
    for probe in answered:
        assert probe.reply == parse(body_of(probe.nonce), strategy="local", hops=1)
        assert 0 <= probe.end - probe.start < 60
    failed, doomed = (probe for probe in probes if isinstance(probe, Probe) and not probe.reply)
    assert (failed.failed, failed.fate) == ("status 500: \u2713\ud800", None)
    assert (doomed.failed, doomed.fate) == (None, "raise")


TEXT = st.text(st.characters(codec="utf-8"), max_size=8)


@given(
    values=st.lists(st.none() | TEXT, min_size=2, max_size=2),
    name=TEXT,
    reason=TEXT,
    indent=st.none() | st.integers(0, 2),
    ascii_only=st.booleans(),
)
def test_whatever_a_server_says_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory,
    values: list[str | None],
    name: str,
    reason: str,
    indent: int | None,
    ascii_only: bool,
) -> None:
    """Over one line or many, with line breaks of any kind in it, escaped or not."""
    document = json.loads(body_of("n"))
    document["found"] = dict(zip(("first", "second"), values, strict=True))
    document["channel"] = document["checkpoints"][0]["after"] = name
    body = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode()
    path = tmp_path_factory.getbasetemp() / "whatever.gz"
    with HistoryFile(path, HEADER) as file:
        history = History(7, file=file)
        reply = parse(body, strategy="local", hops=1)
        history.record(history.issue("local", 1), reply, body)
        history.record_failure(history.issue("local", 1), reason)
        file.end()
    _header, first, second, end = read(path)
    assert isinstance(first, Probe)
    assert isinstance(second, Probe)
    assert (first.reply, second.failed, end) == (reply, reason, End(2))


def test_a_history_is_one_json_object_a_line(path: Path) -> None:
    """As anybody else would read it."""
    write(path)
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert [line["kind"] for line in lines] == ["header", *["probe"] * 5, "left", "end"]
    assert lines[0]["schema"] == 1


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.999])
def test_a_history_that_is_cut_off_is_read_as_far_as_it_goes(path: Path, share: float) -> None:
    write(path, 2_000)
    whole = list(read(path))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    *records, last = read(path)
    assert records == whole[: len(records)]
    assert isinstance(last, CutOff)
    assert "cannot be read" in last.reason


def test_a_history_without_an_end_has_just_none(path: Path) -> None:
    write(path, end=False)
    assert isinstance(list(read(path))[-1], Probe)


def test_damage_in_the_middle_is_told_with_the_line(path: Path) -> None:
    write(path)
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    for damaged in (
        b"{}\n",
        b"[1]\n",
        b"\xff\n",
        b"[" * 100_000 + b"\n",
        lines[0],
        lines[2].replace(b'"cell": "local"', b'"cell": "x"'),
        lines[2].replace(b'"reply": {', b'"reply": [{'),
        lines[2].replace(b'"start"', b'"begin"'),
        lines[2].partition(b', "reply"')[0] + b', "reply": null}\n',
        lines[2].replace(b'"user": 1', b'"user": "1"'),
    ):
        path.write_bytes(gzip.compress(b"".join([*lines[:2], damaged, *lines[3:]])))
        *records, last = read(path)
        assert len(records) == 2, damaged[:60]
        assert isinstance(last, CutOff)
        assert last.reason.startswith("line 3 cannot be read: ")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is no history"),
        (b"not gzip", "[Nn]ot a gzipped file"),
        (gzip.compress(b""), "not JSON"),
        (gzip.compress(b"\xff\xfe"), "not JSON"),
        (gzip.compress(b'{"kind": "end", "probes": 0, "facts": {}}'), "the first line is no header"),
        (gzip.compress(b'{"kind": "header"}'), "schema"),
        (gzip.compress(json.dumps(HEADER.as_document() | {"schema": 2}).encode()), "its schema is 2"),
        (gzip.compress(json.dumps(HEADER.as_document() | {"cells": {"x": {}}}).encode()), "role"),
        (gzip.compress(json.dumps(HEADER.as_document()).encode())[:40], "is no history"),
        (zlib.compress(b"{}"), "[Nn]ot a gzipped file"),
    ],
)
def test_what_is_no_history_says_so(path: Path, content: bytes, says: str) -> None:
    path.write_bytes(content)
    with pytest.raises(NotAHistory, match=says):
        list(read(path))


def test_a_history_that_lacks_requests_is_not_whole(path: Path) -> None:
    """Somebody took a line out."""
    write(path)
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(gzip.compress(b"".join([*lines[:2], *lines[3:]])))
    assert check(lambda: read(path)).cut == "it has 4 requests, and 5 by its end"


def test_a_full_disk_is_remembered_and_the_run_goes_on() -> None:
    with HistoryFile(Path("/dev/full"), HEADER) as file:
        history = History(7, file=file)
        for _ in range(3_000):
            history.record_failure(history.issue("local", 1), "x")
    assert file.error is not None
    assert "No space left" in str(file.error)
    assert history.tally("local").failed == 3_000


def test_a_history_that_nobody_asked_for_is_removed(tmp_path: Path) -> None:
    with spooled(tmp_path / "kept") as path:
        path.write_text("x")
    assert path.exists()
    with spooled(None) as path:
        write(path)
        assert path.exists()
    assert not path.parent.exists()


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl.gz"
    with HistoryFile(path, HEADER) as first:
        with pytest.raises(OSError, match="another run is writing"):
            HistoryFile(path, HEADER)
        first.end()
    assert [type(record).__name__ for record in read(path)] == ["Header", "End"]
    with HistoryFile(path, HEADER):  # once it is through, the next may
        pass


def test_requests_are_numbered_in_their_cell_and_the_listener_is_told_of_each_end(answer: Answer) -> None:
    told: list[tuple[str, int, bool]] = []
    history = History(
        1, listener=lambda request, probe, judged: told.append((probe.cell, request.number, judged is None))
    )
    first, other, second = history.issue("a/b", 1), history.issue("a/c", 2), history.issue("a/b", 3)
    assert (history.issued("a/b"), history.issued("a/c"), history.issued("a/d")) == (2, 1, 0)
    history.record(second, answer(second, second.nonce), b"{}")
    history.record_failure(other, "no reply")
    assert told == [("a/b", 2, False), ("a/c", 1, True)]
    history.fail_unanswered("at the end")
    assert told[-1] == ("a/b", first.number, True)
