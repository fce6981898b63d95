"""The arrows: from the write, or the release, to the read that met it."""

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

if TYPE_CHECKING:
    from tests.e2e.page.timeline.conftest import Draw, Samples


def test_the_arrow_leads_from_the_write_to_the_read_that_got_it(
    page: Page, draw: "Draw", samples: "Samples"
) -> None:
    drawn = samples["foreign"]
    figure = draw(page, drawn)
    arrows = figure.find(".arrow")
    assert [arrows.nth(n).get_attribute("data-field") for n in range(2)] == ["first", "second"]
    assert [arrows.nth(n).get_attribute("data-from") for n in range(2)] == ["B", "B"]
    circle = figure.find(".mark.heart circle")
    x = figure.scale()
    for n, field in enumerate(("first", "second")):
        path = figure.path(f".arrow >> nth={n} >> path >> nth=0")
        assert path[0] == pytest.approx(x(figure.at(1, "wrote", field)), abs=0.1)
        assert path[-2] == pytest.approx(x(figure.at(0, "read", 1)), abs=0.1)
    head = figure.find(".arrow .head").first.bounding_box()
    end = circle.bounding_box()
    assert head
    assert end
    assert 0 <= head["y"] - (end["y"] + end["height"]) < 4  # just below the read


def test_nobody_reads_what_is_written_later(page: Page, draw: "Draw", samples: "Samples") -> None:
    drawn = samples["foreign"]
    before = draw(page, drawn).find(".arrow path").first.get_attribute("d")
    drawn["lanes"][1]["events"].insert(-1, [drawn["lanes"][1]["events"][-1][0], "wrote", "first"])
    assert draw(page, drawn).find(".arrow path").first.get_attribute("d") == before


def test_a_torn_read_has_an_arrow_for_the_other_ones_field_alone(
    page: Page, draw: "Draw", samples: "Samples"
) -> None:
    figure = draw(page, samples["torn"])
    assert figure.find(".arrow").count() == 1
    assert figure.find(".arrow").get_attribute("data-field") == "first"
    expect(figure.find(".mark.heart.torn")).to_contain_text("reads first B's, second its own")


def test_what_was_found_before_writing_leads_back_to_a_lane_that_had_ended(
    page: Page, draw: "Draw", samples: "Samples"
) -> None:
    figure = draw(page, samples["stale"])
    expect(figure.find(".mark.heart.stale")).to_contain_text("finds B's data")
    assert figure.find(".arrow").count() == 2


def test_a_release_leads_to_the_read_that_found_nothing(page: Page, draw: "Draw", samples: "Samples") -> None:
    drawn = samples["foreign"]
    a, b = drawn["lanes"] = drawn["lanes"][:2]
    nothing = {"first": None, "second": None}
    a["events"] = [[0, "began", nothing], [1, "wrote", "first"], [2, "away"], [6, "back"]]
    a["events"] += [[7, "read", 1, nothing, None], [8, "ended"]]
    b["events"] = [[3, "began", {"first": a["nonce"], "second": None}], [3.2, "wrote", "first"]]
    b["events"] += [[3.3, "away"], [3.4, "back"], [3.5, "wrote", "second"], [4, "released"], [5, "ended"]]
    figure = draw(page, drawn, all_of_it=True)
    x = figure.scale()
    path = figure.path(".arrow path >> nth=0")
    assert figure.find(".arrow").count() == 1
    assert figure.find(".arrow").get_attribute("data-from") == "B"
    assert [path[0], path[-2]] == pytest.approx([x(4), x(7)], abs=0.1)
    expect(figure.find(".mark.released")).to_contain_text("releases")
    expect(figure.find(".mark.heart.missing")).to_contain_text("reads nothing")
    # From the release on there is nothing.
    assert figure.owners("the one object") == ["A", "B", "B?", "B"]
    rights = [right for _left, right in figure.edges(".segment rect:first-child")]
    assert rights[2:] == pytest.approx([x(4), x(4)], abs=0.1)
    events = draw(page, drawn).saved_trace()["traceEvents"]
    assert [(e["name"], e["tid"]) for e in events if e["ph"] in "sf"] == [("release", 2), ("release", 1)]
    # One that had just read nothing has emptied nothing.
    b["events"].insert(-2, [3.9, "read", 1, nothing, None])
    assert draw(page, drawn).find(".arrow").count() == 0


def test_without_a_name_for_the_place_the_arrow_is_all(page: Page, draw: "Draw", samples: "Samples") -> None:
    drawn = samples["foreign"]
    for lane in drawn["lanes"]:
        lane["keeps"] = None
    figure = draw(page, drawn)
    assert figure.find("[data-place]").count() == 0
    assert figure.find(".arrow").count() == 2
