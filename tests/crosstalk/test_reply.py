"""A reply is believed only when it is whole."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstalk.reply import InvalidReply, Reply, doomed, join, parse

WHOLE: dict[str, Any] = {
    "strategy": "local",
    "found": {"first": None, "second": None},
    "began": 1,
    "wrote": [1.5, 2.25],
    "checkpoints": [
        {"after": "sleep", "read": {"first": "n", "second": "n"}, "error": None, "switches": 2, "at": 3.5},
        {
            "after": "lock",
            "read": {"first": None, "second": None},
            "error": "KeyError: 'x'",
            "switches": 0,
            "at": 4,
        },
    ],
    "greenlet": 140,
    "thread": 7,
    "pid": 7,
    "process": "here/7/ab",
    "in_flight": 3,
    "switches": 2,
}


def parsed(document: object) -> Reply:
    return parse(json.dumps(document).encode(), strategy="local", hops=2)


def test_a_whole_reply_is_read() -> None:
    reply = parsed(WHOLE)
    assert reply.checkpoints[0].read == {"first": "n", "second": "n"}
    assert reply.checkpoints[1].error == "KeyError: 'x'"
    assert (reply.in_flight, reply.switches, reply.thread) == (3, 2, 7)
    assert (reply.began, reply.wrote, reply.checkpoints[1].at) == (1.0, (1.5, 2.25), 4.0)
    assert (reply.process, reply.hazard, reply.channel) == ("here/7/ab", None, None)


def test_a_hazards_reply_names_it_and_its_channel() -> None:
    body = json.dumps(WHOLE | {"hazard": "poisoned", "channel": "3"}).encode()
    reply = parse(body, strategy="local", hops=2, hazard="poisoned")
    assert (reply.hazard, reply.channel) == ("poisoned", "3")
    with pytest.raises(InvalidReply, match="asked for the hazard None, answered for 'poisoned'"):
        parse(body, strategy="local", hops=2)
    with pytest.raises(InvalidReply, match="'channel' is no str"):
        parse(json.dumps(WHOLE | {"channel": 3}).encode(), strategy="local", hops=2)


@pytest.mark.parametrize("key", WHOLE)
@pytest.mark.parametrize("value", ["absent", None, {"first": 1}, [1], [], True, float("nan")])
def test_a_reply_that_lacks_something_or_has_it_in_another_shape_is_invalid(key: str, value: Any) -> None:
    document = copy.deepcopy(WHOLE)
    if value == "absent":
        del document[key]
    else:
        document[key] = value
    with pytest.raises(InvalidReply):
        parsed(document)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("after", None),
        ("read", {"first": 3, "second": 3}),
        ("error", 3),
        ("switches", "2"),
        ("read", None),
        ("read", {}),
        ("read", {"first": "n"}),
        ("at", None),
        ("at", True),
        ("at", float("inf")),
    ],
)
def test_a_broken_checkpoint_makes_the_reply_invalid(key: str, value: Any) -> None:
    document = copy.deepcopy(WHOLE)
    document["checkpoints"][1][key] = value
    with pytest.raises(InvalidReply):
        parsed(document)


@pytest.mark.parametrize("found", [{}, {"first": None}])
def test_who_did_not_look_at_both_fields_found_nothing_out(found: dict[str, None]) -> None:
    with pytest.raises(InvalidReply, match="fewer than two fields"):
        parsed(WHOLE | {"found": found})


def test_json_that_is_nested_too_deeply_is_invalid() -> None:
    with pytest.raises(InvalidReply, match="not JSON"):
        parse(b"[" * 100_000, strategy="local", hops=2)


def test_a_reply_to_another_probe_is_invalid() -> None:
    body = json.dumps(WHOLE).encode()
    with pytest.raises(InvalidReply, match="answered for 'local'"):
        parse(body, strategy="context", hops=2)
    with pytest.raises(InvalidReply, match="asked for 3 checkpoints, got 2"):
        parse(body, strategy="local", hops=3)


@given(st.binary(max_size=50) | st.text(max_size=50).map(str.encode))
def test_garbage_is_invalid_and_nothing_worse(body: bytes) -> None:
    with pytest.raises(InvalidReply):
        parse(body, strategy="local", hops=2)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_any_other_json_is_invalid_and_nothing_worse(document: object) -> None:
    with pytest.raises(InvalidReply):
        parsed(document)


def test_a_reply_is_utf_8_without_a_mark() -> None:
    """What is kept of it in the history is the bytes as they came."""
    for encoding in ("utf-16", "utf-32", "utf-8-sig"):
        with pytest.raises(InvalidReply, match="not JSON"):
            parse(json.dumps(WHOLE).encode(encoding), strategy="local", hops=2)


def test_a_streamed_reply_is_joined() -> None:
    lines = [json.dumps(each) for each in WHOLE["checkpoints"]] + [json.dumps(WHOLE | {"checkpoints": []})]
    assert parse(join("\n".join(lines).encode() + b"\n"), strategy="local", hops=2) == parsed(WHOLE)


@pytest.mark.parametrize(
    "stream", [b"", b"{}", b"[]\n", b'{"checkpoints": [1]}', b"{\n}", b'{"after": "x"}\n']
)
def test_a_stream_that_breaks_off_is_invalid(stream: bytes) -> None:
    with pytest.raises(InvalidReply):
        join(stream)


@pytest.mark.parametrize(("fate", "status"), [("raise", 500), ("kill", 503), ("cancel", 503)])
def test_a_doomed_request_ends_as_it_announced(fate: str, status: int) -> None:
    body = json.dumps({"doomed": fate}).encode()
    assert doomed(status, body, fate) is None
    assert doomed(200, body, fate) == f"announced {fate!r}, but ended with status 200"
    assert "the server did not say so" in (doomed(status, b'{"doomed": "x"}', fate) or "")
    assert "not JSON" in (doomed(status, b"busy", fate) or "")
