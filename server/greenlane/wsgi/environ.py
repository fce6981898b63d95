"""A request's environment (PEP 3333): a template for each connection, and what the head says.

Rule: nothing here waits or fails but for a target that is none. Must not know
sockets, bodies or responses.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIEnvironment
from wsgiref.util import FileWrapper

from greenlane.wsgi.body import EMPTY
from greenlane.wsgi.errors import BadRequestError
from greenlane.wsgi.head import Head, check_host

_ABSOLUTE = re.compile(r"https?://([^/?#]*)(/[^?#]*)?(\?.*)?", re.IGNORECASE)
"""RFC 9112, 3.2.2: what clients send to proxies, and a server must take all the same."""


def template(base: Mapping[str, Any], address: Any) -> WSGIEnvironment:
    """Return what all requests of one connection have in common.

    Args:
        base: the server's own: its name, its port, its error stream.
        address: the client's, as `accept` gave it: a tuple, or a Unix socket's path.

    """
    environ = dict(base)
    # Of each request's own, so that the copy of this has room for them: a dict that grows is made anew.
    environ["REQUEST_METHOD"] = environ["PATH_INFO"] = environ["QUERY_STRING"] = ""
    environ["RAW_URI"] = environ["REQUEST_URI"] = ""
    environ["SERVER_PROTOCOL"] = "HTTP/1.1"
    environ["wsgi.input"] = EMPTY
    # Not in PEP 3333: the input ends by itself, so that nobody needs a length to read it.
    environ["wsgi.input_terminated"] = True
    environ["wsgi.file_wrapper"] = FileWrapper
    if isinstance(address, tuple):
        environ["REMOTE_ADDR"] = address[0]
        environ["REMOTE_PORT"] = str(address[1])
    else:
        environ["REMOTE_ADDR"] = ""
    return environ


def make_environ(common: WSGIEnvironment, head: Head) -> WSGIEnvironment:
    """Return one request's environment, without `wsgi.input`.

    Args:
        common: the connection's template.
        head: the request's.

    Raises:
        BadRequestError: the target is none.

    """
    environ = common.copy()
    environ.update(head.fields)
    target = head.target
    environ["REQUEST_METHOD"] = head.method
    environ["RAW_URI"] = environ["REQUEST_URI"] = target
    if target[0] != "/":
        target = _from_other_form(head, environ)
    if "#" in target:
        raise BadRequestError("the target has a fragment (RFC 9112, 3.2)")
    path, _, environ["QUERY_STRING"] = target.partition("?")
    # PEP 3333: bytes as Latin-1, whatever they mean.
    environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1") if "%" in path else path
    if not head.http_1_1:
        environ["SERVER_PROTOCOL"] = "HTTP/1.0"
    return environ


def _from_other_form(head: Head, environ: WSGIEnvironment) -> str:
    """Return path and query of a target that is not in origin form (RFC 9112, 3.2)."""
    if head.target == "*" and head.method == "OPTIONS":
        return "*"
    match = _ABSOLUTE.fullmatch(head.target)
    if match is None or not match[1]:
        raise BadRequestError("the target is none (RFC 9112, 3.2)")
    check_host(match[1])
    environ["HTTP_HOST"] = match[1]  # RFC 9112, 3.2.2: instead of the field
    return (match[2] or "/") + (match[3] or "")
