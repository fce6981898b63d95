"""A reply is believed only when it is whole."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstalk.reply import InvalidReply, Reply, parse

WHOLE: dict[str, Any] = {
    "strategy": "local",
    "found": {"first": None, "second": None},
    "checkpoints": [
        {"after": "sleep", "read": {"first": "n", "second": "n"}, "error": None, "switches": 2},
        {"after": "lock", "read": {"first": None, "second": None}, "error": "KeyError: 'x'", "switches": 0},
    ],
    "greenlet": 140,
    "thread": 7,
    "pid": 7,
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


@pytest.mark.parametrize("key", WHOLE)
@pytest.mark.parametrize("value", ["absent", None, {"first": 1}, [1], "text", True])
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
