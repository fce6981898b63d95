"""The views of every order: the document as it is, and a table of it."""

import pytest
from werkzeug.test import Client

from greenlane.app import App
from greenlane.demo.orders.document import document
from greenlane.demo.orders.page import OrdersPage
from greenlane.demo.orders.process import Documents
from greenlane.demo.orders.programs import PROGRAMS


def client_of(documents: Documents | None = None) -> Client:
    app = App(__name__)
    OrdersPage(documents).mount(app)
    return Client(app)


@pytest.fixture(scope="module")
def client() -> Client:
    """One page for all tests here: a document is made once."""
    return client_of()


def test_the_document_is_the_real_one(client: Client) -> None:
    response = client.get("/orders/two.json")
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    assert response.text == document(PROGRAMS["two"])


def test_it_is_asked_for_anew_and_not_sent_again(client: Client) -> None:
    """RFC 9110, section 13.1.2."""
    first = client.get("/orders/two.json")
    assert first.headers["Cache-Control"] == "no-cache"
    again = client.get("/orders/two.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_the_table_says_who_fails_and_how(client: Client) -> None:
    response = client.get("/orders/two")
    assert response.mimetype == "text/html"
    assert response.text.count("holds in all 6") == 6
    assert response.text.count("fails in 4 of 6") == 3
    assert "<li>a reads b: foreign</li>" in response.text
    assert "<script" not in response.text


@pytest.mark.parametrize("path", ["/orders/four.json", "/orders/two.json.json", "/orders/four"])
def test_there_is_no_such_program(client: Client, path: str) -> None:
    response = client.get(path, headers={"Accept": "application/json"})
    assert response.status_code == 404
    assert response.json is not None
    assert response.json["programs"] == list(PROGRAMS)


def test_there_is_no_such_program_to_look_at(client: Client) -> None:
    response = client.get("/orders/<b>", headers={"Accept": "text/html"})
    assert response.status_code == 404
    assert "&lt;b&gt;" in response.text


@pytest.mark.parametrize("path", ["/orders/two.json", "/orders/two"])
def test_what_cannot_be_made_is_said(path: str) -> None:
    client = client_of(Documents(lambda program: ["/nowhere/python"]))
    response = client.get(path)
    assert response.status_code == 503
    assert response.headers["Cache-Control"] == "no-store"
    assert "did not start: No such file or directory" in response.text
