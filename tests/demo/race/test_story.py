"""The stories of reads that went wrong: which lanes are shown, and what is said of what they did.

Each step of a scene takes a millisecond, the first one ends at 1.
"""

from typing import TYPE_CHECKING

from greenlane.demo.keeper import FIELDS, Keeper, Reading
from greenlane.demo.race.story import MOST_LANES

if TYPE_CHECKING:
    from tests.demo.race.conftest import Scene

SHARED = "shared-object"


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


def test_a_foreign_read_is_told_from_the_write_that_was_lost_to_the_read(scene: "Scene") -> None:
    a = scene.request("a", SHARED).began().wrote()  # 1, 2, 3
    scene.request("b", SHARED).began().wrote()  # 4, 5, 6
    story = a.read().story("foreign")  # 7
    assert story.said == (
        "At 3.00 ms a had written its nonce into the one object, and switched away at 3.00 ms. "
        "At 6.00 ms b wrote its own into the same place. "
        "Back again at 7.00 ms, a read the nonce of b as its own."
    )
    assert (story.shown, story.checkpoint) == (["a", "b"], 1)


def test_a_torn_read_says_whose_each_field_is(scene: "Scene") -> None:
    a = scene.request("a", SHARED).began().wrote()
    scene.request("b", SHARED).began().wrote("first")
    story = a.read().story("torn")
    assert story.said.endswith("a read fields that do not belong together: first is of b, second is of a.")
    assert story.shown == ["a", "b"]


def test_a_write_between_the_own_two_is_told_in_its_turn(scene: "Scene") -> None:
    a = scene.request("a", SHARED).began().wrote("first")  # 1, 2
    scene.request("b", SHARED).began().wrote("first")  # 3, 4
    story = a.wrote("second").read().story("torn")  # 5, 6
    assert story.said == (
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
    assert story.said.endswith("do not belong together: first is of b, second is of c.")
    assert story.shown == ["a", "b", "c"]
    assert len(story.lanes) == MOST_LANES


def test_a_field_that_is_gone_is_said_to_be(scene: "Scene") -> None:
    a = scene.request("a", SHARED).began().wrote()
    scene.request("b", SHARED).began().released().wrote("second")
    assert a.read().story("torn").said.endswith(": first is gone, second is of b.")


def test_who_overwrote_first_is_shown_besides_who_was_read(scene: "Scene") -> None:
    a = scene.request("a", SHARED).began().wrote()
    scene.request("b", SHARED).began().wrote()
    scene.request("c", SHARED).began().wrote()
    scene.request("d", SHARED).began().wrote()
    story = a.read().story("foreign")
    assert story.shown == ["a", "d", "b"]
    assert story.said.endswith(
        "At 6.00 ms b wrote its own into the same place. "
        "At 12.00 ms d wrote its own into the same place. "
        "Back again at 13.00 ms, a read the nonce of d as its own."
    )


def test_who_writes_into_another_place_overwrites_nothing(scene: "Scene") -> None:
    a = scene.request("a", "gevent-local").began().wrote()
    scene.request("b", "gevent-local").began().wrote()
    a.connection.do(lambda: scene.keepers["gevent-local"].write("first", "stranger"))
    assert a.read().story("torn").shown == ["a"]


def test_who_has_not_written_may_read_what_is_not_its_own(scene: "Scene") -> None:
    first = scene.request("a", "gevent-local").began().wrote().ended()
    reader = scene.request("b", "gevent-local", first.connection).began()
    scene.request("c", "gevent-local").began().wrote()
    story = reader.read().story("foreign")
    assert story.shown == ["b", "a"]
    assert story.said == (
        f"b had written nothing yet. At 3.00 ms a wrote its own into {first.lane.greenlet}. "
        "Back again at 9.00 ms, b read the nonce of a as its own."
    )


def test_a_nonce_that_nobody_in_the_race_wrote_is_said_to_be(scene: "Scene") -> None:
    a = scene.request("a", SHARED).began().wrote()
    for field in FIELDS:
        scene.keepers[SHARED].write(field, "stranger")
    story = a.read().story("foreign")
    assert story.said.endswith("Back again at 4.00 ms, a read a nonce that nobody in this race wrote.")
    assert story.shown == ["a"]


def test_a_field_of_nobody_in_the_race_is_said_to_be(scene: "Scene") -> None:
    a = scene.request("a", SHARED).began().wrote()
    scene.keepers[SHARED].write("first", "stranger")
    assert ": first is nobody's in this race, second is of a." in a.read().story("torn").said


def test_where_the_place_has_no_name_none_is_told(scene: "Scene") -> None:
    scene.keepers["nowhere"] = Nowhere()
    a = scene.request("a", "nowhere").began().wrote()
    scene.request("b", "nowhere").began().wrote()
    story = a.read().story("foreign")
    assert story.said == (
        "At 3.00 ms a had written its nonce, and switched away at 3.00 ms. "
        "At 6.00 ms b wrote its own. Back again at 7.00 ms, a read the nonce of b as its own."
    )


def test_what_another_released_is_missing(scene: "Scene") -> None:
    b = scene.request("b", SHARED).began().wrote()  # 1, 2, 3
    a = scene.request("a", SHARED).began().wrote()  # 4, 5, 6
    b.released().ended()  # 7, 8
    story = a.read().story("missing")  # 9
    assert story.said == (
        "At 6.00 ms a had written its nonce into the one object, and switched away at 6.00 ms. "
        "At 7.00 ms b ended, and released the same place. "
        "Back again at 9.00 ms, a found nothing where its own nonce should be."
    )
    assert story.shown == ["a", "b"]


def test_the_first_one_who_released_is_told_of(scene: "Scene") -> None:
    """Those after it have emptied nothing."""
    others = [scene.request(nonce, SHARED).began().wrote() for nonce in "bcd"]
    a = scene.request("a", SHARED).began().wrote()
    for other in others:
        other.released().ended()
    assert a.read().story("missing").shown == ["a", "b"]


def test_a_release_before_somebody_wrote_again_is_not_told_of(scene: "Scene") -> None:
    b, c = (scene.request(nonce, SHARED).began().wrote() for nonce in "bc")
    a = scene.request("a", SHARED).began().wrote()
    b.released().ended()
    scene.request("d", SHARED).began().wrote()
    c.released().ended()
    assert a.read().story("missing").shown == ["a", "c"]


def test_who_released_before_it_wrote_is_not_told_of(scene: "Scene") -> None:
    scene.request("b", SHARED).began().wrote().released().ended()
    a = scene.request("a", SHARED).began().wrote()
    scene.keepers[SHARED].release()
    story = a.read().story("missing")
    assert story.said.endswith("Back again at 9.00 ms, a found nothing where its own nonce should be.")
    assert story.shown == ["a"]


def test_who_released_another_place_is_not_told_of(scene: "Scene") -> None:
    b = scene.request("b", "local").began().wrote()
    a = scene.request("a", "local").began().wrote()
    b.released().ended()
    a.connection.do(scene.keepers["local"].release)
    assert a.read().story("missing").shown == ["a"]


def test_an_error_is_told_in_a_line(scene: "Scene") -> None:
    nowhere = scene.keepers["nowhere"] = Nowhere()
    a = scene.request("a", "nowhere").began().wrote()
    nowhere.error = LookupError("no lane\nand more of it")
    story = a.read().story("missing")
    assert story.said.endswith(
        "Back again at 4.00 ms, a met an error where its own nonce should be: LookupError: no lane."
    )


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


def test_the_document_names_lanes_by_their_ids(scene: "Scene") -> None:
    a = scene.request("a", SHARED).began().wrote()
    b = scene.request("b", SHARED).began().wrote()
    document = a.read().story("foreign").as_document()
    assert document["lanes"] == [a.lane.id, b.lane.id]
    assert document["checkpoint"] == 1
    assert [word for word in document["words"] if isinstance(word, int)] == [1, 2, 1, 2]
