"""The demonstration as a whole: its pages, and what it says of its secret key."""

from html.parser import HTMLParser
from typing import TYPE_CHECKING

import gevent
import pytest
from markupsafe import escape
from werkzeug.test import TestResponse

from greenlane.demo import create_demo
from greenlane.demo.hazards import HAZARDS
from greenlane.demo.strategies import STRATEGIES

if TYPE_CHECKING:
    from tests.demo.conftest import ClosingClient


# The pages


class Page(HTMLParser):
    """What a test wants to know of a page: its links and files, and whether its elements nest."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in {"href", "src"} and value]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


@pytest.fixture
def front(client: "ClosingClient") -> TestResponse:
    return client.get("/", base_url="http://example.test:8123/")


def test_the_front_page_lists_every_strategy(front: TestResponse) -> None:
    text = front.get_data(as_text=True)
    assert front.status_code == 200
    for strategy in STRATEGIES:
        assert f">{strategy.name}</a>" in text
        assert str(escape(strategy.summary)) in text


def test_the_front_page_lists_every_hazard(front: TestResponse) -> None:
    text = front.get_data(as_text=True)
    for hazard in HAZARDS:
        assert f">{hazard.name}<" in text
        assert str(escape(hazard.summary)) in text


def test_the_front_page_needs_no_script_and_no_other_host(front: TestResponse) -> None:
    page = Page(front.get_data(as_text=True))
    assert "script" not in page.tags
    assert all(address.startswith("/") for address in page.addresses)


def test_every_link_of_the_front_page_works(client: "ClosingClient", front: TestResponse) -> None:
    """Those of the hazards, which need patched sockets, are followed on a real server."""
    pages = [each for each in Page(front.get_data(as_text=True)).addresses if "/hazards/" not in each]

    def follow() -> None:
        for address in pages:
            assert client.get(address).status_code == 200, address

    gevent.spawn(follow).get()


def test_the_commands_name_the_host_of_the_request(front: TestResponse) -> None:
    text = front.get_data(as_text=True)
    assert "http://example.test:8123/probe/local?nonce=a&amp;hops=3" in text
    assert "crosstalk prove --host http://example.test:8123" in text


def test_a_hostile_host_is_not_repeated(client: "ClosingClient") -> None:
    text = client.get("/", headers={"Host": "a';rm -rf \"<b>"}).get_data(as_text=True)
    assert "rm -rf" not in text
    assert "http://localhost/probe/local" in text


def test_below_a_prefix_the_links_keep_it(client: "ClosingClient") -> None:
    page = Page(client.get("/", base_url="http://example.test/below/").get_data(as_text=True))
    assert all(address.startswith("/below/") for address in page.addresses)


def test_an_unknown_path_gets_a_small_page(client: "ClosingClient") -> None:
    response = client.get("/no/such/<b>page")
    assert response.status_code == 404
    assert response.content_type == "text/html; charset=utf-8"
    assert "<b>" not in response.get_data(as_text=True)
    Page(response.get_data(as_text=True))


@pytest.mark.parametrize(
    "path", ["/", "/probe/", "/probe/nothing", "/nowhere", "/static/style.css", "/static/lanes.svg"]
)
def test_security_headers_go_out_with_everything(client: "ClosingClient", path: str) -> None:
    response = client.get(path)
    assert response.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_the_styles_are_served(client: "ClosingClient") -> None:
    response = client.get("/static/style.css")
    assert response.content_type == "text/css; charset=utf-8"
    assert "prefers-color-scheme: dark" in response.get_data(as_text=True)
    assert client.get("/static/../site.py").status_code == 404


# Making one


def test_without_a_secret_key_it_says_that_it_made_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    caplog.set_level("INFO")
    create_demo()
    assert "SECRET_KEY" in caplog.text


@pytest.mark.parametrize("given", [True, False])
def test_with_a_secret_key_it_says_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, given: bool
) -> None:
    monkeypatch.setenv("SECRET_KEY", "from the environment")
    create_demo(secret_key="given" if given else None)
    assert not caplog.text
