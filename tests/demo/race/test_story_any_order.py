"""Whatever happens, a story holds together: requests are played in any order of their steps."""

import random
import re
from functools import partial
from typing import TYPE_CHECKING

import pytest

from greenlane.demo.keeper import FIELDS
from greenlane.demo.race.recorder import Lane
from greenlane.demo.race.story import MOST_LANES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.demo.race.conftest import Requested, Scene


@pytest.mark.parametrize("strategy", ["shared-object", "local", "gevent-local", "thread-ident", "id-reused"])
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
    text = story.said
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
