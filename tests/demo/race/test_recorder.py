"""The recorder: whose switches it counts, what it holds and for how long, and what can be asked of it."""

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import greenlet
import pytest

from greenlane.demo.keeper import FIELDS, Reading
from greenlane.demo.naming import greenlet_name
from greenlane.demo.race.recorder import MOST_SWITCHES, Recorder

if TYPE_CHECKING:
    from tests.demo.race.conftest import Scene


def test_what_traced_switches_before_does_so_again() -> None:
    def former(*_: Any) -> None:
        pass

    greenlet.settrace(former)
    try:
        with suppress(ZeroDivisionError), Recorder("shared-object").recording():
            assert greenlet.gettrace() is not former
            raise ZeroDivisionError
        assert greenlet.gettrace() is former
    finally:
        greenlet.settrace(None)
    with Recorder("shared-object").recording():
        assert greenlet.gettrace() is not None
    assert greenlet.gettrace() is None


def test_greenlets_of_one_address_are_told_apart(scene: "Scene") -> None:
    by_address: dict[str, set[int]] = {}
    for number in range(1_000):
        request = scene.request(str(number), "local").began().ended()
        by_address.setdefault(request.lane.greenlet, set()).add(request.lane.served_by)
        request.connection.close()
        if any(len(numbers) > 1 for numbers in by_address.values()):
            break
        del request
    assert max(len(numbers) for numbers in by_address.values()) == 2


def test_what_ended_is_not_held(scene: "Scene") -> None:
    """A greenlet that is kept would keep its stack, and its Locals' entries, as long as the race."""
    request = scene.request("a", "local").began().wrote().ended()
    assert greenlet_name(request.connection.greenlet) == request.lane.greenlet
    request.connection.close()
    assert len(scene.recorder._greenlets) == len(scene.recorder._of_probes) == 1
    del request
    assert len(scene.recorder._greenlets) == len(scene.recorder._of_probes) == 0
    assert not scene.recorder._running


def test_so_many_switches_are_recorded_and_no_more(scene: "Scene") -> None:
    a = scene.request("a", "local").began()
    for _ in range(MOST_SWITCHES):
        a.connection.do(lambda: None)
    a.wrote().read().ended()
    assert a.lane.switches == MOST_SWITCHES
    assert Counter(event[1] for event in a.lane.events) == {
        "began": 1,
        "away": MOST_SWITCHES // 2 + 1,
        "back": MOST_SWITCHES // 2,
        "wrote": 2,
        "read": 1,
        "ended": 1,
    }


def test_switches_before_the_beginning_and_after_the_end_are_nobodys(scene: "Scene") -> None:
    a = scene.request("a", "local")
    a.connection.do(lambda: None)
    a.began().ended()
    a.connection.do(lambda: None)
    assert [event[1] for event in a.lane.events] == ["began", "away", "back", "ended"]


def test_the_time_begins_with_the_race(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder("shared-object")
    assert recorder.elapsed() == 0.0
    now = 50.0
    monkeypatch.setattr("greenlane.demo.race.recorder.monotonic", lambda: now)
    recorder.start()
    assert recorder.elapsed() == 0.0
    now = 52.5
    assert recorder.elapsed() == 2.5


def test_who_wrote_and_released_is_known_by_cell_and_time(scene: "Scene") -> None:
    a = scene.request("a", "local").began().wrote()  # 1, 2, 3
    b = scene.request("b", "local").began().wrote("first")  # 4, 5
    other = scene.request("c", "shared-object").began().wrote().released()  # 6, 7, 8, 9
    b.released()  # 10
    cell = "shared-object/local"

    def writers(after: float, before: float) -> list[str]:
        return [lane.nonce for lane in scene.recorder.writers(cell, after, before)]

    assert writers(0, 100) == ["a", "a", "b"]
    wrote = a.lane.at("wrote")
    assert writers(wrote[0], b.lane.at("wrote")[0]) == ["a"]
    assert writers(wrote[1], 100) == ["b"]
    assert writers(100, 200) == []
    assert scene.recorder.releasers(cell, 0, 100) == [b.lane]
    assert scene.recorder.releasers(cell, 0, b.lane.at("released")[0]) == []
    assert scene.recorder.releasers(other.lane.cell, 0, 100) == [other.lane]
    assert scene.recorder.writers("shared-object/none", 0, 100) == []


def test_before_a_time_is_not_at_it(scene: "Scene") -> None:
    a = scene.request("a", "local").began().wrote()
    first, second = a.lane.at("wrote")
    assert a.lane.at("wrote", before=first) == []
    assert a.lane.at("wrote", before=second) == [first]
    assert a.lane.at("wrote", before=second + 0.5) == [first, second]


def test_who_wrote_a_nonce_is_known_from_then_on(scene: "Scene") -> None:
    a = scene.request("a", "local").began().wrote("first")
    (moment,) = a.lane.at("wrote")
    assert scene.recorder.writer("a", None, moment) is a.lane
    assert scene.recorder.writer("a", None, moment - 0.5) is None
    assert scene.recorder.writer("b", None, moment) is None
    assert scene.recorder.lane("b") is None


def test_of_two_with_one_nonce_the_one_in_the_same_place_is_meant(scene: "Scene") -> None:
    scene.request("a", "shared-object").began().wrote()
    scene.request("a", "local").began().wrote()
    here, elsewhere = scene.recorder._lanes["a"]
    assert scene.recorder.writer("a", here.keeps, 100) is here
    assert scene.recorder.writer("a", elsewhere.keeps, 100) is elsewhere
    assert scene.recorder.writer("a", "nowhere", 100) is elsewhere  # the last


def test_an_error_is_kept_as_one_line(scene: "Scene") -> None:
    a = scene.request("a", "local").began()
    empty: Reading = dict.fromkeys(FIELDS)
    scene.recorder.read(a.probe, empty, "ValueError: one\ntwo")
    assert a.lane.events[-1][2:] == (1, empty, "ValueError: one")


def test_a_release_of_one_that_never_began_is_nobodys(scene: "Scene") -> None:
    request = scene.request("a", "local")
    scene.recorder.released(request.probe)
    assert scene.recorder.lane("a") is None


def test_the_document_is_what_the_page_gets(scene: "Scene") -> None:
    lane = scene.request("a", "shared-object").began().wrote("first").lane
    assert lane.as_document() == {
        "id": 1,
        "cell": "shared-object/shared-object",
        "nonce": "a",
        "greenlet": lane.greenlet,
        "keeps": "the one object",
        "events": lane.events,
    }
