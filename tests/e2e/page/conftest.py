"""The page in a real browser: Chromium, driven by Playwright, with the demonstration in its own process.

Whatever a test looks at, it fails when the browser's console has an error (a breach of the
Content-Security-Policy is one), when a script throws, or when anything is asked of another host.

There is one browser a module and not one for the run: as long as Playwright is open,
its asyncio loop counts as running in the main thread, and other tests use ``asyncio.run``.
Nothing here may run on a greenlet of gevent's: Playwright switches between greenlets of its own.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    ViewportSize,
    expect,
    sync_playwright,
)

if TYPE_CHECKING:
    from tests.e2e.conftest import Process, Run

NAMES = ("chromium", "chromium-browser", "google-chrome")
# As root it has no sandbox; the others keep it from asking anything of anybody but the server.
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"),
)
TIMEOUT_MS = 20_000
WIDE: ViewportSize = {"width": 1280, "height": 900}
NARROW: ViewportSize = {"width": 360, "height": 740}
AXE = Path(__file__).with_name("node_modules") / "axe-core" / "axe.min.js"
# What is a fault by WCAG 2.2 AA, and what axe-core's authors hold for good practice besides.
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")

Visit = Callable[..., Page]
Axe = Callable[..., list[str]]
Looks = Callable[[Page], Iterator[str]]

expect.set_options(timeout=TIMEOUT_MS)


class Watch:
    """Collects what must not happen in any page.

    Args:
        origin: gives the one origin that a page may ask, as ``http://127.0.0.1:8000``.

    """

    def __init__(self, origin: Callable[[], str]) -> None:
        self._origin = origin
        self.faults: list[str] = []

    def over(self, context: BrowserContext) -> None:
        """Watch all pages of ``context``."""
        context.on("console", self._console)
        context.on("weberror", lambda error: self.faults.append(f"thrown: {error.error}"))
        context.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(f"console: {message.text} ({message.location['url']})")

    def _request(self, request: Request) -> None:
        if urlsplit(request.url).scheme in {"data", "blob"}:
            return
        if not request.url.startswith(f"{self._origin()}/"):
            self.faults.append(f"another host: {request.url}")

    def expect(self, part: str) -> None:
        """Take out the faults with ``part`` in them, of which there must be one at least."""
        others = [fault for fault in self.faults if part not in fault]
        assert len(others) < len(self.faults), f"no fault with {part!r} in {self.faults}"
        self.faults = others


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window; skips where none is installed."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"none of these is installed: {', '.join(NAMES)}")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def server(launch: "Run", tmp_path_factory: pytest.TempPathFactory) -> "Process":
    """The demonstration, as `make run` serves it; one for a module."""
    return launch(cwd=tmp_path_factory.mktemp("served"))


@pytest.fixture
def watch(server: "Process") -> Iterator[Watch]:
    """What must not happen in a page: a test that provokes it says so, by `watch.expect(...)`."""
    yield from _watching(server)


def _watching(server: "Process") -> Iterator[Watch]:
    watching = Watch(lambda: server.where)
    yield watching
    assert watching.faults == []


@pytest.fixture
def visit(browser: Browser, server: "Process", watch: Watch) -> Iterator[Visit]:
    """Open the page in a context of its own: `visit("/#live", viewport={"width": 360, "height": 740})`.

    Besides Playwright's options for a context, ``path`` is what is opened; None opens nothing yet.
    """
    yield from _visiting(browser, server, watch)


def _visiting(browser: Browser, server: "Process", watch: Watch) -> Iterator[Visit]:
    contexts: list[BrowserContext] = []

    def open_page(path: str | None = "/", **options: Any) -> Page:
        context = browser.new_context(base_url=server.where, **options)
        contexts.append(context)
        context.set_default_timeout(TIMEOUT_MS)
        watch.over(context)
        page = context.new_page()
        if path is not None:
            page.goto(path)
            if options.get("java_script_enabled", True):
                # Each is imported by itself: before that, a form is the browser's to send.
                expect(page.locator("[data-part]:not([data-alive])")).to_have_count(0)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def page(visit: Visit) -> Page:
    """The page, as somebody with a wide screen sees it."""
    return visit(viewport=WIDE)


@pytest.fixture(scope="module")
def kept_watch(server: "Process") -> Iterator[Watch]:
    """What must not happen in `kept_page`."""
    yield from _watching(server)


@pytest.fixture(scope="module")
def kept_page(browser: Browser, server: "Process", kept_watch: Watch) -> Iterator[Page]:
    """The same, but one for a module: for what takes long to bring about, and what only looks at it."""
    for visit in _visiting(browser, server, kept_watch):
        yield visit(viewport=WIDE)


@pytest.fixture(scope="session")
def looks() -> Looks:
    """Give a page one look after another, by name; the last is the one that it had before."""

    def each(page: Page) -> Iterator[str]:
        page.emulate_media(color_scheme="dark")
        page.set_viewport_size(NARROW)
        yield "narrow and dark"
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(WIDE)
        yield "wide and light"

    return each


@pytest.fixture(scope="session")
def axe() -> Axe:
    """What axe-core holds against a page, a line an element, or against a part of it: `axe(page, "main")`.

    Skips where it is not installed.
    """
    if not AXE.exists():
        pytest.skip("axe-core is not installed: `npm ci` in tests/e2e/page")
    program = AXE.read_text()

    def run(page: Page, part: str = "html") -> list[str]:
        page.evaluate(program)  # a script element would be against the policy, which holds here too
        found = page.evaluate("([part, rules]) => axe.run(part, {runOnly: rules})", [part, list(RULES)])
        return [
            f"{rule['id']} ({rule['impact']}): {' '.join(map(str, node['target']))}: {node['failureSummary']}"
            for rule in found["violations"]
            for node in rule["nodes"]
        ]

    return run
