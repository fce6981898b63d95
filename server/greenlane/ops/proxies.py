"""What proxies in front of the server say of a request: believed from those that are named, from nobody else.

Rule: a header that anybody can send must not decide who a client is. What
Werkzeug's `ProxyFix` reads is set right before it reads it. Knows nothing of
applications and of the server.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from werkzeug.middleware.proxy_fix import ProxyFix

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    _Network = ipaddress.IPv4Network | ipaddress.IPv6Network

FORWARDED = ("for", "proto", "host", "port", "prefix")
"""The ends of the X-Forwarded headers that can be believed, as `ProxyFix` names them."""

UNIX = "unix"
"""Names whoever connects to a Unix socket: such a client has no address."""

_KEYS = {name: f"HTTP_X_FORWARDED_{name.upper()}" for name in FORWARDED}

_CLAIMS = frozenset(_KEYS.values()) | {
    "HTTP_FORWARDED",  # RFC 7239
    "HTTP_X_REAL_IP",
    "HTTP_X_FORWARDED_BY",
    "HTTP_X_FORWARDED_PROTOCOL",
    "HTTP_X_FORWARDED_SCHEME",
    "HTTP_X_FORWARDED_SERVER",
    "HTTP_X_FORWARDED_SSL",
}
"""Where a proxy tells what it knows, and where a client may pretend to be one."""

_REMEMBERED = 4_096
"""Addresses whose answer is kept. Reading one takes longer than all else here."""


class TrustedProxies:
    """WSGI middleware that lets named proxies, and nobody else, say whom they speak for.

    From anybody else these headers are taken out of the environment, as waitress does it: an
    application that reads one by itself would be fooled just the same. From a proxy that is
    named, of the five that `ProxyFix` knows those stay for which a count is given. A proxy that does
    not set a header passes on what a client wrote there, so name only those that it sets.

    Each proxy adds its value behind what it received. So only the last values count,
    as many as there are proxies in a row, and what stands before them is cut off: it may
    come from the client. The headers beyond the five pass as a named proxy sent them.

    With a believed X-Forwarded-For, `REMOTE_ADDR` is the client's and `REMOTE_PORT`,
    which was the proxy's, is gone. The values before are in `werkzeug.proxy_fix.orig`.

    Args:
        wsgi_app: the application behind it.
        trusted: addresses (`192.0.2.7`), networks (`10.0.0.0/8`), or `unix`.
        counts: how many proxies in a row set each header, by the names in `FORWARDED`.
            By default one for `for` and `proto`, and none for the others.

    Raises:
        ValueError: what is trusted is no address and no network, or a count has an unknown
            name or is negative.

    """

    def __init__(
        self,
        wsgi_app: "WSGIApplication",
        *,
        trusted: Iterable[str] = (),
        counts: Mapping[str, int] | None = None,
    ) -> None:
        counts = {"for": 1, "proto": 1} if counts is None else counts
        for name, count in counts.items():
            if name not in FORWARDED or count < 0:
                raise ValueError(
                    f"{name}={count} is no count: the names are {', '.join(FORWARDED)}, from 0 up"
                )
        names = tuple(trusted)
        self._unix = UNIX in names
        self._networks = tuple(_network(name) for name in names if name != UNIX)
        self._counts = {_KEYS[name]: counts.get(name, 0) for name in FORWARDED}
        self._wsgi_app = wsgi_app
        self._believing = ProxyFix(wsgi_app, **{f"x_{name}": counts.get(name, 0) for name in FORWARDED})
        self._known: dict[str, bool] = {}

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Correct the environment, and pass the request on (PEP 3333)."""
        if environ.keys().isdisjoint(_CLAIMS):
            return self._wsgi_app(environ, start_response)
        if not self.trusts(environ.get("REMOTE_ADDR", "")):
            for key in _CLAIMS:
                environ.pop(key, None)
            return self._wsgi_app(environ, start_response)
        for key, count in self._counts.items():
            if key in environ:
                self._keep_last(environ, key, count)
        if _KEYS["for"] in environ:
            environ.pop("REMOTE_PORT", None)
        return self._believing(environ, start_response)

    def trusts(self, address: str) -> bool:
        """Whether `address`, empty for a Unix socket, is one of the named proxies."""
        known = self._known.get(address)
        if known is None:
            known = self._is_named(address)
            if len(self._known) < _REMEMBERED:
                self._known[address] = known
        return known

    def _is_named(self, address: str) -> bool:
        if not address:
            return self._unix
        try:
            number = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(number, ipaddress.IPv6Address) and number.ipv4_mapped:
            number = number.ipv4_mapped  # as a socket that takes both kinds shows IPv4
        return any(number in network for network in self._networks)

    @staticmethod
    def _keep_last(environ: "WSGIEnvironment", key: str, count: int) -> None:
        """Leave the last `count` values of a list; none when they are fewer, since one is missing.

        Split at every comma, within quotes too: a quote that a client leaves open in front
        would otherwise swallow what the proxy adds.
        """
        values = [value.strip() for value in environ[key].split(",")][-count:] if count else []
        if values and all(values) and len(values) == count:
            environ[key] = ", ".join(values)
        else:
            del environ[key]


def _network(name: str) -> "_Network":
    try:
        return ipaddress.ip_network(name)
    except ValueError as error:
        if "host bits" in str(error):
            raise ValueError(f"{error}: name the address alone, or the network's first one") from None
        raise ValueError(f"{name!r} is no address, no network such as 10.0.0.0/8, and not {UNIX!r}") from None
