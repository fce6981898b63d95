"""The part of the page in which races are run, as somebody uses it."""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, Page, expect

if TYPE_CHECKING:
    from tests.e2e.conftest import Process, WaitUntil

AtRest = Callable[[], bool]

BAD = re.compile("foreign|torn|stale|missing")
RACE_TIMEOUT_MS = 60_000


class Race:
    """Where a race is chosen, run and looked into.

    Args:
        page: has been opened.

    """

    def __init__(self, page: Page) -> None:
        self.page = page

    def choose(
        self, strategy: str, beside: str = "nothing", *, requests: int = 60, at_once: int = 20, hops: int = 2
    ) -> None:
        """Choose what is raced, and how much of it; this starts nothing."""
        self.form.get_by_label("Strategy").select_option(label=strategy)
        self.form.get_by_label("Beside it").select_option(label=beside)
        for label, value in (("Requests", requests), ("At once", at_once), ("Switches", hops)):
            self.form.get_by_label(label).fill(str(value))

    def choose_long(self, strategy: str) -> None:
        """Choose a race that goes on until somebody ends it."""
        self.choose(strategy, requests=2000, at_once=4, hops=16)

    def run(self) -> None:
        """Run what is chosen to its end."""
        self.button("Run").click()
        expect(self.button("Stop")).to_be_visible()
        expect(self.button("Run")).to_be_visible(timeout=RACE_TIMEOUT_MS)

    @property
    def form(self) -> Locator:
        """What is chosen, and its buttons."""
        return self.page.get_by_role("form", name="Race")

    def button(self, name: str) -> Locator:
        """Run or Stop."""
        return self.form.get_by_role("button", name=name)

    @property
    def status(self) -> Locator:
        """How it goes, or went, in words."""
        return self.page.get_by_role("status").first

    @property
    def in_flight(self) -> Locator:
        """How many requests are in flight."""
        return self.page.locator("#race-figures [data-figure=in_flight]")

    def track(self, strategy: str) -> Locator:
        """All that is shown of one of those that race."""
        return self.page.get_by_role("article", name=strategy, exact=True)

    def field(self, strategy: str) -> Locator:
        """Its requests, a cell each."""
        return self.page.get_by_role("listbox", name=f"Requests under {strategy}", exact=True)

    def cells(self, strategy: str, said: str | re.Pattern[str]) -> Locator:
        """Those cells of which this is said."""
        return self.field(strategy).get_by_role("option", name=said)

    def bad(self, strategy: str) -> Locator:
        """The cells of requests that met what was not their own."""
        return self.cells(strategy, BAD)

    @property
    def timeline(self) -> Locator:
        """The timeline of the request that was looked into."""
        return self.page.locator("figure.timeline")


@pytest.fixture(scope="session")
def race_on() -> type[Race]:
    """The part of any page: `race_on(visit(...))`."""
    return Race


@pytest.fixture
def race(page: Page) -> Race:
    """The part, as somebody with a wide screen sees it."""
    return Race(page)


@pytest.fixture
def at_rest(server: "Process") -> AtRest:
    """Whether no load runs, nothing is in flight, and nothing is kept for any request."""

    def is_so() -> bool:
        metrics = server.get("/metrics")[1].decode()
        kept = re.findall(
            r"^greenlane_(?:requests_in_flight|local_entries\S*|demo_left\S*) (\S+)$", metrics, re.MULTILINE
        )
        assert len(kept) > 2
        return not server.children() and set(map(float, kept)) == {0.0}

    return is_so


@pytest.fixture(autouse=True)
def _nothing_left(at_rest: AtRest, wait_until: "WaitUntil") -> Iterator[None]:
    yield
    wait_until(at_rest, "the server is at rest")
