"""URLs: binding the map to a request, matching, and building addresses from endpoints.

Matching and building are Werkzeug's; what is here is which adapter to use when, and
a memory for the answers that cannot change.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from werkzeug.routing import Map, MapAdapter, Rule, RuleFactory

from greenlane.app.globals import request_stack

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from greenlane.app.app import App

# What a fragment may hold unquoted (RFC 3986, section 3.5), and "%" for text that is quoted already.
_FRAGMENT = "!$&'()*+,;=:@/?%"


_HOSTS = 1_000
"""How many names of hosts an AppMap remembers at most: clients choose them."""

Match: TypeAlias = tuple[Rule, Mapping[str, Any]]
"""The rule that matched, and the values for the view."""


class AppMap(Map):
    """A map that remembers which rule answers a path without variable parts.

    Such an answer depends on the map, the method and the path alone, so Werkzeug is
    asked once: binding the map and matching took a sixth of a small request's time.
    Remembered is only what has as few forms as there are rules, and a request that
    differs in anything else which Werkzeug looks at (a host that it may refuse, a
    WebSocket) is not one of those.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._hosts: set[str] = set()
        self._matches: dict[tuple[str, str], Match] = {}
        super().__init__(*args, **kwargs)

    def add(self, rulefactory: RuleFactory) -> None:
        """Add a rule, and forget what was remembered: it may take precedence."""
        super().add(rulefactory)
        self._matches.clear()

    def recall(self, environ: "WSGIEnvironment") -> Match | None:
        """Return what Werkzeug would answer to this request, if that is remembered."""
        found = self._matches.get((environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")))
        if found is None or environ.get("HTTP_HOST") not in self._hosts or "HTTP_UPGRADE" in environ:
            return None
        rule, values = found
        return rule, dict(values)  # the view may change its own

    def remember(self, environ: "WSGIEnvironment", match: Match) -> None:
        """Keep what Werkzeug answered to this request, if it will answer the same again."""
        rule, values = match
        path, method, host = environ.get("PATH_INFO"), environ["REQUEST_METHOD"], environ.get("HTTP_HOST")
        # Equal to its rule, a path was not rewritten on the way; without "<", nothing was taken out of it.
        if path != rule.rule or "<" in path or host is None or "HTTP_UPGRADE" in environ:
            return
        if rule.methods is None or method not in rule.methods:
            return
        if len(self._hosts) >= _HOSTS:
            self._hosts.clear()
        self._hosts.add(host)
        self._matches[method, path] = rule, dict(values)


def bind(app: "App", environ: "WSGIEnvironment") -> MapAdapter:
    """Bind the URL map of ``app`` to a request.

    SERVER_NAME, when set, is what external URLs are built with; it does not limit
    which hosts are served.

    Raises:
        HTTPException: the request names an impossible host.

    """
    # No subdomain: Werkzeug would otherwise answer 404 to any other host than SERVER_NAME.
    return app.url_map.bind_to_environ(environ, server_name=app.config["SERVER_NAME"], subdomain="")


def url_for(
    app: "App",
    endpoint: str,
    *,
    anchor: str | None,
    method: str | None,
    scheme: str | None,
    external: bool | None,
    values: dict[str, Any],
) -> str:
    """Build the URL of ``endpoint``; :meth:`App.url_for` tells the parameters.

    Inside a request of ``app``, the URL is relative to the host unless a scheme is
    given or it is asked for. Outside, it is external, from SERVER_NAME,
    APPLICATION_ROOT and PREFERRED_URL_SCHEME.
    """
    live = request_stack.top
    if live is not None and live.app is app and live.url_adapter is not None:
        adapter = live.url_adapter
        external = scheme is not None if external is None else external
    else:
        adapter = _bind_outside_request(app)
        external = True if external is None else external
    if scheme is not None and not external:
        raise ValueError("_scheme needs an external URL: leave _external out, or make it True.")
    url = adapter.build(endpoint, values, method=method, url_scheme=scheme, force_external=external)
    if anchor is not None:
        url = f"{url}#{quote(anchor, safe=_FRAGMENT)}"
    return url


def _bind_outside_request(app: "App") -> MapAdapter:
    config = app.config
    if config["SERVER_NAME"] is None:
        raise RuntimeError(
            "Cannot build a URL outside of a request without the SERVER_NAME setting. "
            "Set APPLICATION_ROOT and PREFERRED_URL_SCHEME too, if they differ from '/' and 'http'."
        )
    return app.url_map.bind(
        config["SERVER_NAME"],
        script_name=config["APPLICATION_ROOT"],
        url_scheme=config["PREFERRED_URL_SCHEME"],
    )
