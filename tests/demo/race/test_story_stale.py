"""The stories of what a request found before it had written anything: whose it was, and why it was there.

Each step of a scene takes a millisecond, the first one ends at 1.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.demo.race.conftest import Scene

SHARED = "shared-object"
MILLISECOND = 0.001


def test_on_one_greenlet_it_is_left_by_the_request_before(scene: "Scene") -> None:
    a = scene.request("a", "gevent-local").began().wrote().read().ended()
    b = scene.request("b", "gevent-local", a.connection).began()
    story = b.wrote().read().story("stale")
    place = a.lane.greenlet
    assert story.said == (
        f"Before b had written anything, it found the nonce of a in {place}. "
        f"Both ran on {place}, one after the other, and nothing released it between them."
    )
    assert (story.shown, story.checkpoint) == (["b", "a"], 0)


def test_of_one_that_has_ended_it_is_said_when(scene: "Scene") -> None:
    scene.request("a", SHARED).began().wrote().ended()  # 1, 2, 3, 4
    scene.now += 2.5 * MILLISECOND
    story = scene.request("b", SHARED).began().story("stale")  # 7.5
    assert story.said == (
        "Before b had written anything, it found the nonce of a in its lane. "
        "That one had ended 3.50 ms before, and nothing had released its data."
    )


def test_of_one_that_is_at_work_it_is_said_although_it_ends_later(scene: "Scene") -> None:
    a = scene.request("a", SHARED).began().wrote()
    b = scene.request("b", SHARED).began().wrote()
    a.ended()
    story = b.story("stale")
    assert story.said == (
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
    assert story.said == (
        f"Before {reader.nonce} had written anything, it found the nonce of {other.nonce} in its lane. "
        f"That one's greenlet was gone, and the reader's has the same address, {reader.greenlet}: "
        "so it has the same id."
    )


def test_what_nobody_in_the_race_wrote_was_there_before_it(scene: "Scene") -> None:
    scene.keepers[SHARED].write("first", "stranger")
    story = scene.request("a", SHARED).began().story("stale")
    assert story.said == (
        "Before a had written anything, it found a nonce in its lane that nobody in this race wrote."
    )
    assert (story.shown, story.checkpoint) == (["a"], 0)
