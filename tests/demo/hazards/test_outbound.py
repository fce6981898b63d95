"""One cookie jar for all requests, and one for each."""

import json
from typing import Any

from werkzeug.test import Client

from greenlane.demo import create_demo
from greenlane.demo.hazards.outbound import _answer


def test_a_shared_session_speaks_for_whoever_signed_in_last(demonstration: str, drive: Any) -> None:
    seen = drive(demonstration, "shared-client/broken")
    seen.must_be_whole()
    assert seen.checks["foreign"] + seen.checks["torn"] >= 10
    assert seen.checks["stale"], "the jar is kept from one request to the next"


def test_a_session_each_speaks_for_its_own_request(demonstration: str, drive: Any) -> None:
    drive(demonstration, "shared-client/fixed").must_be_clean()


def test_where_the_sockets_would_block_it_says_so_instead_of_waiting_for_itself() -> None:
    """The tests' own process is not patched."""
    reply = Client(create_demo(secret_key="for this test")).get("/hazards/shared-client/fixed?nonce=a")
    assert reply.status_code == 503
    assert "monkey-patched" in json.loads(reply.data)["error"]


def test_the_other_service_knows_people_by_their_cookies() -> None:
    service = Client(_answer)
    assert json.loads(service.get("/me").data) == {}
    assert json.loads(service.get("/sign-in?first=a&second=b").data) == {}
    assert json.loads(service.get("/me").data) == {"first": "a", "second": "b"}
    assert json.loads(Client(_answer).get("/me").data) == {}
