"""An application that tells each client what it sent, served by ``greenlane run echoing`` to real clients."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import gevent

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    Page = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]

_PIECE = 65_536

BROWSER_PAGE = b"""<!doctype html>
<title>waiting</title>
<link rel="stylesheet" href="/style.css">
<body><p id="said">waiting</p>
<script>
const nonces = Array.from({length: 60}, () => crypto.randomUUID());
async function ask(nonce, number) {
  const path = `/echo?nonce=${nonce}`;
  const options = number % 2 ? {method: "POST", body: nonce.repeat(1000)} : {};
  const told = await (await fetch(path, {cache: "no-store", ...options})).json();
  const own = told.query === `nonce=${nonce}`;
  return own && told.length === (number % 2 ? 36000 : 0);
}
Promise.all(nonces.map(ask)).then(
  right => { document.getElementById("said").textContent = `right: ${right.filter(Boolean).length}`; },
  error => { document.getElementById("said").textContent = `failed: ${error}`; },
);
</script>
"""


def _read(environ: "WSGIEnvironment") -> tuple[int, str]:
    """Read the whole body in pieces; return its length and its digest."""
    digest, length = hashlib.sha256(), 0
    while piece := environ["wsgi.input"].read(_PIECE):
        digest.update(piece)
        length += len(piece)
    return length, digest.hexdigest()


def _echo(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """What came, in JSON. Other requests run between reading the query and answering it."""
    query = environ["QUERY_STRING"]
    length, digest = _read(environ)
    gevent.sleep(0.001)
    told = {
        "method": environ["REQUEST_METHOD"],
        "target": environ["RAW_URI"],
        "path": environ["PATH_INFO"],
        "query": query,
        "protocol": environ["SERVER_PROTOCOL"],
        "scheme": environ["wsgi.url_scheme"],
        "address": environ["REMOTE_ADDR"],
        "port": environ.get("REMOTE_PORT", ""),
        "host": environ.get("HTTP_HOST"),
        "length": length,
        "sha256": digest,
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told).encode()]


def _unread(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Answer without reading what is sent."""
    start_response("403 Forbidden", [("Content-Type", "text/plain")])
    return [b"not for you"]


def _stream(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
    """A thousand lines, some at a time."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    for number in range(1000):
        if number % 100 == 0:
            gevent.sleep(0.001)
        yield b"line %d\n" % number


def _shout(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
    """Answer each line as it comes, before the next one has been sent."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    for line in environ["wsgi.input"]:
        yield line.upper()


def _page(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [BROWSER_PAGE]


def _style(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/css")])
    return [b"p { color: green }"]


_PAGES: "dict[str, Page]" = {
    "/unread": _unread,
    "/stream": _stream,
    "/shout": _shout,
    "/page": _page,
    "/style.css": _style,
}


def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Whatever has no page of its own is told what it sent."""
    return _PAGES.get(environ["PATH_INFO"], _echo)(environ, start_response)
