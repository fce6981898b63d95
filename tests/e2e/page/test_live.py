"""The server live, as somebody watches it: figures under a real load, and nothing sent while nobody looks."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING

from playwright.sync_api import Locator, Page, expect

if TYPE_CHECKING:
    from tests.e2e.conftest import Process
    from tests.e2e.page.conftest import Axe, Looks, Visit


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
        expect(lanes).to_have_accessible_name(re.compile(r": \d+ under 10 ms, \d+ 10 to 100 ms, "))


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


def test_the_live_part_has_no_barriers(page: Page, looks: "Looks", axe: "Axe", server: "Process") -> None:
    watch_live(page)
    with in_flight(server, 5, hops=2):
        for look in looks(page):
            assert axe(page, "[data-part=live]") == [], look
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), look
