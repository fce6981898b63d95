"""The journey of a request, as the document shows it, is what really happens."""

from pathlib import Path

import pytest

from greenlane.demo import journey

DOCS = Path(__file__).parents[2] / "docs"


def test_the_document_holds_what_the_storages_held() -> None:
    """B13, B35, B57: printed by a real server; `make pictures` renews it."""
    steps = journey.travel()
    document = (DOCS / "how-a-request-travels.md").read_text()
    assert journey.with_table(document, journey.as_markdown(steps)) == document
    assert "B: [/bob]" in journey.as_markdown(steps), "no second lane: nothing overlapped"


def test_a_document_without_the_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="printed by make pictures"):
        journey.with_table("# no marks\n", "table")


def test_the_picture_loads_nothing_from_elsewhere() -> None:
    picture = journey.as_svg([journey.Step("it waits", "view", "{A: [/ada]}", "{}")])
    assert "{A:" in picture.replace("&#160;", " ")
    assert "@font-face" not in picture
    assert "url(http" not in picture
