"""A race, as somebody sees it who opens the page: chosen, run, looked into, stopped, refused."""

import inspect
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import psutil
import pytest
from playwright.sync_api import Locator, Page, expect

from greenlane.demo.strategies import ReleasedLocal

if TYPE_CHECKING:
    from tests.e2e.conftest import Process, WaitUntil
    from tests.e2e.page.conftest import Axe, Looks, Visit, Watch

BAD = re.compile("foreign|torn|stale|missing")
LONG = {"requests": 2000, "at_once": 4, "hops": 16}
RACE_TIMEOUT_MS = 60_000


def choose(page: Page, strategy: str, beside: str = "nothing", **numbers: int) -> None:
    form = page.get_by_role("form", name="Race")
    form.get_by_label("Strategy").select_option(label=strategy)
    form.get_by_label("Beside it").select_option(label=beside)
    for name, value in ({"requests": 60, "at_once": 20, "hops": 2} | numbers).items():
        label = {"requests": "Requests", "at_once": "At once", "hops": "Switches"}[name]
        form.get_by_label(label).fill(str(value))


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("form", name="Race").get_by_role("button", name=name)


def run(page: Page, strategy: str, beside: str = "nothing", **numbers: int) -> None:
    """Run a race to its end."""
    choose(page, strategy, beside, **numbers)
    button(page, "Run").click()
    expect(button(page, "Stop")).to_be_visible()
    expect(button(page, "Run")).to_be_visible(timeout=RACE_TIMEOUT_MS)


def track(page: Page, strategy: str) -> Locator:
    return page.get_by_role("article", name=strategy, exact=True)


def field(page: Page, strategy: str) -> Locator:
    return page.get_by_role("listbox", name=f"Requests under {strategy}", exact=True)


def cells(page: Page, strategy: str, said: str | re.Pattern[str]) -> Locator:
    return field(page, strategy).get_by_role("option", name=said)


def timeline(page: Page) -> Locator:
    return page.locator("figure.timeline")


def load_of(server: "Process") -> list[psutil.Process]:
    """The processes that the server has started and that still run."""
    return psutil.Process(server.popen.pid).children(recursive=True)


def running(server: "Process") -> str:
    """Start nothing; return the path of the arena that the running load sends its requests to."""
    (load,) = load_of(server)
    (host,) = (part for part in load.cmdline() if "/arena/" in part)
    return host.partition(server.where)[2]


def at_rest(server: "Process") -> bool:
    """Whether no load runs, nothing is in flight, and nothing is kept for any request."""
    metrics = server.get("/metrics")[1].decode()
    kept = re.findall(
        r"^greenlane_(?:requests_in_flight|local_entries\S*|demo_left\S*) (\S+)$", metrics, re.MULTILINE
    )
    assert len(kept) > 2
    return not load_of(server) and set(map(float, kept)) == {0.0}


@pytest.fixture(autouse=True)
def _nothing_left(server: "Process", wait_until: "WaitUntil") -> Iterator[None]:
    yield
    wait_until(lambda: at_rest(server), "the server is at rest")


@pytest.fixture(scope="module")
def raced(kept_page: Page) -> Page:
    """A page on which a shared object has raced beside a Local."""
    run(kept_page, "shared-object", "local")
    return kept_page


# What is seen


def test_a_shared_object_mixes_requests_up_and_a_local_does_not(raced: Page) -> None:
    expect(cells(raced, "shared-object", BAD).first).to_be_visible()
    expect(track(raced, "shared-object").get_by_text("CROSS-TALK", exact=True)).to_be_visible()
    expect(cells(raced, "local", "own")).to_have_count(60)
    expect(track(raced, "local").get_by_text("ISOLATED", exact=True)).to_be_visible()
    expect(raced.get_by_role("status").first).to_contain_text("local: ISOLATED")
    figures = raced.locator("#race-figures")
    expect(figures.locator("[data-figure=native_threads]")).to_have_text("1")
    assert int(figures.locator("[data-figure=peak]").inner_text()) > 1


def test_the_counts_are_those_of_the_cells(raced: Page) -> None:
    counts = track(raced, "shared-object").locator(".counts").inner_text()
    told = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", counts)}
    assert sum(told.values()) == 60
    for word, number in told.items():
        expect(cells(raced, "shared-object", re.compile(f": {word}"))).to_have_count(number)


def test_cells_differ_in_more_than_colour(raced: Page) -> None:
    """With every colour taken away, a cell that went wrong still looks unlike one that did not."""
    shape = """(node) => JSON.stringify([null, '::before', '::after'].map((pseudo) => {
      const style = getComputedStyle(node, pseudo);
      return [style.borderRadius, style.borderStyle, style.borderWidth, style.transform, style.clipPath,
              style.content, style.maskImage, style.width, style.height, style.backgroundImage !== 'none'];
    }))"""
    right = cells(raced, "local", "own").first.evaluate(shape)
    wrong = cells(raced, "shared-object", BAD).first.evaluate(shape)
    assert right != wrong


def test_the_source_beside_the_field_is_the_one_that_runs(raced: Page) -> None:
    beside = track(raced, "local")
    expect(beside.get_by_text("demo/strategies/").first).to_be_visible()
    shown = beside.get_by_label("Source of local").first
    expect(shown).to_be_visible()
    assert shown.inner_text().strip() == inspect.getsource(ReleasedLocal).strip()


# Who read whose data


def test_a_click_on_a_bad_cell_opens_its_timeline(raced: Page) -> None:
    cell = cells(raced, "shared-object", BAD).last
    number = re.search(r"\d+", str(cell.get_attribute("aria-label")))
    assert number
    cell.click()
    expect(timeline(raced).locator("figcaption")).to_contain_text(f"request {number[0]}", ignore_case=True)
    expect(timeline(raced).get_by_role("img").first).to_be_visible()
    expect(timeline(raced).get_by_text("kept in the one object").first).to_be_visible()


def test_an_own_cell_of_a_local_shows_a_place_of_its_own(raced: Page) -> None:
    cells(raced, "local", "own").nth(30).click()
    expect(timeline(raced).locator("figcaption")).to_contain_text("own")
    expect(timeline(raced).get_by_text("kept in greenlet").first).to_be_visible()


@pytest.mark.parametrize(
    ("name", "ends"), [("Save for Perfetto (Chrome trace)", ".json"), ("Save as SVG", ".svg")]
)
def test_a_timeline_can_be_saved(raced: Page, name: str, ends: str) -> None:
    cells(raced, "shared-object", BAD).first.click()
    with raced.expect_download() as download:
        timeline(raced).get_by_role("button", name=name).click()
    assert download.value.suggested_filename.endswith(ends)
    assert download.value.path().stat().st_size > 500


# Other races


def test_a_local_alone_is_isolated_because_its_control_was_caught(page: Page) -> None:
    run(page, "local")
    expect(track(page, "local").get_by_text("ISOLATED", exact=True)).to_be_visible()
    expect(page.get_by_role("status").first).to_contain_text("The control, shared-object/broken, was caught")
    expect(cells(page, "local", BAD)).to_have_count(0)
    expect(timeline(page)).to_be_hidden()


def test_one_at_a_time_shows_nothing_and_says_so(page: Page) -> None:
    run(page, "local", "shared-object", requests=10, at_once=1)
    for strategy in ("local", "shared-object"):
        expect(track(page, strategy).get_by_text("INCONCLUSIVE", exact=True)).to_be_visible()
        expect(cells(page, strategy, BAD)).to_have_count(0)


def test_from_the_top_of_the_page_to_the_timeline_by_the_keyboard_alone(page: Page) -> None:
    def tab_to(target: Locator) -> None:
        for _ in range(200):
            page.keyboard.press("Tab")
            if target.evaluate("(node) => node === document.activeElement"):
                return
        pytest.fail("the Tab key does not come by")

    form = page.get_by_role("form", name="Race")
    tab_to(form.get_by_label("Strategy"))
    page.keyboard.type("shared")
    expect(form.get_by_label("Strategy")).to_have_value("shared-object")
    tab_to(form.get_by_label("Beside it"))
    page.keyboard.type("local")
    tab_to(form.get_by_label("Requests"))
    page.keyboard.type("60")
    tab_to(button(page, "Run"))
    page.keyboard.press("Enter")
    expect(button(page, "Stop")).to_be_focused()
    expect(button(page, "Run")).to_be_focused(timeout=RACE_TIMEOUT_MS)
    tab_to(field(page, "shared-object"))
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(timeline(page)).to_be_focused()
    expect(timeline(page).locator("figcaption")).to_contain_text("request 59", ignore_case=True)


# Everybody


def test_a_race_and_its_timeline_have_no_barriers(raced: Page, looks: "Looks", axe: "Axe") -> None:
    cells(raced, "shared-object", BAD).first.click()
    expect(timeline(raced)).to_be_visible()
    for look in looks(raced):
        assert axe(raced, "section[aria-labelledby=race]") == [], look
        assert raced.evaluate("document.documentElement.scrollWidth <= innerWidth"), look


def test_without_a_script_a_race_runs_and_the_page_shows_its_results(visit: "Visit") -> None:
    page = visit(java_script_enabled=False)
    choose(page, "shared-object", "local")
    button(page, "Run").click(timeout=RACE_TIMEOUT_MS)
    page.wait_for_url("**/#race", timeout=RACE_TIMEOUT_MS)
    last = page.get_by_role("region", name="The last race on this server").first
    expect(last).to_be_visible(timeout=RACE_TIMEOUT_MS)
    expect(last.get_by_role("row", name=re.compile("^local ISOLATED"))).to_be_visible()
    expect(last.get_by_role("row", name=re.compile("^shared-object CROSS-TALK"))).to_be_visible()
    expect(last.get_by_text(re.compile(r"request \d+ .*the one object")).first).to_be_visible()


def test_without_a_script_the_page_says_that_a_race_runs_and_closing_it_ends_the_race(
    visit: "Visit", server: "Process", wait_until: "WaitUntil"
) -> None:
    page = visit(java_script_enabled=False)
    choose(page, "local", "nothing", **LONG)
    button(page, "Run").click(no_wait_after=True)
    expect(page.get_by_role("heading", level=1)).to_have_text("The race is running")
    expect(page.get_by_role("listitem").first).to_have_text(
        re.compile(r"^\d+ s: [\d,]+ requests finished, \d+ in flight$")
    )
    arena = running(server)
    page.close()
    closed = time.monotonic()
    wait_until(lambda: server.get(f"{arena}/probe/")[0] == 404, "the arena is gone")
    assert time.monotonic() - closed < 1.0


# Stopped, refused, lost


def test_a_race_can_be_stopped_and_another_run(
    page: Page, server: "Process", wait_until: "WaitUntil"
) -> None:
    choose(page, "local", "nothing", **LONG)
    button(page, "Run").click()
    expect(cells(page, "local", "own").first).to_be_attached()
    button(page, "Stop").click()
    expect(page.get_by_role("status").first).to_have_text("Stopped.")
    wait_until(lambda: at_rest(server), "the server is at rest")
    run(page, "shared-object", requests=20)
    expect(track(page, "shared-object").get_by_text("CROSS-TALK", exact=True)).to_be_visible()


def test_a_closed_page_ends_its_race_within_a_second(
    page: Page, server: "Process", wait_until: "WaitUntil"
) -> None:
    choose(page, "local", "nothing", **LONG)
    button(page, "Run").click()
    expect(cells(page, "local", "own").first).to_be_attached()
    arena = running(server)
    assert server.get(f"{arena}/probe/")[0] == 200
    page.close()
    closed = time.monotonic()
    wait_until(lambda: server.get(f"{arena}/probe/")[0] == 404, "the arena is gone")
    wait_until(lambda: at_rest(server), "the server is at rest")
    assert time.monotonic() - closed < 1.0


def test_a_reply_that_ends_early_is_no_verdict(page: Page) -> None:
    """As a balancer may end it that loses the server, without a word."""
    tick = '{"kind":"tick","elapsed":0.1,"in_flight":4,"peak":4,"native_threads":1,"finished":0}\n'
    page.route("**/race", lambda route: route.fulfill(content_type="application/x-ndjson", body=tick))
    button(page, "Run").click()
    expect(page.get_by_role("status").first).to_contain_text("the race has no verdict")
    expect(button(page, "Run")).to_be_enabled()


def test_too_much_is_not_even_sent(page: Page) -> None:
    for name, value in (("Requests", "2001"), ("Requests", "0"), ("At once", "501"), ("Switches", "17")):
        choose(page, "local")
        given = page.get_by_role("form", name="Race").get_by_label(name)
        given.fill(value)
        button(page, "Run").click()
        assert given.evaluate("(node) => node.validity.rangeOverflow || node.validity.rangeUnderflow")
        expect(button(page, "Run")).to_be_visible()


def test_a_form_without_its_token_is_refused(page: Page, watch: "Watch") -> None:
    page.locator("input[name=token]").evaluate("(node) => { node.value = 'another'; }")
    choose(page, "local")
    button(page, "Run").click()
    expect(page.get_by_role("status").first).to_contain_text("load the page again")
    watch.expect("403")
