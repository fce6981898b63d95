"""A server that is lost while somebody looks at its page, and its return at the same place."""

import re
import signal
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, Page, expect

if TYPE_CHECKING:
    from tests.e2e.conftest import Process, Run
    from tests.e2e.page.conftest import Watch


@pytest.fixture
def server(run: "Run") -> "Process":
    """The demonstration, of a test's own: it is ended."""
    return run()


def live(page: Page) -> Locator:
    return page.locator("[data-part=live]")


def watch_live(page: Page) -> None:
    page.get_by_role("navigation", name="On this page").get_by_role("link", name=re.compile("^Live")).click()
    expect(live(page).locator("[data-figure=in_flight]")).to_have_text("0")


def test_the_live_part_says_that_the_server_is_lost_and_that_it_is_back(
    page: Page, server: "Process", run: "Run", watch: "Watch"
) -> None:
    watch_live(page)
    server.close()
    expect(live(page).get_by_role("status")).to_have_text("The server does not answer. Trying again…")
    run("--port", str(server.port))
    expect(live(page).get_by_role("status")).to_have_text("The server answers again.")
    watch.expect("net::ERR_")


def test_the_live_part_says_that_the_server_is_stopping(
    page: Page, server: "Process", watch: "Watch"
) -> None:
    """The stream ends with the drain, which does not wait for it."""
    watch_live(page)
    server.tell(signal.SIGTERM)
    expect(live(page).get_by_role("status")).to_have_text(
        "The server is stopping. Waiting for it to come back…"
    )
    assert server.exit_code() == 0
    with page.expect_event("console"):  # of the browser's next try
        pass
    watch.expect("net::ERR_")


def test_a_race_says_that_its_server_is_lost_and_runs_when_it_is_back(
    page: Page, server: "Process", run: "Run", watch: "Watch"
) -> None:
    """The new process has another secret, so the form says that the page must be loaded again."""
    form = page.get_by_role("form", name="Race")
    form.get_by_label("Requests").fill("2000")
    form.get_by_role("button", name="Run").click()
    expect(page.locator("[role=option][data-state=own]").first).to_be_attached()
    server.close()
    status = page.get_by_role("status").first
    expect(status).to_have_text("The connection to the server was lost: the race has no verdict.")
    form.get_by_role("button", name="Run").click()
    expect(status).to_have_text("The server does not answer: the race has not begun.")
    watch.expect("net::ERR_")
    expect(form.get_by_role("button", name="Run")).to_be_enabled()
    run("--port", str(server.port))
    form.get_by_role("button", name="Run").click()
    expect(status).to_contain_text("load the page again")
    watch.expect("403")
    page.reload()
    form.get_by_label("Requests").fill("20")
    form.get_by_role("button", name="Run").click()
    expect(status).to_contain_text("local: ISOLATED", timeout=60_000)
