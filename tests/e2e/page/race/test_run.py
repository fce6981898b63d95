"""A race as somebody runs it who opens the page: chosen, run, stopped, closed, refused, lost."""

import re
import time
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, expect

if TYPE_CHECKING:
    from tests.e2e.conftest import Listens, Process, WaitUntil
    from tests.e2e.page.conftest import Visit, Watch
    from tests.e2e.page.race.conftest import AtRest, Race

RACE_TIMEOUT_MS = 60_000
SOON = 3.0
"""Seconds: the one in which a race has to end, and what a busy machine takes."""


def test_a_local_alone_is_isolated_because_its_control_was_caught(race: "Race") -> None:
    race.choose("local")
    race.run()
    expect(race.track("local").get_by_text("ISOLATED", exact=True)).to_be_visible()
    expect(race.status).to_contain_text("The control, shared-object/broken, was caught")
    expect(race.bad("local")).to_have_count(0)
    expect(race.timeline).to_be_hidden()


def test_one_at_a_time_shows_nothing_and_says_so(race: "Race") -> None:
    race.choose("local", "shared-object", requests=10, at_once=1)
    race.run()
    for strategy in ("local", "shared-object"):
        expect(race.track(strategy).get_by_text("INCONCLUSIVE", exact=True)).to_be_visible()
        expect(race.bad(strategy)).to_have_count(0)


def test_from_the_top_of_the_page_to_the_timeline_by_the_keyboard_alone(race: "Race") -> None:
    keyboard = race.page.keyboard

    def tab_to(target: Locator) -> None:
        for _ in range(200):
            keyboard.press("Tab")
            if target.evaluate("(node) => node === document.activeElement"):
                return
        pytest.fail("the Tab key does not come by")

    form = race.form
    tab_to(form.get_by_label("Strategy"))
    keyboard.type("shared")
    expect(form.get_by_label("Strategy")).to_have_value("shared-object")
    tab_to(form.get_by_label("Beside it"))
    keyboard.type("local")
    tab_to(form.get_by_label("Requests"))
    keyboard.type("60")
    tab_to(race.button("Run"))
    keyboard.press("Enter")
    expect(race.button("Stop")).to_be_focused()
    expect(race.button("Run")).to_be_focused(timeout=RACE_TIMEOUT_MS)
    tab_to(race.field("shared-object"))
    keyboard.press("End")
    keyboard.press("ArrowLeft")
    keyboard.press("Enter")
    expect(race.timeline).to_be_focused()
    expect(race.timeline.locator("figcaption")).to_contain_text("request 59", ignore_case=True)


def test_without_a_script_a_race_runs_and_the_page_shows_its_results(
    visit: "Visit", race_on: "type[Race]"
) -> None:
    page = visit(java_script_enabled=False)
    race = race_on(page)
    race.choose("shared-object", "local")
    race.button("Run").click(timeout=RACE_TIMEOUT_MS)
    page.wait_for_url("**/#race", timeout=RACE_TIMEOUT_MS)
    last = page.get_by_role("region", name="The last race on this server").first
    expect(last).to_be_visible(timeout=RACE_TIMEOUT_MS)
    expect(last.get_by_role("row", name=re.compile("^local ISOLATED"))).to_be_visible()
    expect(last.get_by_role("row", name=re.compile("^shared-object CROSS-TALK"))).to_be_visible()
    expect(last.get_by_text(re.compile(r"request \d+ .*the one object")).first).to_be_visible()


def test_without_a_script_the_page_says_that_a_race_runs_and_closing_it_ends_the_race(
    visit: "Visit", server: "Process", wait_until: "WaitUntil", race_on: "type[Race]", listens: "Listens"
) -> None:
    page = visit(java_script_enabled=False)
    race = race_on(page)
    race.choose_long("local")
    race.button("Run").click(no_wait_after=True)
    expect(page.get_by_role("heading", level=1)).to_have_text("The race is running")
    expect(page.get_by_role("listitem").first).to_have_text(
        re.compile(r"^\d+ s: [\d,]+ requests finished, \d+ in flight$")
    )
    arena = server.arena()
    page.close()
    closed = time.monotonic()
    wait_until(lambda: not listens(arena), "the arena is gone")
    assert time.monotonic() - closed < SOON


def test_a_race_can_be_stopped_and_another_run(
    race: "Race", wait_until: "WaitUntil", at_rest: "AtRest"
) -> None:
    race.choose_long("local")
    race.button("Run").click()
    expect(race.cells("local", "own").first).to_be_attached()
    race.button("Stop").click()
    expect(race.status).to_have_text("Stopped.")
    wait_until(at_rest, "the server is at rest")
    race.choose("shared-object", requests=20)
    race.run()
    expect(race.track("shared-object").get_by_text("CROSS-TALK", exact=True)).to_be_visible()


def test_a_closed_page_ends_its_race_within_a_second(
    race: "Race", server: "Process", wait_until: "WaitUntil", at_rest: "AtRest", listens: "Listens"
) -> None:
    race.choose_long("local")
    race.button("Run").click()
    expect(race.cells("local", "own").first).to_be_attached()
    arena = server.arena()
    assert listens(arena)
    race.page.close()
    closed = time.monotonic()
    wait_until(lambda: not listens(arena), "the arena is gone")
    wait_until(at_rest, "the server is at rest")
    assert time.monotonic() - closed < SOON


def test_a_reply_that_ends_early_is_no_verdict(race: "Race") -> None:
    """As a balancer may end it that loses the server, without a word."""
    tick = '{"kind":"tick","elapsed":0.1,"in_flight":4,"peak":4,"native_threads":1,"finished":0}\n'
    race.page.route("**/race", lambda route: route.fulfill(content_type="application/x-ndjson", body=tick))
    race.button("Run").click()
    expect(race.status).to_contain_text("the race has no verdict")
    expect(race.button("Run")).to_be_enabled()


def test_too_much_is_not_even_sent(race: "Race") -> None:
    for name, value in (("Requests", "2001"), ("Requests", "0"), ("At once", "501"), ("Switches", "17")):
        race.choose("local")
        given = race.form.get_by_label(name)
        given.fill(value)
        race.button("Run").click()
        assert given.evaluate("(node) => node.validity.rangeOverflow || node.validity.rangeUnderflow")
        expect(race.button("Run")).to_be_visible()


def test_a_form_without_its_token_is_refused(race: "Race", watch: "Watch") -> None:
    race.page.locator("input[name=token]").evaluate("(node) => { node.value = 'another'; }")
    race.choose("local")
    race.button("Run").click()
    expect(race.status).to_contain_text("load the page again")
    watch.expect("403")
