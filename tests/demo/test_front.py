"""The front page: what it lists, that all it needs is here, and where its links lead."""

from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import gevent
import pytest
from markupsafe import escape
from werkzeug.test import TestResponse

from greenlane.demo.hazards import HAZARDS
from greenlane.demo.race.settings import DEFAULTS, LIMITS
from greenlane.demo.strategies import STRATEGIES

if TYPE_CHECKING:
    from tests.demo.conftest import ClosingClient

#: Followed elsewhere: where sockets have to be patched, or a program of its own has to run.
ELSEWHERE = ("/hazards/", "/orders/")


class Page(HTMLParser):
    """What a test wants to know of a page: its elements, and whether they nest."""

    VOID = frozenset({"meta", "link", "img", "br", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    @property
    def addresses(self) -> list[str]:
        """What its links, files, forms and scripts name, without the places in the page itself."""
        names = ("href", "src", "action", "data-source", "data-url")
        found = [address for name in names for address in self.values(name)]
        return [address for address in found if not address.startswith("#")]

    @property
    def files(self) -> list[str]:
        """What a browser fetches with it."""
        files = [attributes.get("src") for _, attributes in self.elements]
        files += [attributes.get("href") for tag, attributes in self.elements if tag == "link"]
        return [file for file in files if file]

    def values(self, name: str) -> list[str]:
        """Return what an attribute is, wherever it is."""
        return [value for _, attributes in self.elements if (value := attributes.get(name)) is not None]

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of all the elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


@pytest.fixture
def front(client: "ClosingClient") -> TestResponse:
    return client.get("/", base_url="http://example.test:8123/")


# What it lists


def test_it_lists_every_strategy(front: TestResponse) -> None:
    text = front.get_data(as_text=True)
    assert front.status_code == 200
    for strategy in STRATEGIES:
        assert f">{strategy.name}</a>" in text
        assert str(escape(strategy.summary)) in text


def test_it_lists_every_hazard(front: TestResponse) -> None:
    text = front.get_data(as_text=True)
    for hazard in HAZARDS:
        assert f">{hazard.name}<" in text
        assert str(escape(hazard.summary)) in text


def test_the_commands_name_the_host_of_the_request(front: TestResponse) -> None:
    text = front.get_data(as_text=True)
    assert "http://example.test:8123/probe/local?nonce=a&amp;hops=3" in text
    assert "crosstalk prove --host http://example.test:8123" in text


def test_a_hostile_host_is_not_repeated(client: "ClosingClient") -> None:
    text = client.get("/", headers={"Host": "a';rm -rf \"<b>"}).get_data(as_text=True)
    assert "rm -rf" not in text
    assert "http://localhost/probe/local" in text


# The form of a race


def test_the_form_holds_what_a_race_takes(front: TestResponse) -> None:
    page = Page(front.get_data(as_text=True))
    (form,) = (attributes for attributes in page.all("form") if attributes.get("action") == "/race")
    assert form["method"] == "post"
    inputs = {str(attributes.get("name")): attributes for attributes in page.all("input")}
    for name, most in LIMITS.items():
        assert inputs[name] | {"min": "1", "max": str(most), "value": DEFAULTS[name]} == inputs[name]
    assert {attributes.get("name") for attributes in page.all("select")} == {"strategy", "beside", "hazard"}
    assert inputs["token"]["type"] == "hidden"


def test_each_session_has_a_token_of_its_own(client: "ClosingClient", front: TestResponse) -> None:
    def token(response: TestResponse) -> str | None:
        inputs = Page(response.get_data(as_text=True)).all("input")
        return next(attributes["value"] for attributes in inputs if attributes.get("name") == "token")

    assert token(client.get("/", base_url="http://example.test:8123/")) == token(front)
    assert token(type(client)(client.application).get("/")) != token(front)
    assert front.headers["Cache-Control"] == "no-store"


def test_what_cannot_be_raced_in_a_hazard_is_said_with_it(front: TestResponse) -> None:
    listed = Page(front.get_data(as_text=True)).all("option")
    options = [attributes for attributes in listed if "data-summary" in attributes]
    for option, hazard in zip(options, HAZARDS, strict=True):
        assert option["data-summary"] == hazard.summary
        assert ("disabled" in option) == (hazard.own_server is not None)
        unavailable = set(str(option["data-unavailable"]).split())
        if hazard.own_server is None:
            assert unavailable == set(hazard.not_applicable)
        else:
            assert unavailable >= {"local", "broken"}


# What it needs, and where it leads


def test_it_has_no_code_in_it_and_needs_no_other_host(front: TestResponse) -> None:
    """So that it works under its Content-Security-Policy, which allows neither."""
    text = front.get_data(as_text=True)
    page = Page(text)
    assert [script["type"] for script in page.all("script")] == ["module"]
    assert all(str(script.get("src")).startswith("/static/js/") for script in page.all("script"))
    assert not page.all("style")
    assert not page.all("base")
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert not page.values("style")
    assert all(not urlsplit(address).netloc and not urlsplit(address).scheme for address in page.addresses)


def test_every_file_of_it_is_served(client: "ClosingClient", front: TestResponse) -> None:
    files = Page(front.get_data(as_text=True)).files
    assert len(files) > 3
    for file in files:
        response = client.get(file)
        assert (response.status_code, response.get_data() != b"") == (200, True), file


def test_every_place_that_it_links_to_in_itself_is_there(front: TestResponse) -> None:
    page = Page(front.get_data(as_text=True))
    ids = page.values("id")
    assert len(set(ids)) == len(ids)
    places = {value.removeprefix("#") for value in page.values("href") if value.startswith("#")}
    names = ("aria-labelledby", "aria-describedby", "for")
    places |= {place for name in names for value in page.values(name) for place in value.split()}
    assert len(places) > 5
    assert places <= set(ids)


def test_every_link_of_it_works(client: "ClosingClient", front: TestResponse) -> None:
    links = [str(attributes["href"]) for attributes in Page(front.get_data(as_text=True)).all("a")]
    here = [link for link in links if not link.startswith(("#", *ELSEWHERE))]
    assert len(here) > len(STRATEGIES)

    def follow() -> None:
        for address in here:
            assert client.get(address).status_code == 200, address

    gevent.spawn(follow).get()


def test_below_a_prefix_all_keeps_it(client: "ClosingClient") -> None:
    page = Page(client.get("/", base_url="http://example.test/below/").get_data(as_text=True))
    assert len(page.addresses) > 30
    assert [address for address in page.addresses if not address.startswith("/below/")] == []


def test_an_unknown_path_gets_a_small_page(client: "ClosingClient") -> None:
    response = client.get("/no/such/<b>page")
    assert response.status_code == 404
    assert response.content_type == "text/html; charset=utf-8"
    assert "<b>" not in response.get_data(as_text=True)
    Page(response.get_data(as_text=True))
