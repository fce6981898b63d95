"""Every order, as somebody goes through them: by the slider, by the buttons, and without a script.

What must be seen is worked out here once more, from nothing but the order.
"""

import itertools
import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Locator, Page, expect

if TYPE_CHECKING:
    from tests.e2e.page.conftest import Axe, Looks, Visit

# What forced colours are drawn with here: the system's CanvasText.
INK = {"light": "rgb(0, 0, 0)", "dark": "rgb(255, 255, 255)"}


def orders(requests: str) -> list[str]:
    """All orders of requests of two steps, of which the first writes and the second reads back."""
    return sorted({"".join(order) for order in itertools.permutations(requests * 2)})


def mixed_up(order: str) -> bool:
    """Whether somebody reads another's data in one object: another's write comes between write and read."""
    last, written = "", set()
    for name in order:
        if name in written and last != name:
            return True
        if name not in written:
            written.add(name)
            last = name
    return False


def part(page: Page) -> Locator:
    return page.locator("[data-part=orders]")


def open_program(page: Page, program: str) -> None:
    part(page).scroll_into_view_if_needed()
    part(page).locator(f"input[value={program}]").check()
    expect(slider(page)).to_be_visible(timeout=60_000)


def slider(page: Page) -> Locator:
    return part(page).get_by_role("slider")


def strategy(page: Page, name: str) -> Locator:
    return part(page).get_by_role("button", name=re.compile(rf"^{name}\b(?!-)"))


def shown(page: Page) -> str:
    """The order that is shown, as letters."""
    label = part(page).locator("label[for=orders-slider]").inner_text()
    return label.partition(": ")[2].replace(" ", "")


@pytest.fixture
def orders_page(kept_page: Page) -> Page:
    open_program(kept_page, "two")
    strategy(kept_page, "shared-object").click()
    return kept_page


def test_the_first_sight_makes_the_point(kept_page: Page) -> None:
    """An order in which a shared object fails, beside strategies that hold in all."""
    open_program(kept_page, "two")
    expect(strategy(kept_page, "shared-object")).to_have_attribute("aria-pressed", "true")
    expect(strategy(kept_page, "shared-object")).to_contain_text("fails in this order")
    expect(strategy(kept_page, "local")).to_contain_text("holds in all 6")
    assert mixed_up(shown(kept_page))


@pytest.mark.parametrize(("program", "requests"), [("two", "ab"), ("three", "abc")])
def test_the_slider_goes_through_every_order(kept_page: Page, program: str, requests: str) -> None:
    """By its keys; each order is another one, and those fail that must."""
    open_program(kept_page, program)
    strategy(kept_page, "shared-object").click()
    every = orders(requests)
    slider(kept_page).focus()
    slider(kept_page).press("Home")
    seen = {}
    for number in range(1, len(every) + 1):
        said = str(slider(kept_page).get_attribute("aria-valuetext"))
        assert said.startswith(f"Order {number} of {len(every)}: shared-object ")
        seen[shown(kept_page)] = said.endswith("fails")
        slider(kept_page).press("ArrowRight")
    assert seen == {order: mixed_up(order) for order in every}
    expect(strategy(kept_page, "shared-object")).to_contain_text(
        f"fails in {sum(seen.values())} of {len(every)}"
    )
    for name in ("local", "context"):
        expect(strategy(kept_page, name)).to_contain_text(f"holds in all {len(every)}")


def test_a_kept_alive_connection_tells_released_from_unreleased(kept_page: Page) -> None:
    open_program(kept_page, "kept-alive")
    for name in ("local", "context"):
        expect(strategy(kept_page, name)).to_contain_text("holds in all 15")
    for name in ("gevent-local", "contextvar", "local-unreleased"):
        expect(strategy(kept_page, name)).to_contain_text("fails in 15 of 15")


def test_what_lies_where_is_shown_step_by_step(orders_page: Page) -> None:
    slider(orders_page).press("Home")
    order = part(orders_page).get_by_role("table", name="shared-object: Order 1 of 6")
    expect(order.get_by_role("row", name=re.compile("^request a"))).to_contain_text("writes a")
    expect(order.get_by_role("row", name=re.compile("^the one object"))).to_be_visible()
    strategy(orders_page, "local").click()
    order = part(orders_page).get_by_role("table", name="local: Order 1 of 6")
    for place in ("greenlet 1", "greenlet 2"):
        expect(order.get_by_role("row", name=re.compile(f"^{place}"))).to_be_visible()


def test_the_next_order_that_fails_is_found(orders_page: Page) -> None:
    slider(orders_page).press("Home")
    for _ in range(6):
        part(orders_page).get_by_role("button", name="Next that fails").click()
        assert mixed_up(shown(orders_page))
    strategy(orders_page, "local").click()
    expect(part(orders_page).get_by_role("button", name="Next that fails")).to_be_disabled()


def test_it_can_be_played_and_paused(orders_page: Page) -> None:
    slider(orders_page).press("Home")
    before = shown(orders_page)
    part(orders_page).get_by_role("button", name="Play").click()
    expect(part(orders_page).locator("label[for=orders-slider]")).not_to_contain_text("Order 1 ")
    part(orders_page).get_by_role("button", name="Pause").click()
    expect(part(orders_page).get_by_role("button", name="Play")).to_be_visible()
    assert shown(orders_page) != before


def test_only_one_voice_speaks_at_a_time(orders_page: Page) -> None:
    """The slider says its own value; the sentence is read out only where a button has changed it."""
    sentence = part(orders_page).locator(".orders-sentence")
    buttons = part(orders_page).locator(".orders-tools")
    slider(orders_page).press("ArrowRight")
    expect(sentence).to_have_attribute("aria-live", "off")
    for name in ("Next order", "Previous order", "Next that fails"):
        slider(orders_page).press("ArrowRight")
        buttons.get_by_role("button", name=name).click()
        expect(sentence).to_have_attribute("aria-live", "polite")
    slider(orders_page).press("ArrowRight")
    strategy(orders_page, "context").click()
    expect(sentence).to_have_attribute("aria-live", "polite")
    before = shown(orders_page)
    buttons.get_by_role("button", name="Play").click()
    expect(part(orders_page).locator("label[for=orders-slider]")).not_to_contain_text(" ".join(before))
    expect(sentence).to_have_attribute("aria-live", "off")
    buttons.get_by_role("button", name="Pause").click()


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_shapes_tell_where_colours_are_forced(orders_page: Page, colours: Any) -> None:
    orders_page.emulate_media(forced_colors="active", color_scheme=colours)
    try:
        bars = part(orders_page).locator(".orders-map")
        heights = {}
        for kind in ("bad", "good"):
            bar = bars.locator(f".{kind}").first
            shown_by = "border-bottom-width", "border-bottom-color"
            width, colour = (style(bar, name) for name in shown_by)
            assert colour == INK[colours]
            heights[kind] = float(width.removesuffix("px"))
        assert heights["bad"] > 2 * heights["good"] > 0
        slider(orders_page).press("Home")
        kept = part(orders_page).locator(".orders-scroll tbody + tbody")
        come, stayed = kept.locator("td:not(.stays) > .chip").first, kept.locator(".stays .chip").first
        assert style(come, "background-color") == INK[colours]
        assert style(stayed, "background-color") == "rgba(0, 0, 0, 0)"
        assert style(stayed, "color") == INK[colours]
        buttons = part(orders_page).locator(".orders-strategies")
        assert style(buttons.locator("[aria-pressed=true]"), "border-top-width") == "3px"
        others = buttons.locator("[aria-pressed=false]").all()
        assert {style(each, "border-top-width") for each in others} == {"1px"}
    finally:
        orders_page.emulate_media(forced_colors="none", color_scheme="light")


def style(node: Locator, name: str) -> str:
    return str(node.evaluate("(node, name) => getComputedStyle(node).getPropertyValue(name)", name))


def test_the_orders_have_no_barriers(kept_page: Page, looks: "Looks", axe: "Axe") -> None:
    open_program(kept_page, "fields")
    for look in looks(kept_page):
        assert axe(kept_page, "[data-part=orders]") == [], look
        assert kept_page.evaluate("document.documentElement.scrollWidth <= innerWidth"), look


def test_without_a_script_the_orders_are_tables(visit: "Visit") -> None:
    page = visit(java_script_enabled=False)
    page.get_by_role("link", name="three", exact=True).click()
    expect(page.get_by_role("row", name=re.compile(r"^shared-object .*\b\d+ of 90\b"))).to_be_visible(
        timeout=60_000
    )
    expect(page.get_by_role("row", name=re.compile(r"^local .*\ball 90\b"))).to_be_visible()
