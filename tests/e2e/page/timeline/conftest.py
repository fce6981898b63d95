"""Timelines: samples of what was recorded, drawn by the modules that the server serves.

The samples were recorded from real probes, "raced" in a race on the page. Each is drawn in a figure of
its own.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from greenlane.demo.keeper import FIELDS

Sample = dict[str, Any]
Samples = dict[str, Sample]
Draw = Callable[..., "Drawn"]

SAMPLES = Path(__file__).with_name("samples")

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


class Drawn:
    """A sample, drawn: what is to be seen of it, and where.

    Args:
        on_page: the figure.
        sample: what it was drawn from.

    """

    def __init__(self, on_page: Locator, sample: Sample) -> None:
        self.on_page = on_page
        self._sample = sample

    def find(self, selector: str) -> Locator:
        """Find what is in the figure."""
        return self.on_page.locator(selector)

    def button(self, name: str) -> Locator:
        """One of the figure's buttons."""
        return self.on_page.get_by_role("button", name=name)

    @property
    def region(self) -> Locator:
        """The box in which the picture is moved and zoomed."""
        return self.on_page.get_by_role("region", name="Timeline")

    def owners(self, place: str) -> list[str]:
        """Whose a place is said to be, from left to right; with a question mark where that is unsure."""
        found: list[str] = self.find(f'[data-place="{place}"] .segment').evaluate_all(
            "found => found.map((one) => one.dataset.owner)"
        )
        return found

    def segments(self, field: str) -> list[dict[str, Any]]:
        """What is drawn of one field of the one place, from left to right."""
        top = self.find(".empty").nth(FIELDS.index(field)).get_attribute("y")
        found: list[dict[str, Any]] = self.find(f'.segment:has(rect[y="{top}"])').evaluate_all(
            """found => found.map((one) => {
              const {x, width} = one.querySelector('rect');
              const right = x.baseVal.value + width.baseVal.value;
              const unsure = one.classList.contains('unsure');
              return {lane: one.dataset.owner[0], unsure, left: x.baseVal.value, right};
            })"""
        )
        return found

    def words(self) -> list[str]:
        """What is told, a line a step."""
        return [
            re.sub(r"\s+", " ", text)
            for text in self.find("li").evaluate_all(
                "items => items.map((item) => [...item.children].map((part) => part.textContent).join(' '))"
            )
        ]

    def shown(self) -> list[float]:
        """How much of the time is in view, and of how much in all, in milliseconds."""
        return _numbers(self.find("output").text_content())

    def at(self, lane: int, kind: str, what: object = None) -> float:
        """When a lane's event of a kind happened, in milliseconds; the last one of that field or number."""
        times = [
            event[0]
            for event in self._sample["lanes"][lane]["events"]
            if event[1] == kind and (what is None or event[2] == what)
        ]
        return float(times[-1])

    def scale(self) -> Callable[[float], float]:
        """Where a time is, in the picture's pixels: a line through A's beginning and the read in question."""
        reader = self._sample["lanes"][0]
        number = self._sample["story"]["checkpoint"]
        begin, end = reader["events"][0][0], self.at(0, "read", number)
        left = float(self.find('[data-lane="A"] .runs').first.get_attribute("x") or "")
        right = float(self.find(".mark.heart circle").get_attribute("cx") or "")
        return lambda time: left + (time - begin) / (end - begin) * (right - left)

    def edges(self, rects: str) -> list[tuple[float, float]]:
        """Where each rectangle begins and ends, in the picture's pixels."""
        found: list[list[float]] = self.find(rects).evaluate_all(
            "rects => rects.map(({x, width}) => [x.baseVal.value, x.baseVal.value + width.baseVal.value])"
        )
        return [(left, right) for left, right in found]

    def path(self, selector: str) -> list[float]:
        """The numbers of the one such path: x and y of its ends, and of what bends it between them."""
        return _numbers(self.find(selector).get_attribute("d"))

    def saved_trace(self) -> dict[str, Any]:
        """Save it for Perfetto; return what was saved."""
        with self.on_page.page.expect_download() as waiting:
            self.button("Save for Perfetto").click()
        assert waiting.value.suggested_filename.endswith(".trace.json")
        loaded: dict[str, Any] = json.loads(waiting.value.path().read_text())
        return loaded


def _numbers(text: str | None) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", text or "")]


@pytest.fixture
def samples() -> Samples:
    """What was recorded, by name; each test may change it."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(SAMPLES.glob("*.json"))}


@pytest.fixture(scope="session")
def draw() -> Draw:
    """Draw a sample on a page, as it opens or whole: `draw(page, samples["own"], all_of_it=True)`."""

    def on_page(page: Page, sample: Sample, *, all_of_it: bool = False) -> Drawn:
        page.evaluate(DRAW, sample)
        drawn = Drawn(page.locator("#sample"), sample)
        expect(drawn.on_page).to_be_visible()
        if all_of_it:
            drawn.button("Show all").click()
        return drawn

    return on_page
