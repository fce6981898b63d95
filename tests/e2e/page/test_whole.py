"""The page as a whole: what it weighs, what its headers forbid, and whether everybody can use it.

What its parts do is tested beside this; here stands what holds for all of them at rest.
"""

from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, Response, expect

import greenlane.demo

if TYPE_CHECKING:
    from tests.e2e.conftest import Process
    from tests.e2e.page.conftest import Axe, Visit

BYTES = 150_000
STATIC = Path(greenlane.demo.__file__).with_name("static")
NARROW = {"width": 360, "height": 740}
LOOKS = (
    {"color_scheme": "light"},
    {"color_scheme": "dark", "viewport": NARROW, "reduced_motion": "reduce"},
)

# What lies beyond the window's edges, unless somebody can scroll to it in a box that the keyboard
# reaches and that says its name; and what a box hides that no one can scroll to.
OUT_OF_SIGHT = """() => {
  const named = (box) => box.tabIndex >= 0 && (box.ariaLabel || box.getAttribute('aria-labelledby'));
  const scrolls = (node) => ['auto', 'scroll'].includes(getComputedStyle(node).overflowX);
  const found = [];
  for (const node of document.body.querySelectorAll('*')) {
    const box = node.getBoundingClientRect();
    if (!node.checkVisibility() || box.width <= 1 || box.height <= 1) continue;
    const name = `${node.tagName} ${node.id || node.getAttribute('class')}`;
    if (scrolls(node) && node.scrollWidth > node.clientWidth && !named(node)) found.push(`${name}: unnamed`);
    if (box.left >= 0 && box.right <= innerWidth + 0.5) continue;
    let around = node.parentElement;
    while (around && !scrolls(around)) around = around.parentElement;
    if (!around) found.push(`${name}: from ${box.left} to ${box.right}`);
  }
  return found;
}"""


def head(server: "Process", path: str) -> dict[str, str]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        reply.read()
        return {name.lower(): value for name, value in reply.getheaders()}
    finally:
        connection.close()


def policy(server: "Process", path: str) -> dict[str, set[str]]:
    """The Content-Security-Policy of a reply: its sources by directive."""
    directives = head(server, path)["content-security-policy"].split(";")
    return {words[0]: set(words[1:]) for words in map(str.split, directives) if words}


# Weight and headers


def test_the_whole_page_weighs_less_than_150_kb(visit: "Visit") -> None:
    """Uncompressed, and with every file that it could ask for, not only with those that it did."""
    page = visit(path=None)
    asked: list[Response] = []
    page.on("response", lambda response: asked.append(response))  # a built-in one it does not take
    page.goto("/", wait_until="load")
    files = {path.relative_to(STATIC).as_posix(): path.stat().st_size for path in STATIC.rglob("*.*")}
    loaded = {response.url.partition("/static/")[2] for response in asked if "/static/" in response.url}
    assert loaded
    assert loaded <= set(files)
    html = len(page.request.get("/").body())
    assert html + sum(files.values()) < BYTES, {"html": html} | files


def test_the_policy_allows_nothing_inline_and_no_other_host(server: "Process") -> None:
    allowed = policy(server, "/")
    assert allowed["default-src"] == {"'none'"}
    assert allowed["script-src"] == allowed["style-src"] == {"'self'"}
    assert allowed["frame-ancestors"] == allowed["base-uri"] == {"'none'"}
    assert allowed["form-action"] == {"'self'"}
    for sources in allowed.values():
        assert sources <= {"'none'", "'self'", "blob:", "data:"}


@pytest.mark.parametrize("path", ["/", "/static/style.css", "/probe/", "/nowhere"])
def test_every_reply_is_guarded(server: "Process", path: str) -> None:
    headers = head(server, path)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert policy(server, path) == policy(server, "/")


# Everybody


@pytest.mark.parametrize("look", LOOKS, ids=["light", "narrow-dark-still"])
def test_the_page_has_no_barriers(visit: "Visit", axe: "Axe", look: dict[str, object]) -> None:
    assert axe(visit(**look)) == []


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_lies_out_of_sight(visit: "Visit", width: int) -> None:
    page = visit(viewport={"width": width, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OUT_OF_SIGHT) == []


def test_the_page_can_be_walked_through_by_the_keyboard(page: Page) -> None:
    """Tab comes by everything that can be focused, in the order of the page, and the focus is always seen."""
    focus = "document.activeElement"
    seen: list[str] = []
    while True:
        page.keyboard.press("Tab")
        if page.evaluate(f"{focus} === document.body"):
            break
        assert page.evaluate(f"{focus}.matches(':focus-visible')")
        outline = page.evaluate(f"getComputedStyle({focus}).outlineStyle")
        name = page.evaluate(f"{focus}.outerHTML.slice(0, 120)")
        assert outline != "none", f"no focus is seen on {name}"
        assert len(seen) < 400, "the focus never leaves the page"
        seen.append(name)
    assert len(seen) > 20


def test_every_picture_has_a_name(page: Page) -> None:
    unnamed = page.evaluate(
        "[...document.querySelectorAll('svg:not([aria-hidden=true]), canvas:not([aria-hidden=true])')]"
        ".filter((node) => node.checkVisibility() && !(node.role === 'img' || node.getAttribute('role'))"
        " || !(node.ariaLabel || node.getAttribute('aria-labelledby'))).map((node) => node.outerHTML)"
    )
    assert unnamed == []


def test_without_a_script_the_page_still_explains(visit: "Visit") -> None:
    page = visit(java_script_enabled=False)
    expect(page.get_by_role("heading", level=1)).to_have_text("Do my requests stay apart?")
    for heading in ("Race", "Every order", "Live"):
        expect(page.get_by_role("heading", name=heading, exact=False).first).to_be_visible()
