"""Everybody gets at all of it: in words, by keyboard and mouse, on a narrow screen, in forced colours."""

import re
from copy import deepcopy
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

if TYPE_CHECKING:
    from tests.e2e.page.conftest import Axe, Visit
    from tests.e2e.page.timeline.conftest import Draw, Samples

AWAY = '[data-lane="B"] .away'  # what is drawn of B while it is away


def test_the_words_tell_the_same_in_order(page: Page, draw: "Draw", samples: "Samples") -> None:
    drawn = samples["foreign"]
    figure = draw(page, drawn)
    expect(figure.find("figcaption")).to_contain_text("request 3 wrote into the same place")
    told = figure.words()
    times = [float(line.partition(" ")[0]) for line in told]
    assert times == sorted(times)
    assert times[0] == drawn["lanes"][2]["events"][0][0]  # C began first; the race's clock
    for line in (
        "A request 2 finds request 1's in first and nothing in second before it writes",
        "A request 2 overwrites first, which was request 1's",
        "A request 2 writes its nonce to second",
        "B request 3 writes its nonce to second",  # who knows what was there
        "A request 2 is switched back to",
        "A request 2 reads request 3's nonce at checkpoint 1",
    ):
        assert sum(line in item for item in told) >= 1, line
    # The read that it is about is marked as such, and no other.
    expect(figure.find("li.heart")).to_have_count(1)
    expect(figure.find("li.heart")).to_contain_text("reads request 3's nonce at checkpoint 1")


def test_what_else_a_strategy_reads_is_told_as_well(page: Page, draw: "Draw", samples: "Samples") -> None:
    drawn = samples["own"]
    reader = drawn["lanes"][0]
    read = next(event for event in reader["events"] if event[1] == "read")
    read[3] |= {"header": drawn["lanes"][1]["nonce"]}
    figure = draw(page, drawn)
    expect(figure.find("li.heart")).to_contain_text(
        "reads its own in first, second and request 2's in header"
    )


def test_past_a_dozen_the_words_are_folded(page: Page, draw: "Draw", samples: "Samples") -> None:
    drawn = samples["foreign"]
    expect(draw(page, drawn).find("ol")).to_be_hidden()
    brief = deepcopy(drawn)
    brief["lanes"] = brief["lanes"][:1]
    brief["lanes"][0]["events"] = brief["lanes"][0]["events"][:8]
    expect(draw(page, brief).find("ol")).to_be_visible()


def test_the_picture_has_a_role_a_name_and_a_description(
    page: Page, draw: "Draw", samples: "Samples"
) -> None:
    drawn = samples["foreign"]
    figure = draw(page, drawn)
    picture = figure.on_page.get_by_role("img")
    expect(picture).to_have_accessible_name("Timeline of request 2 and request 3 and request 1")
    expect(picture).to_have_accessible_description(
        re.compile(f"^{drawn['story']['sentence']}.*request 3 writes its nonce to second")
    )


def test_it_opens_at_what_matters_and_zooms_by_keyboard(page: Page, draw: "Draw", samples: "Samples") -> None:
    figure = draw(page, samples["foreign"])
    shown, region = figure.find("output"), figure.region
    before, first = shown.text_content(), figure.shown()[0]
    figure.button("Save for Perfetto").focus()
    page.keyboard.press("Shift+Tab")  # the picture stands before the buttons
    expect(region).to_be_focused()
    page.keyboard.press("+")
    expect(shown).not_to_have_text(before or "")
    half, whole = figure.shown()
    assert half == pytest.approx(first / 2, rel=0.01)
    moved = figure.path(AWAY)[0]
    page.keyboard.press("ArrowRight")
    # The view goes right, so that what is drawn goes left; back again it is as it was.
    assert figure.path(AWAY)[0] < moved
    page.keyboard.press("ArrowLeft")
    assert figure.path(AWAY)[0] == pytest.approx(moved, abs=0.01)
    page.keyboard.press("End")
    assert figure.shown() == [whole, whole]
    page.keyboard.press("-")  # there is no more
    assert figure.shown() == [whole, whole]
    page.keyboard.press("Home")
    expect(shown).to_have_text(before or "")


def test_it_zooms_and_moves_by_mouse(page: Page, draw: "Draw", samples: "Samples") -> None:
    figure = draw(page, samples["foreign"])
    first = figure.shown()[0]
    figure.button("Zoom in").click()
    assert figure.shown()[0] == pytest.approx(first / 2, rel=0.01)
    figure.button("Zoom out").click()
    assert figure.shown()[0] == pytest.approx(first, rel=0.01)
    region = figure.region
    x = figure.path(AWAY)[0]
    region.scroll_into_view_if_needed()
    box = region.bounding_box()
    assert box
    page.mouse.move(box["x"] + 300, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 260, box["y"] + 60, steps=4)
    page.mouse.up()
    assert figure.path(AWAY)[0] == pytest.approx(x - 40, abs=1)


def test_it_fits_a_narrow_screen(visit: "Visit", draw: "Draw", samples: "Samples") -> None:
    page = visit(viewport={"width": 360, "height": 740})
    for each in samples.values():
        figure = draw(page, each)
        figure.find("summary").click()
        box = figure.on_page.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
        region = figure.region
        assert region.evaluate("box => box.scrollWidth - box.clientWidth") == 0
        assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_forced_colours_leave_lanes_and_marks_apart(visit: "Visit", draw: "Draw", samples: "Samples") -> None:
    page = visit(viewport={"width": 1280, "height": 900}, forced_colors="active")
    figure = draw(page, samples["foreign"], all_of_it=True)
    fill = "shape => getComputedStyle(shape).fill"
    ground = figure.find(".ground").evaluate(fill)
    lanes = [figure.find(f'[data-lane="{lane}"] .runs').first.evaluate(fill) for lane in "ABC"]
    assert len({ground, *lanes}) == 4
    # The system's own, and the text with them.
    assert ground == page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert figure.find(".name").first.evaluate(fill) == page.evaluate("getComputedStyle(document.body).color")
    written, read = figure.find(".mark.wrote rect").first, figure.find(".mark circle").first
    assert written.evaluate(fill) != ground
    assert read.evaluate(fill) == ground


def test_axe_has_nothing_against_it(visit: "Visit", axe: "Axe", draw: "Draw", samples: "Samples") -> None:
    page = visit(color_scheme="dark", viewport={"width": 360, "height": 740})
    figure = draw(page, samples["torn"])
    figure.find("summary").click()
    assert [line for line in axe(page) if "sample" in line or "timeline" in line] == []
