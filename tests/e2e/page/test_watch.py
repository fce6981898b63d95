"""What all tests of the page rely on: a fault in the page is noticed, of each kind."""

from typing import TYPE_CHECKING

from playwright.sync_api import Page

if TYPE_CHECKING:
    from tests.e2e.conftest import Process
    from tests.e2e.page.conftest import Axe, Visit, Watch


def test_an_untroubled_page_has_no_faults(page: Page, watch: "Watch") -> None:
    assert page.title().startswith("Greenlane: ")
    assert watch.faults == []


def test_an_error_on_the_console_is_noticed(page: Page, watch: "Watch") -> None:
    page.evaluate("console.error('of the test')")
    watch.expect("of the test")


def test_what_a_script_throws_is_noticed(page: Page, watch: "Watch") -> None:
    with page.context.expect_event("weberror"):
        page.evaluate("setTimeout(() => { throw new Error('of the test') })")
    watch.expect("of the test")


def test_a_breach_of_the_policy_is_noticed(page: Page, watch: "Watch") -> None:
    with page.context.expect_event("console"):
        page.evaluate("document.body.setAttribute('style', 'color: red')")
    watch.expect("Content Security Policy")


def test_a_request_to_another_host_is_noticed(visit: "Visit", server: "Process", watch: "Watch") -> None:
    page = visit(path=None)
    page.goto(f"http://localhost:{server.port}/healthz")  # another host by its name, if not in fact
    page.close()
    watch.expect("http://localhost")


def test_a_missing_file_is_noticed(page: Page, watch: "Watch") -> None:
    with page.context.expect_event("console"):
        page.evaluate("fetch('/static/none.css').then(() => null)")
    watch.expect("404")


def test_axe_is_heard(page: Page, axe: "Axe") -> None:
    page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    assert any(line.startswith("button-name") for line in axe(page))
