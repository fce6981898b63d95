"""What is shown around a race is true at every moment: before it, while it runs, after it, and when refused.

One race is reused. The tests that only look at it come first; the last one changes what is chosen.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, Page, ViewportSize, expect

if TYPE_CHECKING:
    from tests.e2e.conftest import Process, WaitUntil
    from tests.e2e.page.conftest import Visit, Watch

DESK: ViewportSize = {"width": 1280, "height": 720}
PHONE: ViewportSize = {"width": 360, "height": 740}
SIZES = pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
STATES = ("waiting", "own", "foreign", "torn", "stale", "missing")
BAD = ", ".join(f"[data-state={state}]" for state in STATES[2:])
LONG = {"Requests": 2000, "At once": 4, "Switches": 16}
NOTHING = "\N{EN DASH}"
RACE_TIMEOUT_MS = 60_000


def form(page: Page) -> Locator:
    return page.get_by_role("form", name="Race")


def button(page: Page, name: str) -> Locator:
    return form(page).get_by_role("button", name=name)


def choose(page: Page, strategy: str, beside: str = "nothing", numbers: dict[str, int] | None = None) -> None:
    form(page).get_by_label("Strategy").select_option(label=strategy)
    form(page).get_by_label("Beside it").select_option(label=beside)
    for label, value in (numbers or {"Requests": 60, "At once": 20, "Switches": 2}).items():
        form(page).get_by_label(label).fill(str(value))


def run_to_its_end(page: Page) -> None:
    button(page, "Run").click()
    expect(button(page, "Stop")).to_be_visible()
    expect(button(page, "Run")).to_be_visible(timeout=RACE_TIMEOUT_MS)


def track(page: Page, strategy: str) -> Locator:
    return page.get_by_role("article", name=strategy, exact=True)


def field(page: Page, strategy: str) -> Locator:
    return page.get_by_role("listbox", name=f"Requests under {strategy}", exact=True)


def status(page: Page) -> Locator:
    return page.locator("#race-status")


def timeline(page: Page) -> Locator:
    return page.locator("figure.timeline")


def in_flight(page: Page) -> Locator:
    return page.locator("#race-figures [data-figure=in_flight]")


@pytest.fixture(autouse=True)
def _no_race_left(server: "Process", wait_until: "WaitUntil") -> Iterator[None]:
    yield
    wait_until(
        lambda: b"\ngreenlane_requests_in_flight 0.0\n" in server.get("/metrics")[1], "the race is over"
    )


@pytest.fixture(scope="module")
def raced(kept_page: Page) -> Page:
    """A page on which a Local has raced beside a shared object."""
    choose(kept_page, "local", "shared-object")
    run_to_its_end(kept_page)
    return kept_page


def expect_results(page: Page) -> None:
    expect(track(page, "local").get_by_text("ISOLATED", exact=True)).to_be_visible()
    expect(track(page, "shared-object").get_by_text("CROSS-TALK", exact=True)).to_be_visible()
    expect(field(page, "shared-object").locator(BAD).first).to_be_attached()
    expect(timeline(page)).to_be_visible()


# After it


def test_a_field_reached_by_the_tab_key_has_a_selected_cell_that_enter_opens(raced: Page) -> None:
    """Without an arrow key before."""
    local = field(raced, "local")
    button(raced, "Run").focus()
    raced.keyboard.press("Tab")
    expect(local).to_be_focused()
    selected = local.get_by_role("option", selected=True)
    expect(selected).to_have_count(1)
    expect(local).to_have_attribute("aria-activedescendant", str(selected.get_attribute("id")))
    raced.keyboard.press("Enter")
    expect(timeline(raced)).to_be_focused()
    expect(timeline(raced).locator("figcaption")).to_contain_text("request 1", ignore_case=True)


def test_cells_differ_where_colours_are_forced(raced: Page) -> None:
    """By what is on the screen: one cell, at one place, is given one state after another."""
    cell = field(raced, "local").get_by_role("option").nth(5)
    raced.emulate_media(forced_colors="active")
    try:
        seen = {state: picture(cell, state) for state in STATES}
        assert len(set(seen.values())) == len(STATES)
        assert picture(cell, "own") == seen["own"]
    finally:
        picture(cell, "own")
        raced.emulate_media(forced_colors="none")


def picture(cell: Locator, state: str) -> bytes:
    cell.evaluate("(node, state) => { node.dataset.state = state; }", state)
    return cell.screenshot()


def test_a_refused_race_leaves_the_last_results_standing(
    raced: Page, visit: "Visit", kept_watch: "Watch"
) -> None:
    other = visit()
    choose(other, "local", numbers=LONG)
    button(other, "Run").click()
    expect(field(other, "local").locator("[data-state=own]").first).to_be_attached()
    button(raced, "Run").click()
    expect(status(raced)).to_contain_text("Another race is running on this server")
    kept_watch.expect("409")
    expect(button(raced, "Run")).to_be_enabled()
    expect_results(raced)
    button(other, "Stop").click()
    expect(status(other)).to_have_text("Stopped.")


def test_what_is_typed_again_or_does_not_concern_the_fields_wipes_nothing(raced: Page) -> None:
    for label, value in (("Requests", "60"), ("Switches", "3"), ("At once", "21")):
        form(raced).get_by_label(label).fill(value)
    form(raced).get_by_label("Beside it").select_option(label="shared-object")
    expect_results(raced)


def test_another_strategy_takes_the_old_verdict_and_timeline_away(raced: Page) -> None:
    form(raced).get_by_label("Beside it").select_option(label="contextvar")
    expect(track(raced, "contextvar")).to_be_visible()
    expect(raced.locator(".verdict")).to_have_count(0)
    expect(raced.locator("#race-tracks [role=option]:not([data-state=waiting])")).to_have_count(0)
    expect(timeline(raced)).to_be_hidden()
    expect(status(raced)).to_have_text("")
    expect(raced.locator("#race-figures dd")).to_have_text([NOTHING] * 5)


def test_a_control_that_was_not_caught_is_not_said_to_have_been(page: Page) -> None:
    choose(page, "local", numbers={"Requests": 5, "At once": 1, "Switches": 2})
    run_to_its_end(page)
    expect(status(page)).to_have_text(
        "local: INCONCLUSIVE. The control, shared-object/broken, was not caught."
    )


# While it runs


@SIZES
def test_run_brings_the_field_into_sight_and_holds_the_form(visit: "Visit", viewport: ViewportSize) -> None:
    page = visit(viewport=viewport)
    choose(page, "local", numbers=LONG)
    expect(field(page, "local").get_by_role("option").first).not_to_be_in_viewport()
    button(page, "Run").focus()
    page.keyboard.press("Enter")  # as a click would, but without a scroll of Playwright's own
    expect(field(page, "local").locator("[data-state=own]").first).to_be_attached()
    expect(field(page, "local").get_by_role("option").first).to_be_in_viewport(ratio=1)
    expect(status(page)).to_be_in_viewport(ratio=1)
    fields = form(page).locator("select, input:not([type=hidden])")
    expect(fields).to_have_count(6)
    assert all(each.is_disabled() for each in fields.all())
    expect(in_flight(page)).to_have_text(re.compile(r"\d"))
    button(page, "Stop").click()
    expect(status(page)).to_have_text("Stopped.")
    assert all(each.is_enabled() for each in fields.all())
    expect(in_flight(page)).to_have_text(NOTHING)


# Before it


def test_the_source_stands_beside_the_field_where_there_is_room(visit: "Visit") -> None:
    page = visit(viewport=DESK)
    choose(page, "local")
    source = track(page, "local").get_by_label("Source of local").first
    expect(source).to_be_visible()
    field_box, source_box = field(page, "local").bounding_box(), source.bounding_box()
    assert field_box
    assert source_box
    assert source_box["x"] >= field_box["x"] + field_box["width"]
    assert source_box["y"] < field_box["y"] + field_box["height"]


def test_the_source_is_folded_on_a_narrow_screen(visit: "Visit") -> None:
    page = visit(viewport=PHONE)
    choose(page, "local")
    folded = track(page, "local").get_by_text("Its source, as it runs here")
    expect(folded).to_be_visible()
    expect(track(page, "local").get_by_label("Source of local")).to_have_count(0)
    folded.click()
    expect(track(page, "local").get_by_label("Source of local").first).to_be_visible()
