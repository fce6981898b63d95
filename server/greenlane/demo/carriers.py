"""The carriers: the places of a request that may bring its nonce.

The nonce is in the query always, and may be repeated in a header, in a cookie and
in the body. The probe compares them once, when the request begins; the `context`
strategy reads them all again at every checkpoint, through the ``request`` proxy.

Must not import strategies or the probe: both build on this.
"""

from collections.abc import Callable
from typing import Final

from greenlane.app import Request

Carrier = Callable[[Request], str | None]


def _args(request: Request) -> str | None:
    return request.args.get("nonce")


def _headers(request: Request) -> str | None:
    return request.headers.get("X-Nonce")


def _cookies(request: Request) -> str | None:
    return request.cookies.get("nonce")


def _body(request: Request) -> str | None:
    if request.method != "POST":
        return None
    if not request.is_json:
        return request.form.get("nonce")
    document = request.get_json()
    return document.get("nonce") if isinstance(document, dict) else None


CARRIERS: Final[dict[str, Carrier]] = {
    "request.args": _args,
    "request.headers": _headers,
    "request.cookies": _cookies,
    "request.body": _body,
}


def read_carriers(request: Request) -> dict[str, str | None]:
    """Read the nonce from every carrier that has one.

    Args:
        request: the request, or the proxy to whatever request is current.

    Returns:
        The nonce by carrier; a carrier that brings none is left out.

    Raises:
        werkzeug.exceptions.HTTPException: the body cannot be parsed (400) or is
            larger than the application takes (413).

    """
    found = {name: read(request) for name, read in CARRIERS.items()}
    return {name: nonce for name, nonce in found.items() if nonce is not None}
