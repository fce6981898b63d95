"""The timeline: what was recorded of a bad read, drawn to time, told in words, and saved.

The samples were recorded from real probes, "raced" in a race on the page. Each is drawn by the modules
that the server serves, in a figure of its own.
"""

import json
import re
from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Locator, Page, expect

if TYPE_CHECKING:
    from tests.e2e.page.conftest import Axe, Visit

Sample = dict[str, Any]

SAMPLES = Path(__file__).with_name("samples")
NAMES = ("foreign", "torn", "stale", "own", "unseen", "between", "raced")
# In the sample "foreign": whose write came first, second and last, by field.
WRITERS = {"first": (2, 0, 1), "second": (0, 1, 2)}
GUTTER = 52  # px, left of what is drawn to time
SVG = "{http://www.w3.org/2000/svg}"

DRAW = """async ({lanes, story}) => {
  const {draw} = await import('/static/js/timeline.js');
  let figure = document.querySelector('#sample');
  if (!figure) {
    figure = document.createElement('figure');
    figure.id = 'sample';
    document.querySelector('main').prepend(figure);
  }
  draw(figure, lanes, story);
}"""


def sample(name: str) -> Sample:
    loaded: Sample = json.loads((SAMPLES / f"{name}.json").read_text())
    return loaded


def draw(page: Page, drawn: Sample, *, all_of_it: bool = False) -> Locator:
    page.evaluate(DRAW, drawn)
    figure = page.locator("#sample")
    expect(figure).to_be_visible()
    if all_of_it:
        figure.get_by_role("button", name="Show all").click()
    return figure


def owners(figure: Locator, place: str) -> list[str]:
    found: list[str] = figure.locator(f'[data-place="{place}"] .segment').evaluate_all(
        "found => found.map((one) => one.dataset.owner)"
    )
    return found


def segments(figure: Locator, field: str) -> list[dict[str, Any]]:
    """What is drawn of one field of the one place, from left to right."""
    top = figure.locator(".empty").nth(list(WRITERS).index(field)).get_attribute("y")
    found: list[dict[str, Any]] = figure.locator(f'.segment:has(rect[y="{top}"])').evaluate_all(
        """found => found.map((one) => {
          const {x, width} = one.querySelector('rect');
          const right = x.baseVal.value + width.baseVal.value;
          const unsure = one.classList.contains('unsure');
          return {lane: one.dataset.owner[0], unsure, left: x.baseVal.value, right};
        })"""
    )
    return found


def words(figure: Locator) -> list[str]:
    return [
        re.sub(r"\s+", " ", text)
        for text in figure.locator("li").evaluate_all(
            "items => items.map((item) => [...item.children].map((part) => part.textContent).join(' '))"
        )
    ]


def at(drawn: Sample, lane: int, kind: str, what: object = None) -> float:
    """When a lane's event of a kind happened, in milliseconds; the last one of that field or number."""
    times = [
        event[0]
        for event in drawn["lanes"][lane]["events"]
        if event[1] == kind and (what is None or event[2] == what)
    ]
    return float(times[-1])


def scale(figure: Locator, drawn: Sample) -> Callable[[float], float]:
    """Where a time is, in the picture's pixels: a line through A's beginning and the read in question."""
    reader = drawn["lanes"][0]
    number = drawn["story"]["checkpoint"]
    begin, end = reader["events"][0][0], at(drawn, 0, "read", number)
    left = float(figure.locator('[data-lane="A"] .runs').first.get_attribute("x") or "")
    right = float(figure.locator(".mark.heart circle").get_attribute("cx") or "")
    return lambda time: left + (time - begin) / (end - begin) * (right - left)


def edges(rects: Locator) -> list[tuple[float, float]]:
    found: list[list[float]] = rects.evaluate_all(
        "rects => rects.map(({x, width}) => [x.baseVal.value, x.baseVal.value + width.baseVal.value])"
    )
    return [(left, right) for left, right in found]


def numbers(text: str | None) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", text or "")]


def test_the_lanes_stand_around_the_place_they_share(page: Page) -> None:
    figure = draw(page, sample("foreign"))
    assert [name.partition(" (")[0] for name in figure.locator("svg .name").all_text_contents()] == [
        "request 2",
        "kept in the one object",
        "request 3",
        "request 1",
    ]
    assert figure.locator("svg .letter").all_text_contents() == ["A", "B", "C"]
    tops = figure.locator("svg .name").evaluate_all(
        "names => names.map((name) => name.getBoundingClientRect().top)"
    )
    assert tops == sorted(tops)


def test_a_place_shows_who_wrote_last_to_each_field(page: Page) -> None:
    drawn = sample("foreign")
    figure = draw(page, drawn, all_of_it=True)
    x = scale(figure, drawn)
    for field, order in WRITERS.items():
        # Each begins at its write, and lasts, for sure or not, until the next one.
        row = segments(figure, field)
        begun = row[:1] + [two for one, two in pairwise(row) if one["lane"] != two["lane"]]
        assert [one["lane"] for one in begun] == ["ABC"[lane] for lane in order]
        writes = [x(at(drawn, lane, "wrote", field)) for lane in order]
        assert [one["left"] for one in begun] == pytest.approx(writes, abs=0.1)
        assert all(one["right"] == pytest.approx(two["left"], abs=1) for one, two in pairwise(row))


def test_nothing_is_sure_where_others_that_are_not_shown_wrote_between(page: Page) -> None:
    drawn = sample("between")
    figure = draw(page, drawn, all_of_it=True)
    x = scale(figure, drawn)
    for field in WRITERS:
        times = [x(act[0]) for act in drawn["others"] if act[1] == field]
        row = segments(figure, field)
        assert any(one["left"] < time < one["right"] for one in row for time in times), "or it shows nothing"
        for one in row:
            within = [time for time in times if one["left"] + 0.1 < time < one["right"] - 0.1]
            assert one["unsure"] or not within, (field, one)


def test_whose_data_was_overwritten_is_said_by_those_alone_who_had_just_looked(page: Page) -> None:
    drawn = sample("between")
    acts = [tuple(act) for act in drawn["others"]]
    for lane in drawn["lanes"]:
        acts += [(event[0], event[2], lane["nonce"]) for event in lane["events"] if event[1] == "wrote"]
        acts += [
            (event[0], field, None) for event in lane["events"] if event[1] == "released" for field in WRITERS
        ]
    numbered = {lane["nonce"]: f"request {lane['number']}'s" for lane in drawn["lanes"]}
    said = 0
    for line in words(figure := draw(page, drawn)):
        if not (found := re.match(r"([\d.]+) ms . .* overwrites (\w+), which was (.+)$", line)):
            continue
        _when, _field, nonce = max(act for act in acts if act[0] < float(found[1]) and act[1] == found[2])
        assert numbered.get(nonce, "another request's") == found[3], line
        said += 1
    assert said
    expect(figure.locator("ol")).to_contain_text("request 18 writes its nonce to second")


def test_a_lane_whose_switches_were_not_recorded_proves_nothing_between_its_steps(page: Page) -> None:
    drawn = sample("foreign")
    inner = drawn["lanes"][1]
    inner["events"] = [event for event in inner["events"] if event[1] not in {"away", "back"}]
    figure = draw(page, drawn, all_of_it=True)
    x = scale(figure, drawn)
    read = x(at(drawn, 0, "read", 1))
    for field in WRITERS:
        row = [one for one in segments(figure, field) if one["lane"] == "B" and one["left"] < read - 1]
        assert row
        assert all(one["unsure"] for one in row)
    assert {right - left for left, right in edges(figure.locator('[data-lane="B"] .runs'))} == {2}
    # Others may have had the same nonce: whose it was is not known.
    assert figure.locator(".arrow").count() == 0


def test_a_lane_is_thick_where_its_greenlet_ran(page: Page) -> None:
    drawn = sample("foreign")
    figure = draw(page, drawn, all_of_it=True)
    x = scale(figure, drawn)
    events = drawn["lanes"][1]["events"]
    begins = [x(event[0]) for event in events if event[1] in {"began", "back"}]
    ends = [x(event[0]) for event in events if event[1] in {"away", "ended"}]
    ran: list[tuple[float, float]] = []
    for begin, end in zip(begins, ends, strict=True):
        if ran and begin - ran[-1][1] < 1:  # less than a pixel apart: drawn as one
            begin = ran.pop()[0]
        ran.append((begin, end))
    drawn_runs = edges(figure.locator('[data-lane="B"] .runs'))
    assert [left for left, _right in drawn_runs] == pytest.approx([left for left, _right in ran], abs=0.1)
    assert [right for _left, right in drawn_runs] == pytest.approx(
        [max(right, left + 2) for left, right in ran], abs=0.1
    )


def test_the_axis_says_the_time_since_the_race_began(page: Page) -> None:
    drawn = sample("foreign")
    figure = draw(page, drawn)
    for zoom in ("What matters", "Show all"):
        figure.get_by_role("button", name=zoom).click()
        x = scale(figure, drawn)
        texts = figure.locator(".axis text:not(.unit)")
        places = texts.evaluate_all("texts => texts.map((text) => text.x.baseVal[0].value)")
        assert len(places) >= 3
        times = [x(float(text)) + GUTTER for text in texts.all_text_contents()]
        assert places == pytest.approx(times, abs=0.2)


def test_a_place_owns_up_to_writers_that_are_not_shown(page: Page) -> None:
    drawn = sample("unseen")
    figure = draw(page, drawn, all_of_it=True)
    shown = owners(figure, "the one object")
    assert "other" in shown
    # Nobody saw when A's was overwritten: B found it gone.
    assert "A?" in shown
    assert figure.locator(".segment.unsure").count() == sum(owner.endswith("?") for owner in shown)
    # It is A's for sure until A's greenlet switches away for the first time.
    x = scale(figure, drawn)
    away = next(event[0] for event in drawn["lanes"][0]["events"] if event[1] == "away")
    first = edges(figure.locator('.segment[data-owner="A?"] rect:first-child'))[0]
    assert first[0] == pytest.approx(x(away), abs=0.1)


def test_each_greenlet_has_a_place_of_its_own_under_local(page: Page) -> None:
    drawn = sample("own")
    figure = draw(page, drawn, all_of_it=True)
    a, b = (lane["keeps"] for lane in drawn["lanes"])
    assert a != b
    # The places lie between the lanes, each next to its own.
    names = [name.partition(" (")[0] for name in figure.locator("svg .name").all_text_contents()]
    assert names == ["request 1", f"kept in {a}", f"kept in {b}", "request 2"]
    assert set(owners(figure, a)) == {"A"}
    assert set(owners(figure, b)) == {"B"}
    assert figure.locator(".arrow").count() == 0
    expect(figure.locator(".mark.heart.own")).to_contain_text("reads its own data")


def test_the_arrow_leads_from_the_write_to_the_read_that_got_it(page: Page) -> None:
    drawn = sample("foreign")
    figure = draw(page, drawn)
    arrows = figure.locator(".arrow")
    assert [arrows.nth(n).get_attribute("data-field") for n in range(2)] == ["first", "second"]
    assert [arrows.nth(n).get_attribute("data-from") for n in range(2)] == ["B", "B"]
    circle = figure.locator(".mark.heart circle")
    x = scale(figure, drawn)
    for n, field in enumerate(("first", "second")):
        path = numbers(arrows.nth(n).locator("path").first.get_attribute("d"))
        assert path[0] == pytest.approx(x(at(drawn, 1, "wrote", field)), abs=0.1)
        assert path[-2] == pytest.approx(x(at(drawn, 0, "read", 1)), abs=0.1)
    head = figure.locator(".arrow .head").first.bounding_box()
    end = circle.bounding_box()
    assert head
    assert end
    assert 0 <= head["y"] - (end["y"] + end["height"]) < 4  # just below the read


def test_nobody_reads_what_is_written_later(page: Page) -> None:
    drawn = sample("foreign")
    before = draw(page, drawn).locator(".arrow path").first.get_attribute("d")
    drawn["lanes"][1]["events"].insert(-1, [drawn["lanes"][1]["events"][-1][0], "wrote", "first"])
    assert draw(page, drawn).locator(".arrow path").first.get_attribute("d") == before


def test_a_torn_read_has_an_arrow_for_the_other_ones_field_alone(page: Page) -> None:
    figure = draw(page, sample("torn"))
    assert figure.locator(".arrow").count() == 1
    assert figure.locator(".arrow").get_attribute("data-field") == "first"
    expect(figure.locator(".mark.heart.torn")).to_contain_text("reads first B's, second its own")


def test_what_was_found_before_writing_leads_back_to_a_lane_that_had_ended(page: Page) -> None:
    figure = draw(page, sample("stale"))
    expect(figure.locator(".mark.heart.stale")).to_contain_text("finds B's data")
    assert figure.locator(".arrow").count() == 2


def test_without_a_name_for_the_place_the_arrow_is_all(page: Page) -> None:
    drawn = sample("foreign")
    for lane in drawn["lanes"]:
        lane["keeps"] = None
    figure = draw(page, drawn)
    assert figure.locator("[data-place]").count() == 0
    assert figure.locator(".arrow").count() == 2


def test_the_words_tell_the_same_in_order(page: Page) -> None:
    drawn = sample("foreign")
    figure = draw(page, drawn)
    expect(figure.locator("figcaption")).to_contain_text("request 3 wrote into the same place")
    told = words(figure)
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
    expect(figure.locator("li.heart")).to_have_count(1)
    expect(figure.locator("li.heart")).to_contain_text("reads request 3's nonce at checkpoint 1")


def test_past_a_dozen_the_words_are_folded(page: Page) -> None:
    drawn = sample("foreign")
    expect(draw(page, drawn).locator("ol")).to_be_hidden()
    brief = deepcopy(drawn)
    brief["lanes"] = brief["lanes"][:1]
    brief["lanes"][0]["events"] = brief["lanes"][0]["events"][:8]
    expect(draw(page, brief).locator("ol")).to_be_visible()


def test_the_picture_has_a_role_a_name_and_a_description(page: Page) -> None:
    drawn = sample("foreign")
    figure = draw(page, drawn)
    picture = figure.get_by_role("img")
    expect(picture).to_have_accessible_name("Timeline of request 2 and request 3 and request 1")
    expect(picture).to_have_accessible_description(
        re.compile(f"^{drawn['story']['sentence']}.*request 3 writes its nonce to second")
    )


def test_it_opens_at_what_matters_and_zooms_by_keyboard(page: Page) -> None:
    figure = draw(page, sample("foreign"))
    shown = figure.locator("output")
    region = figure.get_by_role("region", name="Timeline")
    before = shown.text_content()
    figure.get_by_role("button", name="Save for Perfetto").focus()
    page.keyboard.press("Shift+Tab")  # the picture stands before the buttons
    expect(region).to_be_focused()
    page.keyboard.press("+")
    expect(shown).not_to_have_text(before or "")
    half, whole = numbers(shown.text_content())
    assert half == pytest.approx(numbers(before)[0] / 2, rel=0.01)
    began = figure.locator('[data-lane="B"] .away')
    moved = numbers(began.get_attribute("d"))[0]
    page.keyboard.press("ArrowRight")
    # The view goes right, so that what is drawn goes left; back again it is as it was.
    assert numbers(began.get_attribute("d"))[0] < moved
    page.keyboard.press("ArrowLeft")
    assert numbers(began.get_attribute("d"))[0] == pytest.approx(moved, abs=0.01)
    page.keyboard.press("End")
    assert numbers(shown.text_content()) == [whole, whole]
    page.keyboard.press("-")  # there is no more
    assert numbers(shown.text_content()) == [whole, whole]
    page.keyboard.press("Home")
    expect(shown).to_have_text(before or "")


def test_it_zooms_and_moves_by_mouse(page: Page) -> None:
    figure = draw(page, sample("foreign"))
    shown = figure.locator("output")
    first = numbers(shown.text_content())[0]
    figure.get_by_role("button", name="Zoom in").click()
    assert numbers(shown.text_content())[0] == pytest.approx(first / 2, rel=0.01)
    figure.get_by_role("button", name="Zoom out").click()
    assert numbers(shown.text_content())[0] == pytest.approx(first, rel=0.01)
    region = figure.get_by_role("region", name="Timeline")
    began = figure.locator('[data-lane="B"] .away')
    x = numbers(began.get_attribute("d"))[0]
    region.scroll_into_view_if_needed()
    box = region.bounding_box()
    assert box
    page.mouse.move(box["x"] + 300, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 260, box["y"] + 60, steps=4)
    page.mouse.up()
    assert numbers(began.get_attribute("d"))[0] == pytest.approx(x - 40, abs=1)


def test_many_switches_make_neither_soup_nor_a_long_list(page: Page) -> None:
    drawn = sample("foreign")
    reader = drawn["lanes"][0]
    index = next(n for n, event in enumerate(reader["events"]) if event[1] == "away")
    start = reader["events"][index][0]
    away = reader["events"][index + 1][0]
    assert away > start + 0.4
    reader["events"][index:index] = [
        [round(start + n * 0.001, 3), kind] for n, kind in enumerate(["away", "back"] * 200)
    ]
    reader["events"][index + 400][0] = round(start + 0.4, 3)
    figure = draw(page, drawn, all_of_it=True)
    assert figure.locator('[data-lane="A"] .runs').count() < 20
    assert sum("switches away, 201 times in a row" in line for line in words(figure)) == 1
    assert len(words(figure)) == 45


def test_labels_do_not_lie_on_each_other(visit: "Visit") -> None:
    for width in (1280, 360):
        figure = draw(visit(viewport={"width": width, "height": 800}), sample("torn"), all_of_it=True)
        for lane in "ABC":
            boxes = figure.locator(f'[data-lane="{lane}"] .mark text:last-child').evaluate_all(
                "texts => texts.map((text) => text.getBoundingClientRect().toJSON())"
            )
            assert boxes
            for n, one in enumerate(boxes):
                for other in boxes[:n]:
                    apart = (
                        one["right"] <= other["left"]
                        or other["right"] <= one["left"]
                        or abs(one["top"] - other["top"]) >= 12
                    )
                    assert apart, (width, lane, one, other)


def test_a_step_that_another_greenlet_made_is_drawn_where_it_happened(page: Page) -> None:
    drawn = sample("foreign")
    reader = drawn["lanes"][0]
    # As lost-in-spawn does: the lane's own greenlet is away while a child reads for it.
    reader["events"] = [
        [0, "began", {"first": None, "second": None}],
        [1, "wrote", "first"],
        [2, "away"],
        [4, "read", 1, {"first": None, "second": None}, None],
        [6, "back"],
        [7, "ended"],
    ]
    drawn["lanes"] = [reader]
    figure = draw(page, drawn)
    assert figure.locator('[data-lane="A"] .runs').count() == 2  # 6 to 7 is out of view
    expect(figure.locator(".mark.heart.missing")).to_contain_text("reads nothing")


def test_what_another_greenlet_writes_for_a_lane_is_not_known_to_stay(page: Page) -> None:
    drawn = sample("foreign")
    a, b = drawn["lanes"] = drawn["lanes"][:2]
    nothing = {"first": None, "second": None}
    for lane, start in ((a, 0), (b, 0.5)):
        lane["events"] = [[start, "began", nothing], [start + 0.1, "away"], [start + 3, "wrote", "first"]]
        lane["events"] += [[start + 5, "back"], [start + 5.1, "ended"]]
    figure = draw(page, drawn, all_of_it=True)
    assert owners(figure, "the one object") == ["A?"]
    assert sum("overwrites" in line for line in words(figure)) == 0


def test_a_place_that_is_found_empty_was_emptied_by_somebody(page: Page) -> None:
    drawn = sample("own")
    reader = drawn["lanes"][0]
    read = next(event for event in reader["events"] if event[1] == "read")
    read[3] = {"first": None, "second": None}
    drawn["lanes"] = [reader]
    figure = draw(page, drawn)
    # A's until it switched away; unless it was gone at once; and nothing from the read on.
    assert owners(figure, reader["keeps"]) == ["A", "A?", "A", "A?"]
    ends = figure.locator(".segment.unsure rect").evaluate_all(
        "found => found.map((one) => one.x.baseVal.value + one.width.baseVal.value)"
    )
    circle = float(figure.locator(".mark.heart circle").get_attribute("cx") or "")
    assert all(end == pytest.approx(circle, abs=0.01) for end in ends)


def test_a_release_leads_to_the_read_that_found_nothing(page: Page) -> None:
    drawn = sample("foreign")
    a, b = drawn["lanes"] = drawn["lanes"][:2]
    nothing = {"first": None, "second": None}
    a["events"] = [[0, "began", nothing], [1, "wrote", "first"], [2, "away"], [6, "back"]]
    a["events"] += [[7, "read", 1, nothing, None], [8, "ended"]]
    b["events"] = [[3, "began", {"first": a["nonce"], "second": None}], [3.2, "wrote", "first"]]
    b["events"] += [[3.3, "away"], [3.4, "back"], [3.5, "wrote", "second"], [4, "released"], [5, "ended"]]
    figure = draw(page, drawn, all_of_it=True)
    x = scale(figure, drawn)
    path = numbers(figure.locator(".arrow path").first.get_attribute("d"))
    assert figure.locator(".arrow").count() == 1
    assert figure.locator(".arrow").get_attribute("data-from") == "B"
    assert [path[0], path[-2]] == pytest.approx([x(4), x(7)], abs=0.1)
    expect(figure.locator(".mark.released")).to_contain_text("releases")
    expect(figure.locator(".mark.heart.missing")).to_contain_text("reads nothing")
    # From the release on there is nothing.
    assert owners(figure, "the one object") == ["A", "B", "B?", "B"]
    rights = [right for _left, right in edges(figure.locator(".segment rect:first-child"))]
    assert rights[2:] == pytest.approx([x(4), x(4)], abs=0.1)
    events = trace(page, drawn)["traceEvents"]
    assert [(e["name"], e["tid"]) for e in events if e["ph"] in "sf"] == [("release", 2), ("release", 1)]
    # One that had just read nothing has emptied nothing.
    b["events"].insert(-2, [3.9, "read", 1, nothing, None])
    assert draw(page, drawn).locator(".arrow").count() == 0


def test_what_else_a_strategy_reads_is_told_as_well(page: Page) -> None:
    drawn = sample("own")
    reader = drawn["lanes"][0]
    read = next(event for event in reader["events"] if event[1] == "read")
    read[3] |= {"header": drawn["lanes"][1]["nonce"]}
    figure = draw(page, drawn)
    expect(figure.locator("li.heart")).to_contain_text(
        "reads its own in first, second and request 2's in header"
    )


def test_a_second_story_takes_the_place_of_the_first_and_can_be_cleared(page: Page) -> None:
    draw(page, sample("foreign"))
    figure = draw(page, sample("own"))
    expect(figure.locator("figcaption")).to_have_count(1)
    page.evaluate(
        "async () => (await import('/static/js/timeline.js')).clear(document.querySelector('#sample'))"
    )
    expect(figure).to_be_hidden()
    assert figure.inner_html() == ""


def test_it_fits_a_narrow_screen(visit: "Visit") -> None:
    page = visit(viewport={"width": 360, "height": 740})
    for name in NAMES:
        figure = draw(page, sample(name))
        figure.locator("summary").click()
        box = figure.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
        region = figure.get_by_role("region", name="Timeline")
        assert region.evaluate("box => box.scrollWidth - box.clientWidth") == 0
        assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_forced_colours_leave_lanes_and_marks_apart(visit: "Visit") -> None:
    page = visit(viewport={"width": 1280, "height": 900}, forced_colors="active")
    figure = draw(page, sample("foreign"), all_of_it=True)
    fill = "shape => getComputedStyle(shape).fill"
    ground = figure.locator(".ground").evaluate(fill)
    lanes = [figure.locator(f'[data-lane="{lane}"] .runs').first.evaluate(fill) for lane in "ABC"]
    assert len({ground, *lanes}) == 4
    # The system's own, and the text with them.
    assert ground == page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert figure.locator(".name").first.evaluate(fill) == page.evaluate(
        "getComputedStyle(document.body).color"
    )
    written, read = figure.locator(".mark.wrote rect").first, figure.locator(".mark circle").first
    assert written.evaluate(fill) != ground
    assert read.evaluate(fill) == ground


def test_axe_has_nothing_against_it(visit: "Visit", axe: "Axe") -> None:
    page = visit(color_scheme="dark", viewport={"width": 360, "height": 740})
    figure = draw(page, sample("torn"))
    figure.locator("summary").click()
    assert [line for line in axe(page) if "sample" in line or "timeline" in line] == []


def trace(page: Page, drawn: Sample) -> dict[str, Any]:
    figure = draw(page, drawn)
    with page.expect_download() as waiting:
        figure.get_by_role("button", name="Save for Perfetto").click()
    assert waiting.value.suggested_filename.endswith(".trace.json")
    loaded: dict[str, Any] = json.loads(waiting.value.path().read_text())
    return loaded


def test_a_saved_trace_keeps_to_the_format(page: Page) -> None:
    for name in NAMES:
        check_format(trace(page, sample(name)))


def check_format(saved: dict[str, Any]) -> None:
    assert saved["displayTimeUnit"] == "ms"
    events = saved["traceEvents"]
    named = {(e["pid"], e["tid"]) for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
    timed = [event for event in events if event["ph"] != "M"]
    assert {(e["pid"], e["tid"]) for e in timed} <= named
    assert {e["ph"] for e in timed} <= {"X", "i", "s", "f"}
    times = [event["ts"] for event in timed]
    assert times == sorted(times)
    assert all(isinstance(time, int) and time >= 0 for time in times)
    for track in named:
        slices = [e for e in timed if e["ph"] == "X" and (e["pid"], e["tid"]) == track]
        assert all(e["dur"] > 0 for e in slices)
        # None of them are nested here, so that all have to be apart.
        assert all(one["ts"] + one["dur"] <= two["ts"] for one, two in pairwise(slices))
    assert all(e["s"] == "t" for e in timed if e["ph"] == "i")


def test_a_saved_trace_ties_the_read_to_the_writes_that_it_got(page: Page) -> None:
    for name, flows in (("foreign", 2), ("torn", 1), ("stale", 2), ("own", 0), ("raced", 2)):
        check_flows(trace(page, sample(name))["traceEvents"], flows)


def check_flows(events: list[dict[str, Any]], flows: int) -> None:
    begun = {e["id"]: e for e in events if e["ph"] == "s"}
    ended = {e["id"]: e for e in events if e["ph"] == "f"}
    assert len(begun) == len(ended) == flows
    assert begun.keys() == ended.keys()
    for number, start in begun.items():
        end = ended[number]
        assert (start["cat"], start["name"]) == (end["cat"], end["name"])
        assert start["ts"] <= end["ts"]
        assert end["bp"] == "e"
        for e in (start, end):
            around = [
                s
                for s in events
                if s["ph"] == "X"
                and (s["pid"], s["tid"]) == (e["pid"], e["tid"])
                and s["ts"] <= e["ts"] < s["ts"] + s["dur"]
            ]
            assert len(around) == 1, "a flow binds to the slice around its end"
        read = next(
            e
            for e in events
            if e["ph"] == "i" and e["tid"] == end["tid"] and e["ts"] - 1 <= end["ts"] <= e["ts"]
        )
        assert read["tid"] == 1


def test_a_saved_trace_survives_a_clock_that_cannot_tell_steps_apart(page: Page) -> None:
    coarse, late = sample("foreign"), sample("foreign")
    for lane in coarse["lanes"]:
        for event in lane["events"]:
            event[0] = round(event[0])
    for lane in late["lanes"]:
        # A step at the very moment at which its greenlet switches away.
        for step, following in pairwise(lane["events"]):
            if following[1] == "away" and step[1] != "back":
                step[0] = following[0]
    for drawn in (coarse, late):
        saved = trace(page, drawn)
        check_format(saved)
        check_flows(saved["traceEvents"], 2)


def test_a_saved_picture_stands_alone_in_the_light_colours(visit: "Visit") -> None:
    page = visit(color_scheme="dark", viewport={"width": 900, "height": 800})
    drawn = sample("foreign")
    figure = draw(page, drawn)
    with page.expect_download() as waiting:
        figure.get_by_role("button", name="Save as SVG").click()
    assert waiting.value.suggested_filename == "greenlane-request-2.svg"
    text = waiting.value.path().read_text()
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert root.findtext(f"{SVG}title") == "Timeline of request 2 and request 3 and request 1"
    description = root.findtext(f"{SVG}desc") or ""
    assert description.startswith(drawn["story"]["sentence"])
    assert "8.334 ms B request 3 writes its nonce to second." in description
    style = root.findtext(f"{SVG}style") or ""
    assert "var(" not in style
    assert "undefined" not in style
    assert ".lane-0 { fill: rgb(26, 95, 180)" in style or ".lane-0 { fill: #1a5fb4" in style
    assert not root.findall(f".//{SVG}script")
    assert "href" not in text
    ids = {node.get("id") for node in root.iter() if node.get("id")}
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= ids
