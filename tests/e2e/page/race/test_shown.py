"""What is shown around a race is true at every moment: before it, while it runs, after it, and when refused.

One race is reused. The tests that only look at it come first; the last one changes what is chosen.
"""

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, Page, ViewportSize, expect

if TYPE_CHECKING:
    from tests.e2e.page.conftest import Visit, Watch
    from tests.e2e.page.race.conftest import Race

DESK: ViewportSize = {"width": 1280, "height": 720}
PHONE: ViewportSize = {"width": 360, "height": 740}
SIZES = pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
STATES = ("waiting", "own", "foreign", "torn", "stale", "missing")
BAD = ", ".join(f"[data-state={state}]" for state in STATES[2:])
NOTHING = "\N{EN DASH}"


@pytest.fixture(scope="module")
def raced(kept_page: Page, race_on: "type[Race]") -> "Race":
    """A page on which a Local has raced beside a shared object."""
    race = race_on(kept_page)
    race.choose("local", "shared-object")
    race.run()
    return race


def expect_results(race: "Race") -> None:
    expect(race.track("local").get_by_text("ISOLATED", exact=True)).to_be_visible()
    expect(race.track("shared-object").get_by_text("CROSS-TALK", exact=True)).to_be_visible()
    expect(race.field("shared-object").locator(BAD).first).to_be_attached()
    expect(race.timeline).to_be_visible()


def test_a_field_reached_by_the_tab_key_has_a_selected_cell_that_enter_opens(raced: "Race") -> None:
    """Without an arrow key before."""
    local = raced.field("local")
    raced.button("Run").focus()
    raced.page.keyboard.press("Tab")
    expect(local).to_be_focused()
    selected = local.get_by_role("option", selected=True)
    expect(selected).to_have_count(1)
    expect(local).to_have_attribute("aria-activedescendant", str(selected.get_attribute("id")))
    raced.page.keyboard.press("Enter")
    expect(raced.timeline).to_be_focused()
    expect(raced.timeline.locator("figcaption")).to_contain_text("request 1", ignore_case=True)


def test_cells_differ_where_colours_are_forced(raced: "Race") -> None:
    """By what is on the screen: one cell, at one place, is given one state after another."""
    cell = raced.field("local").get_by_role("option").nth(5)
    raced.page.emulate_media(forced_colors="active")
    try:
        seen = {state: picture(cell, state) for state in STATES}
        assert len(set(seen.values())) == len(STATES)
        assert picture(cell, "own") == seen["own"]
    finally:
        picture(cell, "own")
        raced.page.emulate_media(forced_colors="none")


def picture(cell: Locator, state: str) -> bytes:
    cell.evaluate("(node, state) => { node.dataset.state = state; }", state)
    return cell.screenshot()


def test_a_refused_race_leaves_the_last_results_standing(
    raced: "Race", visit: "Visit", kept_watch: "Watch", race_on: "type[Race]"
) -> None:
    other = race_on(visit())
    other.choose_long("local")
    other.button("Run").click()
    expect(other.field("local").locator("[data-state=own]").first).to_be_attached()
    raced.button("Run").click()
    expect(raced.status).to_contain_text("Another race is running on this server")
    kept_watch.expect("409")
    expect(raced.button("Run")).to_be_enabled()
    expect_results(raced)
    other.button("Stop").click()
    expect(other.status).to_have_text("Stopped.")


def test_what_is_typed_again_or_does_not_concern_the_fields_wipes_nothing(raced: "Race") -> None:
    for label, value in (("Requests", "60"), ("Switches", "3"), ("At once", "21")):
        raced.form.get_by_label(label).fill(value)
    raced.form.get_by_label("Beside it").select_option(label="shared-object")
    expect_results(raced)


def test_another_strategy_takes_the_old_verdict_and_timeline_away(raced: "Race") -> None:
    raced.form.get_by_label("Beside it").select_option(label="contextvar")
    expect(raced.track("contextvar")).to_be_visible()
    expect(raced.page.locator(".verdict")).to_have_count(0)
    expect(raced.page.locator("#race-tracks [role=option]:not([data-state=waiting])")).to_have_count(0)
    expect(raced.timeline).to_be_hidden()
    expect(raced.status).to_have_text("")
    expect(raced.page.locator("#race-figures dd")).to_have_text([NOTHING] * 5)


def test_a_control_that_was_not_caught_is_not_said_to_have_been(race: "Race") -> None:
    race.choose("local", requests=5, at_once=1)
    race.run()
    expect(race.status).to_have_text(
        "local: INCONCLUSIVE. The control, shared-object/broken, was not caught."
    )


@SIZES
def test_run_brings_the_field_into_sight_and_holds_the_form(
    visit: "Visit", viewport: ViewportSize, race_on: "type[Race]"
) -> None:
    page = visit(viewport=viewport)
    race = race_on(page)
    race.choose_long("local")
    expect(race.field("local").get_by_role("option").first).not_to_be_in_viewport()
    race.button("Run").focus()
    page.keyboard.press("Enter")  # as a click would, but without a scroll of Playwright's own
    expect(race.field("local").locator("[data-state=own]").first).to_be_attached()
    expect(race.field("local").get_by_role("option").first).to_be_in_viewport(ratio=1)
    expect(race.status).to_be_in_viewport(ratio=1)
    fields = race.form.locator("select, input:not([type=hidden])")
    expect(fields).to_have_count(6)
    assert all(each.is_disabled() for each in fields.all())
    expect(race.in_flight).to_have_text(re.compile(r"\d"))
    race.button("Stop").click()
    expect(race.status).to_have_text("Stopped.")
    assert all(each.is_enabled() for each in fields.all())
    expect(race.in_flight).to_have_text(NOTHING)


def test_the_source_stands_beside_the_field_where_there_is_room(
    visit: "Visit", race_on: "type[Race]"
) -> None:
    page = visit(viewport=DESK)
    race = race_on(page)
    race.choose("local")
    source = race.track("local").get_by_label("Source of local").first
    expect(source).to_be_visible()
    field_box, source_box = race.field("local").bounding_box(), source.bounding_box()
    assert field_box
    assert source_box
    assert source_box["x"] >= field_box["x"] + field_box["width"]
    assert source_box["y"] < field_box["y"] + field_box["height"]


def test_the_source_is_folded_on_a_narrow_screen(visit: "Visit", race_on: "type[Race]") -> None:
    page = visit(viewport=PHONE)
    race = race_on(page)
    race.choose("local")
    folded = race.track("local").get_by_text("Its source, as it runs here")
    expect(folded).to_be_visible()
    expect(race.track("local").get_by_label("Source of local")).to_have_count(0)
    folded.click()
    expect(race.track("local").get_by_label("Source of local").first).to_be_visible()
