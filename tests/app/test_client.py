"""The test client."""

import pytest
from werkzeug.test import EnvironBuilder

from greenlane import App, request, session, testing
from greenlane.app import Client


@pytest.fixture
def client(app: App) -> Client:
    app.add_url_rule("/url", "url", lambda: request.url)
    app.add_url_rule("/echo", "echo", lambda: [request.json, request.headers.get("X-A")], methods=["POST"])
    app.add_url_rule("/user", "user", lambda: str(session.get("user")))
    app.add_url_rule("/from", "from", lambda: [request.remote_addr, request.user_agent.string])
    return app.test_client()


def test_requests(client: Client) -> None:
    """B44: paths, queries, JSON, headers, in a with block or not."""
    assert client.get("/url?a=1").text == "http://localhost/url?a=1"
    assert client.post("/echo", json={"a": 1}, headers={"X-A": "1"}).json == [{"a": 1}, "1"]
    with client as same:
        assert same.get("http://example.org/url?a=1").text == "http://example.org/url?a=1"
    assert client.get("/url", base_url="https://example.org").text == "https://example.org/url"
    assert client.open(EnvironBuilder("/url", query_string="b=2")).text == "http://localhost/url?b=2"


def test_the_address_comes_from_the_settings(app: App, client: Client) -> None:
    """B48: where the App says it is served, the client and test_request_context ask for it."""
    app.config.update(SERVER_NAME="shop.example", APPLICATION_ROOT="/base", PREFERRED_URL_SCHEME="https")
    assert client.get("/url").text == "https://shop.example/base/url"
    with app.test_request_context("/x?y=https://z"):
        assert request.url == "https://shop.example/base/x?y=https://z"


def test_subdomain_and_scheme(app: App, client: Client) -> None:
    """B48: each by itself, where no base_url says both."""
    app.config["SERVER_NAME"] = "shop.example"
    assert client.get("/url", subdomain="eu", url_scheme="https").text == "https://eu.shop.example/url"
    with app.test_request_context("/x", url_scheme="https"):
        assert request.url == "https://shop.example/x"
    with pytest.raises(TypeError, match="leave out subdomain and url_scheme"):
        client.get("/url", base_url="http://a", subdomain="eu")


def test_environ_base(client: Client) -> None:
    """B44: what every request of a client has in common."""
    assert client.get("/from").json == ["127.0.0.1", "greenlane-test"]
    client.environ_base["REMOTE_ADDR"] = "10.0.0.1"
    assert client.get("/from").json == ["10.0.0.1", "greenlane-test"]
    assert client.get("/from", environ_base={"REMOTE_ADDR": "10.0.0.2"}).json == [
        "10.0.0.2",
        "greenlane-test",
    ]


def test_session_transaction(app: App, client: Client) -> None:
    """B42: a test can put something into the session and take it out."""
    with client.session_transaction() as stored:
        stored["user"] = "ada"
    assert client.get("/user").text == "ada"
    assert app.test_client().get("/user").text == "None"
    with client.session_transaction() as stored:
        assert stored.pop("user") == "ada"
    assert client.get("/user").text == "None"


def test_a_failed_session_transaction_changes_nothing(client: Client) -> None:
    """B42: what an error interrupts is not stored."""

    def interrupted() -> None:
        with client.session_transaction() as stored:
            stored["user"] = "ada"
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert client.get("/user").text == "None"


def test_session_transaction_without_cookies_or_key(app: App) -> None:
    """B42: without the means for a session the error says what is missing."""
    with (
        pytest.raises(TypeError, match="use_cookies"),
        app.test_client(use_cookies=False).session_transaction(),
    ):
        pass
    app.secret_key = None
    with pytest.raises(RuntimeError, match="secret_key"), app.test_client().session_transaction():
        pass


def test_a_client_class_of_ones_own(app: App) -> None:
    """B44: test_client_class is what test_client makes, with its arguments."""

    class Mine(Client):
        pass

    app.test_client_class = Mine
    assert type(app.test_client()) is Mine
    assert testing.Client is Client
