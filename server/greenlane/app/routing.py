"""URLs: binding the map to a request, and building addresses from endpoints.

Matching and building are Werkzeug's; what is here is which adapter to use when.
"""

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from werkzeug.routing import MapAdapter

from greenlane.app.globals import request_stack

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from greenlane.app.app import App

# What a fragment may hold unquoted (RFC 3986, section 3.5), and "%" for text that is quoted already.
_FRAGMENT = "!$&'()*+,;=:@/?%"


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
