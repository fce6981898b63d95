"""X-Forwarded headers: believed from named proxies, and gone when anybody else sends them."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from greenlane.ops.proxies import TrustedProxies

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

CLAIMS = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "shop.example",
    "X-Forwarded-Port": "8443",
    "X-Forwarded-Prefix": "/shop",
}
OTHERS = {
    "Forwarded": "for=203.0.113.9",
    "X-Real-Ip": "203.0.113.9",
    "X-Forwarded-Ssl": "on",
    "X-Forwarded-Scheme": "https",
    "X-Forwarded-Protocol": "ssl",
    "X-Forwarded-Server": "shop.example",
    "X-Forwarded-By": "203.0.113.9",
}
ALL = dict.fromkeys(("for", "proto", "host", "port", "prefix"), 1)


def call(headers: Mapping[str, str], peer: str = "192.0.2.7", **options: Any) -> "WSGIEnvironment":
    """Send a request from `peer`, and return the environment that the application saw."""
    seen: list[WSGIEnvironment] = []

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        seen.append(environ)
        return [b"reply"]

    environ = EnvironBuilder("/path", "http://inner.example:8000", headers=Headers(headers)).get_environ()
    environ |= {"REMOTE_ADDR": peer, "REMOTE_PORT": "50000"}
    middleware: WSGIApplication = TrustedProxies(app, **options)
    assert list(middleware(environ, lambda *_: lambda _: None)) == [b"reply"]
    return seen[0]


def claims(environ: "WSGIEnvironment") -> set[str]:
    """Which of the headers are left."""
    return {key for key in environ if "FORWARDED" in key or "REAL_IP" in key}


def test_a_named_proxy_is_believed() -> None:
    environ = call(CLAIMS, trusted=["192.0.2.7"], counts=ALL)
    assert environ["REMOTE_ADDR"] == "203.0.113.9"
    assert "REMOTE_PORT" not in environ  # the proxy's
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["HTTP_HOST"] == "shop.example:8443"
    assert environ["SERVER_NAME"] == "shop.example"
    assert environ["SERVER_PORT"] == "8443"
    assert environ["SCRIPT_NAME"] == "/shop"
    assert environ["werkzeug.proxy_fix.orig"]["REMOTE_ADDR"] == "192.0.2.7"


@pytest.mark.parametrize("trusted", [[], ["192.0.2.8"], ["unix"], ["10.0.0.0/8", "2001:db8::/32"]])
def test_nobody_else_is_and_no_trace_is_left(trusted: list[str]) -> None:
    """An application that reads such a header by itself is not fooled either."""
    environ = call(CLAIMS | OTHERS, trusted=trusted, counts=ALL)
    assert claims(environ) == set()
    assert environ["REMOTE_ADDR"] == "192.0.2.7"
    assert environ["REMOTE_PORT"] == "50000"
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["HTTP_HOST"] == "inner.example:8000"
    assert environ["SCRIPT_NAME"] == ""


def test_a_header_that_the_proxy_does_not_set_is_the_clients() -> None:
    """By default For and Proto are set: a proxy that sets no Prefix passes on what a client wrote there."""
    environ = call(CLAIMS, trusted=["192.0.2.7"])
    assert claims(environ) == {"HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO"}
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == ("203.0.113.9", "https")
    assert (environ["HTTP_HOST"], environ["SCRIPT_NAME"]) == ("inner.example:8000", "")


@pytest.mark.parametrize(
    ("sent", "count", "address", "left"),
    [
        ("203.0.113.9", 1, "203.0.113.9", "203.0.113.9"),
        ("1.1.1.1, 203.0.113.9", 1, "203.0.113.9", "203.0.113.9"),
        ("1.1.1.1,203.0.113.9 , 10.0.0.1", 2, "203.0.113.9", "203.0.113.9, 10.0.0.1"),
        ("203.0.113.9", 2, "192.0.2.7", None),
        ("203.0.113.9, ", 1, "192.0.2.7", None),
        ("", 1, "192.0.2.7", None),
        ("203.0.113.9", 0, "192.0.2.7", None),
        # A quote that a client leaves open does not swallow what the proxy adds.
        ('"1.1.1.1, 203.0.113.9', 1, "203.0.113.9", "203.0.113.9"),
        ('"1.1.1.1, ", 203.0.113.9', 1, "203.0.113.9", "203.0.113.9"),
    ],
)
def test_only_what_the_proxies_added_counts(sent: str, count: int, address: str, left: str | None) -> None:
    environ = call({"X-Forwarded-For": sent}, trusted=["192.0.2.7"], counts={"for": count})
    assert environ["REMOTE_ADDR"] == address
    assert environ.get("HTTP_X_FORWARDED_FOR") == left
    assert ("REMOTE_PORT" in environ) == (left is None)


@pytest.mark.parametrize(
    ("peer", "trusted", "believed"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("::ffff:10.1.2.3", "10.0.0.0/8", True),
        ("2001:db8::1", "2001:db8::/32", True),
        ("2001:db9::1", "2001:db8::/32", False),
        ("fe80::1%eth0", "fe80::/10", True),
        ("", "unix", True),
        ("", "0.0.0.0/0", False),
        ("127.0.0.1", "unix", False),
        ("no address", "0.0.0.0/0", False),
    ],
)
def test_who_is_named(peer: str, trusted: str, believed: bool) -> None:
    environ = call({"X-Forwarded-For": "203.0.113.9"}, peer, trusted=[trusted])
    assert environ["REMOTE_ADDR"] == ("203.0.113.9" if believed else peer)


def test_many_addresses_are_told_apart_and_not_all_remembered() -> None:
    proxies = TrustedProxies(lambda *_: [], trusted=["10.0.0.0/24"])
    for number in range(5_000):
        address = f"10.0.{number // 250}.{number % 250}"
        assert proxies.trusts(address) == proxies.trusts(address) == (number < 250)
    assert len(proxies._known) < 5_000


def test_a_response_is_passed_on_as_it_is() -> None:
    reply = [b"reply"]
    for headers in ({}, CLAIMS):
        environ = EnvironBuilder(headers=Headers(headers)).get_environ() | {"REMOTE_ADDR": "10.0.0.1"}
        proxies = TrustedProxies(lambda *_: reply, trusted=["10.0.0.1"])
        assert proxies(environ, lambda *_: lambda _: None) is reply


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trusted": ["proxy"]}, "'proxy' is no address, no network such as 10.0.0.0/8, and not 'unix'"),
        ({"trusted": ["10.0.0.1/8"]}, "10.0.0.1/8 has host bits set: name the address alone"),
        ({"counts": {"by": 1}}, "by=1 is no count"),
        ({"counts": {"for": -1}}, "for=-1 is no count"),
    ],
)
def test_what_cannot_be_trusted_is_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrustedProxies(lambda *_: [], **options)
