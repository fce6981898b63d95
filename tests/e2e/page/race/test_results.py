"""What a race has shown: its verdicts and cells, and who read whose data.

One race is run, and all tests look at it.
"""

import inspect
import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from greenlane.demo.strategies import ReleasedLocal

if TYPE_CHECKING:
    from tests.e2e.page.conftest import Axe, Looks
    from tests.e2e.page.race.conftest import Race


@pytest.fixture(scope="module")
def raced(kept_page: Page, race_on: "type[Race]") -> "Race":
    """A page on which a shared object has raced beside a Local."""
    race = race_on(kept_page)
    race.choose("shared-object", "local")
    race.run()
    return race


def test_a_shared_object_mixes_requests_up_and_a_local_does_not(raced: "Race") -> None:
    expect(raced.bad("shared-object").first).to_be_visible()
    expect(raced.track("shared-object").get_by_text("CROSS-TALK", exact=True)).to_be_visible()
    expect(raced.cells("local", "own")).to_have_count(60)
    expect(raced.track("local").get_by_text("ISOLATED", exact=True)).to_be_visible()
    expect(raced.status).to_contain_text("local: ISOLATED")
    figures = raced.page.locator("#race-figures")
    expect(figures.locator("[data-figure=native_threads]")).to_have_text("1")
    assert int(figures.locator("[data-figure=peak]").inner_text()) > 1


def test_the_counts_are_those_of_the_cells(raced: "Race") -> None:
    counts = raced.track("shared-object").locator(".counts").inner_text()
    told = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", counts)}
    assert sum(told.values()) == 60
    for word, number in told.items():
        expect(raced.cells("shared-object", re.compile(f": {word}"))).to_have_count(number)


def test_cells_differ_in_more_than_colour(raced: "Race") -> None:
    """With every colour taken away, a cell that went wrong still looks unlike one that did not."""
    shape = """(node) => JSON.stringify([null, '::before', '::after'].map((pseudo) => {
      const style = getComputedStyle(node, pseudo);
      return [style.borderRadius, style.borderStyle, style.borderWidth, style.transform, style.clipPath,
              style.content, style.maskImage, style.width, style.height, style.backgroundImage !== 'none'];
    }))"""
    right = raced.cells("local", "own").first.evaluate(shape)
    wrong = raced.bad("shared-object").first.evaluate(shape)
    assert right != wrong


def test_the_source_beside_the_field_is_the_one_that_runs(raced: "Race") -> None:
    beside = raced.track("local")
    expect(beside.get_by_text("demo/strategies/").first).to_be_visible()
    shown = beside.get_by_label("Source of local").first
    expect(shown).to_be_visible()
    assert shown.inner_text().strip() == inspect.getsource(ReleasedLocal).strip()


def test_a_click_on_a_bad_cell_opens_its_timeline(raced: "Race") -> None:
    cell = raced.bad("shared-object").last
    number = re.search(r"\d+", str(cell.get_attribute("aria-label")))
    assert number
    cell.click()
    expect(raced.timeline.locator("figcaption")).to_contain_text(f"request {number[0]}", ignore_case=True)
    expect(raced.timeline.get_by_role("img").first).to_be_visible()
    expect(raced.timeline.get_by_text("kept in the one object").first).to_be_visible()


def test_an_own_cell_of_a_local_shows_a_place_of_its_own(raced: "Race") -> None:
    raced.cells("local", "own").nth(30).click()
    expect(raced.timeline.locator("figcaption")).to_contain_text("own")
    expect(raced.timeline.get_by_text("kept in greenlet").first).to_be_visible()


@pytest.mark.parametrize(
    ("name", "ends"), [("Save for Perfetto (Chrome trace)", ".json"), ("Save as SVG", ".svg")]
)
def test_a_timeline_can_be_saved(raced: "Race", name: str, ends: str) -> None:
    raced.bad("shared-object").first.click()
    with raced.page.expect_download() as download:
        raced.timeline.get_by_role("button", name=name).click()
    assert download.value.suggested_filename.endswith(ends)
    assert download.value.path().stat().st_size > 500


def test_a_race_and_its_timeline_have_no_barriers(raced: "Race", looks: "Looks", axe: "Axe") -> None:
    raced.bad("shared-object").first.click()
    expect(raced.timeline).to_be_visible()
    for look in looks(raced.page):
        assert axe(raced.page, "section[aria-labelledby=race]") == [], look
        assert raced.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), look
