"""The stories of requests that read their own, or that nobody judged: what they show, and what not."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.demo.race.conftest import Scene

SHARED = "shared-object"


def test_the_own_nonce_is_read_because_the_others_wrote_elsewhere(scene: "Scene") -> None:
    a = scene.request("a", "local").began().wrote()
    b = scene.request("b", "local").began().wrote()
    story = a.read().story("own")
    assert story.said == (
        f"At 3.00 ms a had written its nonce into {a.lane.greenlet}, and switched away at 3.00 ms. "
        f"Meanwhile b wrote its own into {b.lane.greenlet}. Back again at 7.00 ms, a read its own nonce: "
        "each greenlet's ident leads to a place of its own."
    )
    assert (story.shown, story.checkpoint) == (["a", "b"], 1)


@pytest.mark.parametrize("judged", ["doomed", "failed"])
def test_what_was_read_is_told_although_nobody_has_judged_it(scene: "Scene", judged: str) -> None:
    """A client that goes away, or that gets no reply, judges nothing: the request read what it read."""
    a = scene.request("a", SHARED).began().wrote()
    scene.request("b", SHARED).began().wrote()
    story = a.read().story(judged)
    assert story.said.endswith("a read the nonce of b as its own.")
    assert (story.shown, story.checkpoint) == (["a", "b"], 1)


def test_a_doomed_request_that_read_its_own_is_said_to_have(scene: "Scene") -> None:
    a = scene.request("a", "local").began().wrote()
    scene.request("b", "local").began().wrote()
    assert "a read its own nonce" in a.read().story("doomed").said


def test_alone_it_shows_nothing(scene: "Scene") -> None:
    story = scene.request("a", SHARED).began().wrote().read().story("own")
    assert story.said.endswith(
        "Nobody else wrote until it read its own nonce, at 4.00 ms: that shows nothing."
    )
    assert story.shown == ["a"]


def test_others_who_wrote_before_or_after_show_nothing(scene: "Scene") -> None:
    scene.request("b", "local").began().wrote()
    a = scene.request("a", "local").began().wrote().read()
    scene.request("c", "local").began().wrote()
    assert "that shows nothing" in a.story("own").said


def test_another_cell_is_another_matter(scene: "Scene") -> None:
    """Two strategies that race side by side share nothing."""
    a = scene.request("a", SHARED).began().wrote()
    scene.request("b", "local").began().wrote()
    assert a.read().story("own").shown == ["a"]


@pytest.mark.parametrize("judged", ["own", "failed", "doomed"])
def test_who_never_read_has_no_more_to_tell(scene: "Scene", judged: str) -> None:
    story = scene.request("a", SHARED).began().wrote("first").story(judged)
    assert story.said == "a ended before it could read anything back."
    assert (story.shown, story.checkpoint) == (["a"], 0)
