"""The stories of requests: which lanes are shown, and what is said of what they did.

Each step of a scene takes a millisecond, the first one ends at 1.
"""

import random
import re
from functools import partial
from typing import TYPE_CHECKING

import pytest

from greenlane.demo.keeper import FIELDS, Keeper, Reading
from greenlane.demo.race.recorder import Lane
from greenlane.demo.race.story import MOST_LANES, Story

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.demo.race.conftest import Requested, Scene

SHARED = "shared-object"
MILLISECOND = 0.001


def said(story: Story) -> str:
    """The words, with its nonce for each request."""
    return "".join(word.nonce if isinstance(word, Lane) else word for word in story.words)


def shown(story: Story) -> list[str]:
    return [lane.nonce for lane in story.lanes]


class Nowhere(Keeper):
    """Keeps one value for all, in a place that has no name; reading it may fail."""

    def __init__(self) -> None:
        self.kept: Reading = dict.fromkeys(FIELDS)
        self.error: Exception | None = None

    def write(self, field: str, value: str) -> None:
        self.kept[field] = value

    def read(self) -> Reading:
        if self.error is not None:
            raise self.error
        return dict(self.kept)

    def release(self) -> None:
        self.kept = dict.fromkeys(FIELDS)


# Foreign and torn


def test_a_foreign_read_is_told_from_the_write_that_was_lost_to_the_read(scene: "Scene") -> None:
    a = scene.request("a", SHARED).began().wrote()  # 1, 2, 3
    scene.request("b", SHARED).began().wrote()  # 4, 5, 6
    story = a.read().story("foreign")  # 7
    assert said(story) == (
        "At 3.00 ms a had written its nonce into the one object, and switched away at 3.00 ms. "
        "At 6.00 ms b wrote its own into the same place. "
        "Back again at 7.00 ms, a read the nonce of b as its own."
    )
    assert (shown(story), story.checkpoint) == (["a", "b"], 1)


def test_a_torn_read_says_whose_each_field_is(scene: "Scene") -> None:
    a = scene.request("a", SHARED).began().wrote()
    scene.request("b", SHARED).began().wrote("first")
    story = a.read().story("torn")
    assert said(story).endswith("a read fields that do not belong together: first is of b, second is of a.")
    assert shown(story) == ["a", "b"]


def test_a_write_between_the_own_two_is_told_in_its_turn(scene: "Scene") -> None:
    a = scene.request("a", SHARED).began().wrote("first")  # 1, 2
    scene.request("b", SHARED).began().wrote("first")  # 3, 4
    story = a.wrote("second").read().story("torn")  # 5, 6
    assert said(story) == (
        "At 2.00 ms a had begun to write its nonce into the one object, and switched away at 2.00 ms. "
        "At 4.00 ms b wrote its own into the same place. At 5.00 ms a had written all of its nonce. "
        "Back again at 6.00 ms, a read fields that do not belong together: first is of b, second is of a."
    )


def test_a_torn_read_may_be_of_two_others_and_no_more_lanes_are_shown(scene: "Scene") -> None:
    a = scene.request("a", SHARED).began().wrote()
    scene.request("d", SHARED).began().wrote()  # the one who overwrote: no room for it
    scene.request("c", SHARED).began().wrote("second")
    scene.request("b", SHARED).began().wrote("first")
    story = a.read().story("torn")
    assert said(story).endswith("do not belong together: first is of b, second is of c.")
    assert shown(story) == ["a", "b", "c"]
    assert len(story.lanes) == MOST_LANES


def test_a_field_that_is_gone_is_said_to_be(scene: "Scene") -> None:
    a = scene.request("a", SHARED).began().wrote()
    scene.request("b", SHARED).began().released().wrote("second")
    assert said(a.read().story("torn")).endswith(": first is gone, second is of b.")


def test_who_overwrote_first_is_shown_besides_who_was_read(scene: "Scene") -> None:
    a = scene.request("a", SHARED).began().wrote()
    scene.request("b", SHARED).began().wrote()
    scene.request("c", SHARED).began().wrote()
    scene.request("d", SHARED).began().wrote()
    story = a.read().story("foreign")
    assert shown(story) == ["a", "d", "b"]
    assert said(story).endswith(
        "At 6.00 ms b wrote its own into the same place. "
        "At 12.00 ms d wrote its own into the same place. "
        "Back again at 13.00 ms, a read the nonce of d as its own."
    )


def test_who_writes_into_another_place_overwrites_nothing(scene: "Scene") -> None:
    a = scene.request("a", "gevent-local").began().wrote()
    scene.request("b", "gevent-local").began().wrote()
    a.connection.do(lambda: scene.keepers["gevent-local"].write("first", "stranger"))
    assert shown(a.read().story("torn")) == ["a"]


def test_who_has_not_written_may_read_what_is_not_its_own(scene: "Scene") -> None:
    first = scene.request("a", "gevent-local").began().wrote().ended()
    reader = scene.request("b", "gevent-local", first.connection).began()
    scene.request("c", "gevent-local").began().wrote()
    story = reader.read().story("foreign")
    assert shown(story) == ["b", "a"]
    assert said(story) == (
        f"b had written nothing yet. At 3.00 ms a wrote its own into {first.lane.greenlet}. "
        "Back again at 9.00 ms, b read the nonce of a as its own."
    )


def test_a_nonce_that_nobody_in_the_race_wrote_is_said_to_be(scene: "Scene") -> None:
    a = scene.request("a", SHARED).began().wrote()
    for field in FIELDS:
        scene.keepers[SHARED].write(field, "stranger")
    story = a.read().story("foreign")
    assert said(story).endswith("Back again at 4.00 ms, a read a nonce that nobody in this race wrote.")
    assert shown(story) == ["a"]


def test_a_field_of_nobody_in_the_race_is_said_to_be(scene: "Scene") -> None:
    a = scene.request("a", SHARED).began().wrote()
    scene.keepers[SHARED].write("first", "stranger")
    assert ": first is nobody's in this race, second is of a." in said(a.read().story("torn"))


# Missing


def test_what_another_released_is_missing(scene: "Scene") -> None:
    b = scene.request("b", SHARED).began().wrote()  # 1, 2, 3
    a = scene.request("a", SHARED).began().wrote()  # 4, 5, 6
    b.released().ended()  # 7, 8
    story = a.read().story("missing")  # 9
    assert said(story) == (
        "At 6.00 ms a had written its nonce into the one object, and switched away at 6.00 ms. "
        "At 7.00 ms b ended, and released the same place. "
        "Back again at 9.00 ms, a found nothing where its own nonce should be."
    )
    assert shown(story) == ["a", "b"]


def test_the_first_one_who_released_is_told_of(scene: "Scene") -> None:
    """Those after it have emptied nothing."""
    others = [scene.request(nonce, SHARED).began().wrote() for nonce in "bcd"]
    a = scene.request("a", SHARED).began().wrote()
    for other in others:
        other.released().ended()
    assert shown(a.read().story("missing")) == ["a", "b"]


def test_a_release_before_somebody_wrote_again_is_not_told_of(scene: "Scene") -> None:
    b, c = (scene.request(nonce, SHARED).began().wrote() for nonce in "bc")
    a = scene.request("a", SHARED).began().wrote()
    b.released().ended()
    scene.request("d", SHARED).began().wrote()
    c.released().ended()
    assert shown(a.read().story("missing")) == ["a", "c"]


def test_who_released_before_it_wrote_is_not_told_of(scene: "Scene") -> None:
    scene.request("b", SHARED).began().wrote().released().ended()
    a = scene.request("a", SHARED).began().wrote()
    scene.keepers[SHARED].release()
    story = a.read().story("missing")
    assert said(story).endswith("Back again at 9.00 ms, a found nothing where its own nonce should be.")
    assert shown(story) == ["a"]


def test_who_released_another_place_is_not_told_of(scene: "Scene") -> None:
    b = scene.request("b", "local").began().wrote()
    a = scene.request("a", "local").began().wrote()
    b.released().ended()
    a.connection.do(scene.keepers["local"].release)
    assert shown(a.read().story("missing")) == ["a"]


def test_an_error_is_told_in_a_line(scene: "Scene") -> None:
    nowhere = scene.keepers["nowhere"] = Nowhere()
    a = scene.request("a", "nowhere").began().wrote()
    nowhere.error = LookupError("no lane\nand more of it")
    story = a.read().story("missing")
    assert said(story).endswith(
        "Back again at 4.00 ms, a met an error where its own nonce should be: LookupError: no lane."
    )


# Stale


def test_on_one_greenlet_it_is_left_by_the_request_before(scene: "Scene") -> None:
    a = scene.request("a", "gevent-local").began().wrote().read().ended()
    b = scene.request("b", "gevent-local", a.connection).began()
    story = b.wrote().read().story("stale")
    place = a.lane.greenlet
    assert said(story) == (
        f"Before b had written anything, it found the nonce of a in {place}. "
        f"Both ran on {place}, one after the other, and nothing released it between them."
    )
    assert (shown(story), story.checkpoint) == (["b", "a"], 0)


def test_of_one_that_has_ended_it_is_said_when(scene: "Scene") -> None:
    scene.request("a", SHARED).began().wrote().ended()  # 1, 2, 3, 4
    scene.now += 2.5 * MILLISECOND
    story = scene.request("b", SHARED).began().story("stale")  # 7.5
    assert said(story) == (
        "Before b had written anything, it found the nonce of a in its lane. "
        "That one had ended 3.50 ms before, and nothing had released its data."
    )


def test_of_one_that_is_at_work_it_is_said_although_it_ends_later(scene: "Scene") -> None:
    a = scene.request("a", SHARED).began().wrote()
    b = scene.request("b", SHARED).began().wrote()
    a.ended()
    story = b.story("stale")
    assert said(story) == (
        "Before b had written anything, it found the nonce of a in the one object. "
        "That one was still at work."
    )


def test_an_address_that_is_used_again_is_told_from_one_greenlet(scene: "Scene") -> None:
    """Sooner or later a greenlet lies where a dead one lay: its request finds that one's data."""
    heir = None
    for number in range(1_000):
        heir = scene.request(str(number), "id-reused").began()
        if any(heir.lane.events[0][2].values()):
            break
        heir.wrote().ended().connection.close()
        heir = None  # its greenlet goes, before the next one comes
    assert heir is not None
    story = heir.story("stale")
    reader, other = story.lanes
    assert reader.greenlet == other.greenlet
    assert said(story) == (
        f"Before {reader.nonce} had written anything, it found the nonce of {other.nonce} in its lane. "
        f"That one's greenlet was gone, and the reader's has the same address, {reader.greenlet}: "
        "so it has the same id."
    )


def test_what_nobody_in_the_race_wrote_was_there_before_it(scene: "Scene") -> None:
    scene.keepers[SHARED].write("first", "stranger")
    story = scene.request("a", SHARED).began().story("stale")
    assert said(story) == (
        "Before a had written anything, it found a nonce in its lane that nobody in this race wrote."
    )
    assert (shown(story), story.checkpoint) == (["a"], 0)


# Own


def test_the_own_nonce_is_read_because_the_others_wrote_elsewhere(scene: "Scene") -> None:
    a = scene.request("a", "local").began().wrote()
    b = scene.request("b", "local").began().wrote()
    story = a.read().story("own")
    assert said(story) == (
        f"At 3.00 ms a had written its nonce into {a.lane.greenlet}, and switched away at 3.00 ms. "
        f"Meanwhile b wrote its own into {b.lane.greenlet}. Back again at 7.00 ms, a read its own nonce: "
        "each greenlet's ident leads to a place of its own."
    )
    assert (shown(story), story.checkpoint) == (["a", "b"], 1)


def test_where_the_place_has_no_name_none_is_told(scene: "Scene") -> None:
    scene.keepers["nowhere"] = Nowhere()
    a = scene.request("a", "nowhere").began().wrote()
    scene.request("b", "nowhere").began().wrote()
    story = a.read().story("foreign")
    assert said(story) == (
        "At 3.00 ms a had written its nonce, and switched away at 3.00 ms. "
        "At 6.00 ms b wrote its own. Back again at 7.00 ms, a read the nonce of b as its own."
    )


@pytest.mark.parametrize("judged", ["doomed", "failed"])
def test_what_was_read_is_told_although_nobody_has_judged_it(scene: "Scene", judged: str) -> None:
    """A client that goes away, or that gets no reply, judges nothing: the request read what it read."""
    a = scene.request("a", SHARED).began().wrote()
    scene.request("b", SHARED).began().wrote()
    story = a.read().story(judged)
    assert said(story).endswith("a read the nonce of b as its own.")
    assert (shown(story), story.checkpoint) == (["a", "b"], 1)


def test_a_doomed_request_that_read_its_own_is_said_to_have(scene: "Scene") -> None:
    a = scene.request("a", "local").began().wrote()
    scene.request("b", "local").began().wrote()
    assert "a read its own nonce" in said(a.read().story("doomed"))


def test_alone_it_shows_nothing(scene: "Scene") -> None:
    story = scene.request("a", SHARED).began().wrote().read().story("own")
    assert said(story).endswith(
        "Nobody else wrote until it read its own nonce, at 4.00 ms: that shows nothing."
    )
    assert shown(story) == ["a"]


def test_others_who_wrote_before_or_after_show_nothing(scene: "Scene") -> None:
    scene.request("b", "local").began().wrote()
    a = scene.request("a", "local").began().wrote().read()
    scene.request("c", "local").began().wrote()
    assert "that shows nothing" in said(a.story("own"))


def test_another_cell_is_another_matter(scene: "Scene") -> None:
    """Two strategies that race side by side share nothing."""
    a = scene.request("a", SHARED).began().wrote()
    scene.request("b", "local").began().wrote()
    assert shown(a.read().story("own")) == ["a"]


@pytest.mark.parametrize("judged", ["own", "failed", "doomed"])
def test_who_never_read_has_no_more_to_tell(scene: "Scene", judged: str) -> None:
    story = scene.request("a", SHARED).began().wrote("first").story(judged)
    assert said(story) == "a ended before it could read anything back."
    assert (shown(story), story.checkpoint) == (["a"], 0)


# Which reading


def test_the_story_is_of_the_first_reading_that_shows_what_was_judged(scene: "Scene") -> None:
    a = scene.request("a", SHARED).began().wrote().read()  # 1: own
    b = scene.request("b", SHARED).began().wrote("first")
    a.read()  # 2: torn
    b.wrote("second")
    a.read().read()  # 3, 4: foreign
    b.released()
    a.read()  # 5: missing
    assert [a.story(judged).checkpoint for judged in ("torn", "foreign", "missing", "own")] == [2, 3, 5, 5]


def test_a_stale_find_is_told_only_of_who_was_judged_so(scene: "Scene") -> None:
    """Nearly everybody finds something in one object; that the data was overwritten says more."""
    scene.request("b", SHARED).began().wrote()
    a = scene.request("a", SHARED).began().wrote()
    scene.request("c", SHARED).began().wrote()
    a.read()
    assert a.story("foreign").checkpoint == 1
    assert a.story("stale").checkpoint == 0


# As the page gets it


def test_the_document_names_lanes_by_their_ids(scene: "Scene") -> None:
    a = scene.request("a", SHARED).began().wrote()
    b = scene.request("b", SHARED).began().wrote()
    document = a.read().story("foreign").as_document()
    assert document["lanes"] == [a.lane.id, b.lane.id]
    assert document["checkpoint"] == 1
    assert [word for word in document["words"] if isinstance(word, int)] == [1, 2, 1, 2]


@pytest.mark.parametrize("strategy", [SHARED, "local", "gevent-local", "thread-ident", "id-reused"])
def test_whatever_happens_a_story_holds_together(scene: "Scene", strategy: str) -> None:
    """In any order of the steps, and however each request is judged."""
    chance = random.Random(strategy)
    for number in range(60):
        for request in played(scene, strategy, chance, str(number)):
            holds_together(request)


def played(scene: "Scene", strategy: str, chance: random.Random, name: str) -> "list[Requested]":
    """Play two requests on each of three connections, in any order of their steps; some release."""
    firsts = [scene.request(f"{name}{letter}", strategy) for letter in "abc"]
    rows = [(first, scene.request(f"{first.probe.nonce}2", strategy, first.connection)) for first in firsts]
    steps = [[step for request in row for step in steps_of(request, chance)] for row in rows]
    while any(steps):
        chance.choice([row for row in steps if row]).pop(0)()
    return [request for row in rows for request in row]


def steps_of(request: "Requested", chance: random.Random) -> "list[Callable[[], Requested]]":
    writes = [partial(request.wrote, field) for field in FIELDS]
    released = [request.released] if chance.random() < 0.5 else []
    return [request.began, *writes, request.read, request.read, *released, request.ended]


def holds_together(request: "Requested") -> None:
    """Check what no story may be without, whatever the request met."""
    story = request.story(judged(request.lane))
    text = said(story)
    assert story.lanes[0] is request.lane
    assert len({lane.id for lane in story.lanes}) == len(story.lanes) <= MOST_LANES
    named = {word.id for word in story.words if isinstance(word, Lane)}
    assert named <= {lane.id for lane in story.lanes}
    assert story.checkpoint == 0 or len(named) == len(story.lanes)
    assert "-" not in text, "a time is negative"
    times = [float(time) for time in re.findall(r"\b[Aa]t (\d+\.\d\d) ms", text)]
    assert times == sorted(times), text
    assert "nobody in this race" not in text, "everybody was in it"
    assert 0 <= story.checkpoint <= request.lane.reads


def judged(lane: Lane) -> str:
    """Judge by the words of the lane, as the load test does by those of the reply: the worst counts."""
    found = next(event[2] for event in lane.events if event[1] == "began")
    met = {"stale"} if any(found.values()) else set()
    for values in (set(event[3].values()) for event in lane.events if event[1] == "read"):
        if len(values) > 1:
            met.add("torn")
        elif values == {None}:
            met.add("missing")
        elif values != {lane.nonce}:
            met.add("foreign")
    return next((word for word in ("foreign", "torn", "stale", "missing") if word in met), "own")
