"""A visitor's page and the caches: of ours, and nginx where it is installed."""

import json
import secrets

import gevent
import pytest
from geventhttpclient import HTTPClient
from werkzeug.test import Client

from crosstalk.matrix import servers
from greenlane.demo import create_demo

VISITORS = 8
PAGES = 3


def visit(base: str, variant: str) -> tuple[int, int, int]:
    """Let visitors look at the same pages; return how many were others', own, and from a cache."""
    others = own = kept = 0

    def visitor() -> None:
        nonlocal others, own, kept
        client = HTTPClient.from_url(base, network_timeout=20)
        for page in range(PAGES):
            nonce = secrets.token_hex(8)
            path = f"/hazards/cached-cookie/{variant}?page={page}&pause=2"
            with client.get(path, headers={"Cookie": f"nonce={nonce}"}) as response:
                report = json.loads(response.read())
                assert response.status_code == 200, report
                kept += "Age" in response or response.get("X-Cache") == "HIT"
            read = {value for each in report["checkpoints"] for value in each["read"].values()}
            others, own = others + (nonce not in read), own + (read == {nonce})
        client.close()

    visitors = [gevent.spawn(visitor) for _ in range(VISITORS)]
    gevent.joinall(visitors, timeout=40, raise_error=True)
    assert all(each.ready() for each in visitors)
    return others, own, kept


@pytest.mark.parametrize("kind", ["own", "nginx"])
@pytest.mark.parametrize("variant", ["broken", "fixed"])
def test_a_cache_hands_out_what_it_was_allowed_to(
    demonstration: str, kind: servers.ProxyKind, variant: str
) -> None:
    if kind == "nginx" and servers.nginx() is None:
        pytest.skip("nginx is not installed: only the proxy of ours is tried")
    with servers.caching_proxy(demonstration, kind) as base:
        visit(base, variant)  # fills the cache: visitors who come at once all come first
        others, own, kept = visit(base, variant)
    if variant == "broken":
        assert (others, own) == (VISITORS * PAGES, 0)
        assert kept == VISITORS * PAGES
    else:
        assert (others, own, kept) == (0, VISITORS * PAGES, 0)


@pytest.mark.parametrize("variant", ["broken", "fixed"])
def test_without_a_cache_each_gets_their_own(demonstration: str, variant: str) -> None:
    assert visit(demonstration, variant) == (0, VISITORS * PAGES, 0)


@pytest.fixture
def client() -> Client:
    return Client(create_demo(secret_key="for this test"))


@pytest.mark.parametrize(
    ("variant", "control", "vary"),
    [("broken", "public, max-age=60", None), ("fixed", "private, max-age=60", "Cookie")],
)
def test_what_a_page_says_to_caches(client: Client, variant: str, control: str, vary: str | None) -> None:
    client.set_cookie("nonce", "a")
    reply = client.get(f"/hazards/cached-cookie/{variant}?page=1&hops=1&pause=0")
    assert reply.headers["Cache-Control"] == control
    assert reply.headers.get("Vary") == vary
    assert "Set-Cookie" not in reply.headers
    assert reply.get_json()["checkpoints"][0]["read"] == {"first": "a", "second": "a"}
    left = f'greenlane_demo_left{{hazard="cached-cookie",strategy="{variant}"}} 0.0'
    assert left in client.get("/metrics").get_data(as_text=True)


@pytest.mark.parametrize(
    ("cookie", "query", "parameter"),
    [
        (None, "", "request.cookies"),
        (None, "nonce=a", "request.cookies"),
        ("no nonce", "", "nonce"),
        ("a&hops=1", "", "nonce"),
        ("a", "nonce=b", "request.cookies"),
        ("a", "hops=65", "hops"),
    ],
)
def test_a_page_for_nobody_is_refused_and_kept_by_nobody(
    client: Client, cookie: str | None, query: str, parameter: str
) -> None:
    if cookie is not None:
        client.set_cookie("nonce", cookie)
    reply = client.get(f"/hazards/cached-cookie/broken?{query}")
    assert reply.status_code == 400
    assert reply.get_json()["parameter"] == parameter
    assert reply.headers["Cache-Control"] == "no-store"
