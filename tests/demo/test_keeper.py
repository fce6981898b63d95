"""A keeper: what it finds, what it calls its place, and how what it read back is judged."""

import pytest

from greenlane.demo.keeper import FIELDS, Keeper, Reading, judge


class Kept(Keeper):
    """Keeps both fields in a dict, and something besides."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}

    def write(self, field: str, value: str) -> None:
        self.fields[field] = value

    def read(self) -> Reading:
        return {"cookie": "c", **{field: self.fields.get(field) for field in FIELDS}}

    def release(self) -> None:
        self.fields.clear()


def test_what_it_finds_are_the_fields_alone() -> None:
    """A carrier brings the request's own nonce, which nobody has left."""
    keeper = Kept()
    assert keeper.found() == {"first": None, "second": None}
    keeper.write("second", "a")
    assert keeper.found() == {"first": None, "second": "a"}


def test_it_need_not_have_a_name_for_its_place() -> None:
    assert Kept().place() is None


@pytest.mark.parametrize(
    ("reading", "judged"),
    [
        ({"first": "a", "second": "a"}, "own"),
        ({"first": "b", "second": "b"}, "foreign"),
        ({"first": "a", "second": "b"}, "torn"),
        ({"first": "a", "second": None}, "torn"),
        ({"first": "b", "second": "c"}, "torn"),
        ({"first": None, "second": None}, "missing"),
        ({"first": "a", "second": "a", "cookie": "b"}, "torn"),
    ],
)
def test_what_was_read_back_is_judged_as_a_whole(reading: Reading, judged: str) -> None:
    assert judge(reading, "a") == judged
