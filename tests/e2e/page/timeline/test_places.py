"""Whose data a place held, and when that is known: nothing is sure where others may have written."""

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from greenlane.demo.keeper import FIELDS

if TYPE_CHECKING:
    from tests.e2e.page.timeline.conftest import Draw, Samples

# In the sample "foreign": whose write came first, second and last, by field.
WRITERS = {"first": (2, 0, 1), "second": (0, 1, 2)}


def test_a_place_shows_who_wrote_last_to_each_field(page: Page, draw: "Draw", samples: "Samples") -> None:
    drawn = samples["foreign"]
    figure = draw(page, drawn, all_of_it=True)
    x = figure.scale()
    for field, order in WRITERS.items():
        # Each begins at its write, and lasts, for sure or not, until the next one.
        row = figure.segments(field)
        begun = row[:1] + [two for one, two in pairwise(row) if one["lane"] != two["lane"]]
        assert [one["lane"] for one in begun] == ["ABC"[lane] for lane in order]
        writes = [x(figure.at(lane, "wrote", field)) for lane in order]
        assert [one["left"] for one in begun] == pytest.approx(writes, abs=0.1)
        assert all(one["right"] == pytest.approx(two["left"], abs=1) for one, two in pairwise(row))


def test_nothing_is_sure_where_others_that_are_not_shown_wrote_between(
    page: Page, draw: "Draw", samples: "Samples"
) -> None:
    drawn = samples["between"]
    figure = draw(page, drawn, all_of_it=True)
    x = figure.scale()
    for field in FIELDS:
        times = [x(act[0]) for act in drawn["others"] if act[1] == field]
        row = figure.segments(field)
        assert any(one["left"] < time < one["right"] for one in row for time in times), "or it shows nothing"
        for one in row:
            within = [time for time in times if one["left"] + 0.1 < time < one["right"] - 0.1]
            assert one["unsure"] or not within, (field, one)


def test_whose_data_was_overwritten_is_said_by_those_alone_who_had_just_looked(
    page: Page, draw: "Draw", samples: "Samples"
) -> None:
    drawn = samples["between"]
    acts = [tuple(act) for act in drawn["others"]]
    for lane in drawn["lanes"]:
        acts += [(event[0], event[2], lane["nonce"]) for event in lane["events"] if event[1] == "wrote"]
        acts += [
            (event[0], field, None) for event in lane["events"] if event[1] == "released" for field in FIELDS
        ]
    numbered = {lane["nonce"]: f"request {lane['number']}'s" for lane in drawn["lanes"]}
    said = 0
    for line in (figure := draw(page, drawn)).words():
        if not (found := re.match(r"([\d.]+) ms . .* overwrites (\w+), which was (.+)$", line)):
            continue
        _when, _field, nonce = max(act for act in acts if act[0] < float(found[1]) and act[1] == found[2])
        assert numbered.get(nonce, "another request's") == found[3], line
        said += 1
    assert said
    expect(figure.find("ol")).to_contain_text("request 18 writes its nonce to second")


def test_a_lane_whose_switches_were_not_recorded_proves_nothing_between_its_steps(
    page: Page, draw: "Draw", samples: "Samples"
) -> None:
    drawn = samples["foreign"]
    inner = drawn["lanes"][1]
    inner["events"] = [event for event in inner["events"] if event[1] not in {"away", "back"}]
    figure = draw(page, drawn, all_of_it=True)
    x = figure.scale()
    read = x(figure.at(0, "read", 1))
    for field in FIELDS:
        row = [one for one in figure.segments(field) if one["lane"] == "B" and one["left"] < read - 1]
        assert row
        assert all(one["unsure"] for one in row)
    assert {right - left for left, right in figure.edges('[data-lane="B"] .runs')} == {2}
    # Others may have had the same nonce: whose it was is not known.
    assert figure.find(".arrow").count() == 0


def test_a_place_owns_up_to_writers_that_are_not_shown(page: Page, draw: "Draw", samples: "Samples") -> None:
    drawn = samples["unseen"]
    figure = draw(page, drawn, all_of_it=True)
    shown = figure.owners("the one object")
    assert "other" in shown
    # Nobody saw when A's was overwritten: B found it gone.
    assert "A?" in shown
    assert figure.find(".segment.unsure").count() == sum(owner.endswith("?") for owner in shown)
    # It is A's for sure until A's greenlet switches away for the first time.
    x = figure.scale()
    away = next(event[0] for event in drawn["lanes"][0]["events"] if event[1] == "away")
    first = figure.edges('.segment[data-owner="A?"] rect:first-child')[0]
    assert first[0] == pytest.approx(x(away), abs=0.1)


def test_what_another_greenlet_writes_for_a_lane_is_not_known_to_stay(
    page: Page, draw: "Draw", samples: "Samples"
) -> None:
    drawn = samples["foreign"]
    a, b = drawn["lanes"] = drawn["lanes"][:2]
    nothing = {"first": None, "second": None}
    for lane, start in ((a, 0), (b, 0.5)):
        lane["events"] = [[start, "began", nothing], [start + 0.1, "away"], [start + 3, "wrote", "first"]]
        lane["events"] += [[start + 5, "back"], [start + 5.1, "ended"]]
    figure = draw(page, drawn, all_of_it=True)
    assert figure.owners("the one object") == ["A?"]
    assert sum("overwrites" in line for line in figure.words()) == 0


def test_a_place_that_is_found_empty_was_emptied_by_somebody(
    page: Page, draw: "Draw", samples: "Samples"
) -> None:
    drawn = samples["own"]
    reader = drawn["lanes"][0]
    read = next(event for event in reader["events"] if event[1] == "read")
    read[3] = {"first": None, "second": None}
    drawn["lanes"] = [reader]
    figure = draw(page, drawn)
    # A's until it switched away; unless it was gone at once; and nothing from the read on.
    assert figure.owners(reader["keeps"]) == ["A", "A?", "A", "A?"]
    ends = figure.find(".segment.unsure rect").evaluate_all(
        "found => found.map((one) => one.x.baseVal.value + one.width.baseVal.value)"
    )
    circle = float(figure.find(".mark.heart circle").get_attribute("cx") or "")
    assert all(end == pytest.approx(circle, abs=0.01) for end in ends)
