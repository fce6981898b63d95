"""What is drawn to time: the lanes, the places that they share or have to themselves, and the axis."""

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

if TYPE_CHECKING:
    from tests.e2e.page.conftest import Visit
    from tests.e2e.page.timeline.conftest import Draw, Samples

GUTTER = 52  # px, left of what is drawn to time


def test_the_lanes_stand_around_the_place_they_share(page: Page, draw: "Draw", samples: "Samples") -> None:
    figure = draw(page, samples["foreign"])
    assert [name.partition(" (")[0] for name in figure.find("svg .name").all_text_contents()] == [
        "request 2",
        "kept in the one object",
        "request 3",
        "request 1",
    ]
    assert figure.find("svg .letter").all_text_contents() == ["A", "B", "C"]
    tops = figure.find("svg .name").evaluate_all(
        "names => names.map((name) => name.getBoundingClientRect().top)"
    )
    assert tops == sorted(tops)


def test_a_lane_is_thick_where_its_greenlet_ran(page: Page, draw: "Draw", samples: "Samples") -> None:
    drawn = samples["foreign"]
    figure = draw(page, drawn, all_of_it=True)
    x = figure.scale()
    events = drawn["lanes"][1]["events"]
    begins = [x(event[0]) for event in events if event[1] in {"began", "back"}]
    ends = [x(event[0]) for event in events if event[1] in {"away", "ended"}]
    ran: list[tuple[float, float]] = []
    for begin, end in zip(begins, ends, strict=True):
        if ran and begin - ran[-1][1] < 1:  # less than a pixel apart: drawn as one
            begin = ran.pop()[0]
        ran.append((begin, end))
    drawn_runs = figure.edges('[data-lane="B"] .runs')
    assert [left for left, _right in drawn_runs] == pytest.approx([left for left, _right in ran], abs=0.1)
    assert [right for _left, right in drawn_runs] == pytest.approx(
        [max(right, left + 2) for left, right in ran], abs=0.1
    )


def test_the_axis_says_the_time_since_the_race_began(page: Page, draw: "Draw", samples: "Samples") -> None:
    drawn = samples["foreign"]
    figure = draw(page, drawn)
    for zoom in ("What matters", "Show all"):
        figure.button(zoom).click()
        x = figure.scale()
        texts = figure.find(".axis text:not(.unit)")
        places = texts.evaluate_all("texts => texts.map((text) => text.x.baseVal[0].value)")
        assert len(places) >= 3
        times = [x(float(text)) + GUTTER for text in texts.all_text_contents()]
        assert places == pytest.approx(times, abs=0.2)


def test_each_greenlet_has_a_place_of_its_own_under_local(
    page: Page, draw: "Draw", samples: "Samples"
) -> None:
    drawn = samples["own"]
    figure = draw(page, drawn, all_of_it=True)
    a, b = (lane["keeps"] for lane in drawn["lanes"])
    assert a != b
    # The places lie between the lanes, each next to its own.
    names = [name.partition(" (")[0] for name in figure.find("svg .name").all_text_contents()]
    assert names == ["request 1", f"kept in {a}", f"kept in {b}", "request 2"]
    assert set(figure.owners(a)) == {"A"}
    assert set(figure.owners(b)) == {"B"}
    assert figure.find(".arrow").count() == 0
    expect(figure.find(".mark.heart.own")).to_contain_text("reads its own data")


def test_a_step_that_another_greenlet_made_is_drawn_where_it_happened(
    page: Page, draw: "Draw", samples: "Samples"
) -> None:
    drawn = samples["foreign"]
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
    assert figure.find('[data-lane="A"] .runs').count() == 2  # 6 to 7 is out of view
    expect(figure.find(".mark.heart.missing")).to_contain_text("reads nothing")


def test_many_switches_make_neither_soup_nor_a_long_list(
    page: Page, draw: "Draw", samples: "Samples"
) -> None:
    drawn = samples["foreign"]
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
    assert figure.find('[data-lane="A"] .runs').count() < 20
    assert sum("switches away, 201 times in a row" in line for line in figure.words()) == 1
    assert len(figure.words()) == 45


def test_labels_do_not_lie_on_each_other(visit: "Visit", draw: "Draw", samples: "Samples") -> None:
    for width in (1280, 360):
        figure = draw(visit(viewport={"width": width, "height": 800}), samples["torn"], all_of_it=True)
        for lane in "ABC":
            boxes = figure.find(f'[data-lane="{lane}"] .mark text:last-child').evaluate_all(
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


def test_a_second_story_takes_the_place_of_the_first_and_can_be_cleared(
    page: Page, draw: "Draw", samples: "Samples"
) -> None:
    draw(page, samples["foreign"])
    figure = draw(page, samples["own"])
    expect(figure.find("figcaption")).to_have_count(1)
    page.evaluate(
        "async () => (await import('/static/js/timeline.js')).clear(document.querySelector('#sample'))"
    )
    expect(figure.on_page).to_be_hidden()
    assert figure.on_page.inner_html() == ""
