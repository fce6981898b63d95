"""The caching proxy: what it keeps, for whom, and for how long, by the rules of RFC 9111."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from geventhttpclient import HTTPClient
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request, Response

from crosstalk.matrix.caching_proxy import ADDRESSES, Cache, caching
from crosstalk.matrix.inprocess import serving

Visit = Callable[..., Any]


def asked(path: str = "/page", method: str = "GET", **headers: str) -> Request:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return EnvironBuilder(path, method=method, headers=Headers(fields)).get_request()


def page(
    body: str = "page", control: str | None = "max-age=60", status: int = 200, **headers: str
) -> Response:
    response = Response(body, status, {name.replace("_", "-"): value for name, value in headers.items()})
    if control is not None:
        response.headers["Cache-Control"] = control
    return response


def found(cache: Cache, request: Request, now: float = 0.0) -> str | None:
    response = cache.find(request, now)
    return None if response is None else response.get_data(as_text=True)


# What is kept (RFC 9111, section 3)


@pytest.mark.parametrize(
    "control", ["max-age=60", "public, max-age=60", "max-age=0, s-maxage=60", "MAX-AGE=60"]
)
def test_a_reply_with_a_lifetime_is_kept(control: str) -> None:
    cache = Cache()
    cache.store(asked(), page(control=control), 0.0)
    assert found(cache, asked()) == "page"


@pytest.mark.parametrize(
    "control",
    [
        *(None, "", "public", "max-age", "max-age=0", "max-age=-1", "max-age=soon", "max-age=60, s-maxage=0"),
        *("no-store, max-age=60", "private, max-age=60", 'private="set-cookie", max-age=60'),
        "no-cache, max-age=60",
    ],
)
def test_a_reply_that_is_not_for_all_or_for_no_time_is_not_kept(control: str | None) -> None:
    cache = Cache()
    cache.store(asked(), page(control=control), 0.0)
    assert found(cache, asked()) is None


@pytest.mark.parametrize("status", [201, 204, 206, 301, 404, 500])
def test_no_other_status_than_200_is_kept(status: int) -> None:
    cache = Cache()
    cache.store(asked(), page(status=status), 0.0)
    assert found(cache, asked()) is None


def test_a_reply_that_sets_a_cookie_is_not_kept() -> None:
    cache = Cache()
    cache.store(asked(), page(Set_Cookie="who=a"), 0.0)
    assert found(cache, asked()) is None


@pytest.mark.parametrize(
    "request_",
    [
        asked(method="POST"),
        asked(method="HEAD"),
        asked(Authorization="Basic eDp5"),
        asked(Cache_Control="no-store"),
        asked(Range="bytes=0-1"),
    ],
)
def test_what_such_requests_get_is_not_kept(request_: Request) -> None:
    cache = Cache()
    cache.store(request_, page(), 0.0)
    assert found(cache, asked()) is None


@pytest.mark.parametrize(
    "request_",
    [
        *(asked(method="POST"), asked(method="HEAD"), asked(Range="bytes=0-1")),
        *(asked(Cache_Control="no-cache"), asked(Cache_Control="no-store")),
        *(asked("/page?"), asked("/page?a=b"), asked("/other"), asked(Host="other.example")),
    ],
)
def test_what_is_kept_does_not_answer_such_requests(request_: Request) -> None:
    cache = Cache()
    cache.store(asked("/page?a=c"), page(), 0.0)
    assert found(cache, request_) is None


def test_no_more_addresses_are_kept_than_there_is_room_for() -> None:
    cache = Cache()
    for number in range(ADDRESSES + 1):
        cache.store(asked(f"/{number}"), page(str(number)), 0.0)
    assert found(cache, asked("/0")) is None
    assert found(cache, asked("/1")) == "1"
    assert found(cache, asked(f"/{ADDRESSES}")) == str(ADDRESSES)


# For whom (section 4.1)


def test_a_reply_that_does_not_vary_is_for_everybody() -> None:
    """So a cache has to do, and so the hazard comes about."""
    cache = Cache()
    cache.store(asked(Cookie="who=a"), page("for a"), 0.0)
    assert found(cache, asked(Cookie="who=b")) == "for a"
    assert found(cache, asked()) == "for a"


@pytest.mark.parametrize("vary", ["Cookie", "cookie", "Accept, COOKIE"])
def test_a_reply_that_varies_is_for_requests_that_are_alike(vary: str) -> None:
    cache = Cache()
    cache.store(asked(Cookie="who=a"), page("for a", Vary=vary), 0.0)
    cache.store(asked(Cookie="who=b"), page("for b", Vary=vary), 0.0)
    cache.store(asked(), page("for nobody", Vary=vary), 0.0)
    assert found(cache, asked(Cookie="who=a")) == "for a"
    assert found(cache, asked(Cookie="who=b", X="y")) == "for b"
    assert found(cache, asked()) == "for nobody"
    assert found(cache, asked(Cookie="who=c")) is None


def test_a_reply_that_varies_by_everything_is_for_nobody() -> None:
    cache = Cache()
    cache.store(asked(), page(Vary="*"), 0.0)
    assert found(cache, asked()) is None


# For how long (sections 4.2 and 5.1)


@pytest.mark.parametrize(("control", "lifetime"), [("max-age=60", 60), ("max-age=60, s-maxage=90", 90)])
def test_a_reply_is_used_until_its_lifetime_is_over(control: str, lifetime: int) -> None:
    cache = Cache()
    cache.store(asked(), page(control=control), 100.0)
    assert found(cache, asked(), 100.0 + lifetime - 1) == "page"
    assert found(cache, asked(), 100.0 + lifetime) is None


def test_the_age_is_told_and_counts_from_where_the_reply_was_made() -> None:
    cache = Cache()
    cache.store(asked(), page(Age="20"), 100.0)
    response = cache.find(asked(), 110.5)
    assert response is not None
    assert response.headers["Age"] == "30"
    assert found(cache, asked(), 140.0) is None


def test_a_newer_reply_takes_the_place_of_an_older_one() -> None:
    cache = Cache()
    cache.store(asked(), page("old"), 0.0)
    cache.store(asked(), page("new"), 1.0)
    assert found(cache, asked(), 2.0) == "new"


# Over real sockets


class Upstream:
    """Says what it was asked, and counts; ``/cached`` may be kept."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, environ: Any, start_response: Any) -> Any:
        self.asked += 1
        request = Request(environ)
        document = {
            "number": self.asked,
            "method": request.method,
            "path": request.environ["RAW_URI"],
            "body": request.get_data(as_text=True),
            "headers": dict(request.headers),
        }
        response = Response(json.dumps(document), 404 if request.path == "/none" else 200)
        response.headers["Connection"] = "X-Hop"
        response.headers["X-Hop"] = "not for the client"
        if request.path == "/cached":
            response.headers["Cache-Control"] = "max-age=60"
        return response(environ, start_response)


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def visit(upstream: Upstream) -> Iterator[Visit]:
    """Send a request through the proxy, and return status, headers and document."""
    with serving(upstream) as behind, caching(behind) as base:
        client = HTTPClient.from_url(base, network_timeout=20)

        def send(path: str, method: str = "GET", body: str = "", **headers: str) -> Any:
            fields = {name.replace("_", "-"): value for name, value in headers.items()}
            with client.request(method, path, body.encode(), fields) as response:
                came = response.read()
                return response.status_code, response, json.loads(came) if came[:1] == b"{" else came

        yield send
        client.close()


def test_the_second_visitor_gets_the_first_ones_page(visit: Visit, upstream: Upstream) -> None:
    first = visit("/cached?a=1", Cookie="who=a")
    status, headers, document = visit("/cached?a=1", Cookie="who=b")
    assert (status, document) == (200, first[2])
    assert document["headers"]["Cookie"] == "who=a"
    assert headers["Age"] == "0"
    assert upstream.asked == 1


def test_what_may_not_be_kept_is_asked_for_each_time(visit: Visit, upstream: Upstream) -> None:
    assert [visit("/not-kept")[2]["number"] for _ in range(2)] == [1, 2]


def test_all_else_passes_as_it_is(visit: Visit) -> None:
    status, headers, document = visit("/some/%2F?b=%20c&d", "POST", "the body", X_Nonce="n")
    assert document["method"] == "POST"
    assert document["path"] == "/some/%2F?b=%20c&d"
    assert document["body"] == "the body"
    assert document["headers"]["X-Nonce"] == "n"
    assert document["headers"]["Via"] == headers["Via"] == "1.1 crosstalk"
    assert visit("/none")[0] == 404
    assert status == 200


def test_fields_of_a_connection_end_with_it(visit: Visit) -> None:
    """RFC 9110, section 7.6.1: also those that Connection names."""
    _status, headers, document = visit("/a", Connection="keep-alive, X-Mine", X_Mine="not for the server")
    assert "X-Mine" not in document["headers"]
    assert headers.get("X-Hop") is None


def test_an_upstream_that_does_not_answer_is_told() -> None:
    with serving(Upstream()) as behind:
        pass
    with caching(behind) as base:
        client = HTTPClient.from_url(base, network_timeout=20)
        with client.get("/") as response:
            assert response.status_code == 502
            assert b"does not answer" in response.read()
        client.close()
