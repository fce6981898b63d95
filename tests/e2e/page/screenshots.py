"""Makes the README's pictures from the running program: `make screenshots` (maintainers).

No tests, so that they run only when they are named; but with the fixtures of tests, and failing as
those do on whatever the page's console says. The pictures show what came: only what is clicked on was chosen.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import FloatRect, Locator, Page, expect

if TYPE_CHECKING:
    from tests.e2e.conftest import Process
    from tests.e2e.page.conftest import Visit

IMAGES = Path(__file__).parents[3] / "docs" / "images"
MOST_BYTES = 250_000
MARGIN = 8
RACE_TIMEOUT_MS = 60_000


@pytest.fixture
def page(visit: "Visit") -> Page:
    """The page as it is on a fine screen: wide enough for two fields, with nothing that moves."""
    return visit(
        viewport={"width": 1080, "height": 900},
        device_scale_factor=2,
        color_scheme="light",
        reduced_motion="reduce",
    )


def take(page: Page, name: str, first: Locator, last: Locator) -> None:
    """Write the picture of what lies from ``first`` to ``last``, as fine as its size allows."""
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    boxes = [box for locator in (first, last) if (box := locator.bounding_box())]
    assert len(boxes) == 2, f"{name}: something is not to be seen"
    left = min(box["x"] for box in boxes)
    top = boxes[0]["y"]
    clip: FloatRect = {
        "x": left - MARGIN,
        "y": top - MARGIN + page.evaluate("scrollY"),
        "width": max(box["x"] + box["width"] for box in boxes) - left + 2 * MARGIN,
        "height": boxes[1]["y"] + boxes[1]["height"] - top + 2 * MARGIN,
    }
    picture = page.screenshot(full_page=True, clip=clip)
    if len(picture) > MOST_BYTES:
        picture = page.screenshot(full_page=True, clip=clip, scale="css")
    assert len(picture) <= MOST_BYTES, f"{name} has {len(picture):,} bytes"
    (IMAGES / f"{name}.png").write_bytes(picture)


def test_race_and_timeline(page: Page) -> None:
    form = page.get_by_role("form", name="Race")
    form.get_by_label("Strategy").select_option(label="shared-object")
    form.get_by_label("Beside it").select_option(label="local")
    form.get_by_role("button", name="Run").click()
    expect(page.get_by_role("status").first).to_contain_text("local: ", timeout=RACE_TIMEOUT_MS)
    foreign = page.get_by_role("option", name=re.compile(r": foreign"))
    (foreign if foreign.count() else page.get_by_role("option", name=re.compile(": torn"))).first.click()
    figure = page.locator("figure.timeline")
    expect(figure).to_be_visible()
    take(page, "race", form, page.get_by_role("list", name="What the cells mean"))
    take(page, "timeline", figure, figure)


def test_orders(page: Page) -> None:
    part = page.locator("[data-part=orders]")
    part.scroll_into_view_if_needed()
    part.locator("input[value=three]").check()
    expect(part.get_by_role("slider")).to_be_visible(timeout=RACE_TIMEOUT_MS)
    part.get_by_role("button", name=re.compile("^shared-object")).click()
    take(page, "orders", part, part)


def test_live(page: Page, server: "Process") -> None:
    page.get_by_role("navigation", name="On this page").get_by_role("link", name=re.compile("^Live")).click()
    shown = page.locator("[data-part=live] .live-now")
    requests = shown.locator("[data-figure=requests]")
    expect(requests).to_have_text(re.compile(r"\d"))
    before = int(requests.inner_text())
    with _load(server):
        page.wait_for_function(
            "([node, least]) => Number(node.textContent.replace(',', '')) >= least",
            arg=[requests.element_handle(), before + 300],
            timeout=RACE_TIMEOUT_MS,
        )
        take(page, "live", shown, shown)


@contextmanager
def _load(server: "Process") -> Iterator[None]:
    """Have requests in flight: the load of a race, from a process of its own."""
    load = subprocess.Popen(
        [
            *(
                sys.executable,
                "-m",
                "crosstalk",
                "race",
                "--host",
                server.where,
                "--cell",
                "shared-object/context",
            ),
            *("--requests", "2000", "--at-once", "24", "--hops", "6", "--pause", "150"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        load.terminate()
        load.wait()
