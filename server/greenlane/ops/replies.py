"""Short replies of the operator's own paths: whole, not kept by anybody, and without a body for HEAD.

Rule: knows WSGI (PEP 3333) and nothing of what is told.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

PLAIN = "text/plain; charset=utf-8"


def reply(
    environ: "WSGIEnvironment",
    start_response: "StartResponse",
    body: bytes,
    *,
    status: str = "200 OK",
    content_type: str = PLAIN,
    more: Sequence[tuple[str, str]] = (),
) -> list[bytes]:
    """Answer with `body`, or with its length alone when the method is HEAD.

    Args:
        environ: the request's.
        start_response: the server's.
        body: all of it.
        status: code and reason.
        content_type: what the body is.
        more: further header fields.

    """
    headers = [
        ("Cache-Control", "no-store"),
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        ("X-Content-Type-Options", "nosniff"),
        *more,
    ]
    start_response(status, headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
