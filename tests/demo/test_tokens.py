"""Tokens: a form is taken from the session that it was made for, and from no other site."""

from collections.abc import Mapping

import pytest
from werkzeug.test import Client

from greenlane.app import App
from greenlane.demo.tokens import check_token, form_token


def sent() -> str:
    check_token()
    return "taken"


@pytest.fixture
def app() -> App:
    """An App with a form, and where it is sent to."""
    made = App(__name__)
    made.secret_key = "for this test"
    made.add_url_rule("/form", "form", form_token)
    made.add_url_rule("/sent", "sent", sent, methods=["POST"])
    return made


@pytest.fixture
def client(app: App) -> Client:
    return Client(app)


def token(client: Client) -> str:
    return client.get("/form").get_data(as_text=True)


def send(client: Client, token: str | None, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    form = {} if token is None else {"token": token}
    response = client.post("/sent", data=form, headers=dict(headers or {}))
    return response.status_code, response.get_data(as_text=True)


def test_a_session_has_one_token_that_nobody_can_guess(app: App, client: Client) -> None:
    own = token(client)
    assert token(client) == own
    assert len(own) == 32
    assert len({token(Client(app)) for _ in range(20)} | {own}) == 21


def test_the_own_token_is_taken_as_often_as_it_is_sent(client: Client) -> None:
    own = token(client)
    assert [send(client, own) for _ in range(2)] == [(200, "taken")] * 2


def test_another_token_is_refused(app: App, client: Client) -> None:
    others = [None, "", "é", "x" * 32, token(Client(app)), token(client)[:-1], token(client).upper() + "0"]
    for other in others:
        code, text = send(client, other)
        assert code == 403, other
        assert "not of your session" in text


def test_without_a_session_no_token_is_right(client: Client) -> None:
    """Least of all the empty one, which equals what such a session has."""
    for each in (None, "", "x"):
        assert send(client, each)[0] == 403


@pytest.mark.parametrize("origin", ["http://localhost", "null", None])
def test_forms_of_this_site_are_taken(client: Client, origin: str | None) -> None:
    """Some browsers say ``null`` where the policy is to tell no referrer."""
    headers = {"Sec-Fetch-Site": "same-origin"} | ({"Origin": origin} if origin else {})
    assert send(client, token(client), headers) == (200, "taken")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://elsewhere.test"},
        {"Origin": "http://localhost:8001"},
        {"Origin": "http://localhost.elsewhere.test"},
        {"Origin": "http://elsewhere.test", "Sec-Fetch-Site": "same-origin"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
def test_forms_of_other_sites_are_refused_though_the_token_is_right(
    client: Client, headers: dict[str, str]
) -> None:
    code, text = send(client, token(client), headers)
    assert code == 403
    assert "another site" in text
