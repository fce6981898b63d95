"""What is kept of a race: its numbers, and a few stories, in words."""

from typing import TYPE_CHECKING

import pytest
from werkzeug.datastructures import ImmutableMultiDict

from greenlane.demo.race.results import STORIES, Results
from greenlane.demo.race.settings import DEFAULTS, Settings

if TYPE_CHECKING:
    from tests.demo.race.conftest import Requested, Scene

SHARED = "shared-object"
CELL = f"{SHARED}/{SHARED}"


@pytest.fixture
def results() -> Results:
    return Results(Settings.of(ImmutableMultiDict(DEFAULTS)))


def add(results: Results, request: "Requested", number: int, judged: str) -> None:
    line = {"cell": request.lane.cell, "nonce": request.probe.nonce, "number": number, "judged": judged}
    results.add(line, request.story(judged))


def mixed_up(scene: "Scene", nonce: str) -> "Requested":
    """A request that reads the nonce of another, whose name is this one's and ``-other``."""
    request = scene.request(nonce, SHARED).began().wrote()
    scene.request(f"{nonce}-other", SHARED).began().wrote()
    return request.read()


def test_requests_are_called_by_their_numbers(scene: "Scene", results: Results) -> None:
    request = mixed_up(scene, "a")
    add(results, request, 17, "foreign")
    other = "At 6.00 ms another request wrote its own into the same place."
    (sentence,) = results.sentences(CELL)
    assert sentence == (
        "At 3.00 ms request 17 had written its nonce into the one object, and switched away at 3.00 ms. "
        f"{other} Back again at 7.00 ms, request 17 read the nonce of another request as its own."
    )
    results.add({"cell": CELL, "nonce": "a-other", "number": 9, "judged": "own"}, None)
    (sentence,) = results.sentences(CELL)
    assert "request 17 read the nonce of request 9 as its own." in sentence
    assert "another" not in sentence


def test_no_more_stories_are_kept_than_are_shown_and_the_first_ones(scene: "Scene", results: Results) -> None:
    for number in range(1, STORIES + 3):
        add(results, mixed_up(scene, f"n{number}"), number, "foreign")
    sentences = results.sentences(CELL)
    assert len(sentences) == STORIES
    for number, sentence in enumerate(sentences, 1):
        assert f"request {number} read the nonce" in sentence


@pytest.mark.parametrize(
    ("judged", "kept"),
    [("foreign", 1), ("torn", 1), ("stale", 1), ("missing", 0), ("own", 0), ("failed", 0), ("doomed", 0)],
)
def test_stories_of_cross_talk_are_kept(scene: "Scene", results: Results, judged: str, kept: int) -> None:
    add(results, mixed_up(scene, "a"), 1, judged)
    assert len(results.sentences(CELL)) == kept


def test_of_a_cell_that_nobody_raced_there_is_nothing_to_say(results: Results) -> None:
    assert results.sentences("shared-object/local") == []
    assert results.end is None
