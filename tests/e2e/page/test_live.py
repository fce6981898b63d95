"""The server live, as somebody watches it: figures under a real load, and nothing sent while nobody looks."""

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

if TYPE_CHECKING:
    from tests.e2e.conftest import Process
    from tests.e2e.page.conftest import Axe, Looks, Visit, Watch

COUNTED = (
    *("time", "in_flight", "peak", "requests", "requests_per_second", "greenlets", "native_threads"),
    *("connections", "switches_per_second"),
)
SNAPSHOT: dict[str, Any] = dict.fromkeys(COUNTED, 2) | {
    "contexts": {"request": 2, "application": 2},
    "ages": [[10, 2], [100, 0], [1000, 0], [10_000, 0], [None, 0]],
    "memory_bytes": 1e8,
    "loop_delay_ms": 1.0,
}
# Two requests of which one ends, and one that comes; a race of a Local that ends.
TWO_SNAPSHOTS: tuple[dict[str, Any], ...] = (
    {"lanes": [[1, "GET /a", 4], [2, "GET /b", 9]], "entries": {"local": 2, "race/local": 1}},
    {"lanes": [[1, "GET /a", 5], [3, "GET /c", 5]], "entries": {"local": 2}},
)
# Of each row's bar, of which the first two are looked at: its colour, and how long that goes on, in pixels.
BARS = """(canvas) => [9, 27].map((y) => {
  const row = canvas.getContext('2d').getImageData(0, y * devicePixelRatio, canvas.width, 1).data;
  const colour = (x) => row.slice(4 * x, 4 * x + 4).join();
  let x = 0;
  while (x < canvas.width && colour(x) === colour(0)) x += 1;
  return [colour(0), x / devicePixelRatio];
})"""
OVERHEAR = """addEventListener('DOMContentLoaded', () => {
  window.said = new Set();
  const state = document.querySelector('.live-state');
  const observer = new MutationObserver(() => said.add(state.textContent));
  observer.observe(state, {childList: true, characterData: true, subtree: true});
})"""
ENDED = "The server is stopping. Waiting for it to come back…"
FULL = "The server has no room for one more who watches. Trying again…"
LOST = "The server does not answer. Trying again…"
REFUSALS = {
    "draining": (503, {"Live-Refused": "draining"}, ENDED),
    "full": (503, {"Live-Refused": "full"}, FULL),
    "a balancer's": (503, {}, LOST),
    "broken": (500, {}, LOST),
}


@contextmanager
def in_flight(server: "Process", number: int, hops: int) -> Iterator[None]:
    """Have ``number`` probes in flight, each for half to one and a half second a hop."""
    connections = [HTTPConnection("127.0.0.1", server.port, timeout=60) for _ in range(number)]
    for index, connection in enumerate(connections):
        connection.request("GET", f"/probe/local?nonce=n{index}&hops={hops}&pause=1000")
    yield
    for connection in connections:
        assert connection.getresponse().status == 200
        connection.close()


def part(page: Page) -> Locator:
    return page.locator("[data-part=live]")


def figure(page: Page, name: str) -> Locator:
    return part(page).locator(f"[data-figure={name}]")


def is_live(url: str) -> bool:
    return url.endswith("/live")


def watch_live(page: Page) -> None:
    """Go there as a visitor does; the orders above it, which he passes, may be drawn while he is there."""
    page.get_by_role("navigation", name="On this page").get_by_role("link", name=re.compile("^Live")).click()
    expect(figure(page, "in_flight")).to_be_visible()


def test_figures_change_under_load_and_come_to_rest_after_it(page: Page, server: "Process") -> None:
    watch_live(page)
    expect(figure(page, "in_flight")).to_have_text("0")
    lanes = part(page).get_by_role("img", name=re.compile("^Requests in flight, each as a bar"))
    with in_flight(server, 20, hops=3):
        expect(figure(page, "in_flight")).to_have_text("20")
        expect(lanes).to_have_accessible_name(re.compile("20 requests, the oldest GET /probe/local for"))
        expect(part(page).get_by_role("row", name=re.compile("^entries in local "))).to_contain_text("20")
        expect(figure(page, "native_threads")).to_have_text("1")
    expect(figure(page, "in_flight")).to_have_text("0")
    expect(lanes).to_have_accessible_name(re.compile("none at this moment"))
    expect(part(page).get_by_role("row", name="entries in local 0", exact=True)).to_be_visible()
    assert int(figure(page, "peak").inner_text()) >= 20


def test_many_in_flight_are_told_by_their_age(page: Page, server: "Process") -> None:
    watch_live(page)
    lanes = part(page).get_by_role("img", name=re.compile("^Requests in flight, each as a bar"))
    with in_flight(server, 250, hops=3):
        expect(figure(page, "in_flight")).to_have_text(re.compile(r"^2[0-5]\d$"))
        expect(lanes).to_have_accessible_name(
            re.compile(r": \d+ under 10 ms, \d+ 10 to 100 ms, \d+ 0.1 to 1 s, \d+ 1 to 10 s, \d+ over 10 s$")
        )


def test_nothing_is_sent_while_nobody_looks(visit: "Visit") -> None:
    """At the top of the page, and while it is paused: a stream that is not open costs nothing."""
    page = visit(path=None, viewport={"width": 1280, "height": 600})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    ended: list[str] = []
    page.on("requestfailed", lambda request: ended.append(request.url))
    page.on("requestfinished", lambda request: ended.append(request.url))
    page.goto("/", wait_until="networkidle")
    assert not any(map(is_live, asked))
    watch_live(page)
    assert any(map(is_live, asked))
    assert not any(map(is_live, ended))
    with page.expect_event("requestfailed", lambda request: is_live(request.url)):
        part(page).get_by_role("button", name="Pause").click()
    expect(part(page).get_by_role("status")).to_have_text("Paused.")
    part(page).get_by_role("button", name="Go on").click()
    expect(part(page).get_by_role("button", name="Pause")).to_be_visible()
    with page.expect_event("requestfailed", lambda request: is_live(request.url)):
        page.get_by_role("heading", level=1).scroll_into_view_if_needed()


# Given what the server is said to have sent


def stream(route: Route) -> None:
    """Send both snapshots at once, and then nothing more."""
    events = (f"event: snapshot\ndata: {json.dumps(SNAPSHOT | each)}\n\n" for each in TWO_SNAPSHOTS)
    route.fulfill(content_type="text/event-stream", body="".join(events))


def open_live(page: Page) -> None:
    """Open the page there, when all above it has taken its place."""
    page.goto("/#live")
    page.locator("[data-part=orders]").scroll_into_view_if_needed()
    expect(page.get_by_role("slider")).to_be_visible()
    part(page).locator(".live-bar").scroll_into_view_if_needed()


def bars(page: Page) -> list[tuple[str, float]]:
    canvas = part(page).locator("canvas[data-picture=lanes]")
    return [(colour, length) for colour, length in canvas.evaluate(BARS)]


@pytest.fixture(scope="module")
def told(kept_page: Page) -> Page:
    """A page that has been sent two snapshots, and then no more."""
    kept_page.route("**/live", stream)
    open_live(kept_page)
    expect(figure(kept_page, "in_flight")).to_have_text("2")
    return kept_page


def test_a_bar_is_as_long_as_its_request_was_old_at_the_snapshot(told: Page) -> None:
    """It does not grow while nothing is known, and the row of one that has gone is another's."""
    width = told.evaluate("document.querySelector('canvas[data-picture=lanes]').clientWidth")
    of_5_ms = math.log10(1 + 5) / 5 * (width - 1)
    before = bars(told)
    assert [length for _, length in before] == [pytest.approx(of_5_ms, abs=2)] * 2
    told.wait_for_timeout(1000)  # time itself is what it must not follow
    assert bars(told) == before


def test_what_is_kept_is_told_as_long_as_it_is_sent(told: Page) -> None:
    """The Locals of a race come and go."""
    expect(part(told).locator(".live-kept tbody th")).to_have_text(
        [
            "request contexts, pushed and not popped",
            "application contexts, pushed and not popped",
            "entries in local",
        ]
    )


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_pictures_are_drawn_in_forced_colours(told: Page, axe: "Axe", colours: Any) -> None:
    told.emulate_media(forced_colors="active", color_scheme=colours)
    try:
        ink = {"light": "0,0,0,255", "dark": "255,255,255,255"}[colours]
        told.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        assert [colour for colour, _ in bars(told)] == [ink, ink]
        assert axe(told, "[data-part=live]") == []
    finally:
        told.emulate_media(forced_colors="none", color_scheme="light")


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_is_told_by_its_reason_and_not_by_another_besides(
    visit: "Visit", watch: "Watch", refusal: str
) -> None:
    """It tries again after three seconds, and is refused again."""
    status, headers, said = REFUSALS[refusal]
    # All of it is on the screen, so that the stream is opened once.
    page = visit(path=None, viewport={"width": 1280, "height": 6000})
    # The page's time stands still, however slow the machine is, until it is moved on.
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    page.route("**/live", lambda route: route.fulfill(status=status, headers=headers))
    page.add_init_script(OVERHEAR)
    open_live(page)
    expect(part(page).get_by_role("status")).to_have_text(said)
    # It is not said again while it stands there: so it is taken away.
    page.evaluate("document.querySelector('.live-state').textContent = 'not yet'")
    page.clock.fast_forward(4000)
    expect(part(page).get_by_role("status")).to_have_text(said)
    assert page.evaluate("[...said]") == [said, "not yet"]
    watch.expect(f"status of {status}")


# Everybody


def test_a_race_of_a_local_is_seen_by_its_entries(page: Page) -> None:
    """While it runs, and no longer."""
    form = page.get_by_role("form", name="Race")
    for label, value in (("Requests", "2000"), ("At once", "4"), ("Switches", "16")):
        form.get_by_label(label).fill(value)
    form.get_by_role("button", name="Run").click()
    entries = part(page).get_by_role("row", name=re.compile("^entries in race.local [1-9]"))
    watch_live(page)
    expect(entries).to_be_visible()
    form.get_by_role("button", name="Stop").click()
    expect(page.locator("#race-status")).to_have_text("Stopped.")
    watch_live(page)
    expect(part(page).get_by_role("row", name=re.compile("^entries in race.local"))).to_have_count(0)


def test_the_live_part_has_no_barriers(page: Page, looks: "Looks", axe: "Axe", server: "Process") -> None:
    watch_live(page)
    with in_flight(server, 5, hops=2):
        for look in looks(page):
            assert axe(page, "[data-part=live]") == [], look
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), look
