"""Plain WSGI applications, so that what is measured is the server.

Rule: the standard library only, and as little work as an answer needs. A server built on gevent has patched
`time.sleep` before it imports this: there, sleeping switches to other greenlets.
"""

import json
from time import sleep
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

_HELLO = b"Hello, World!"

_DOCUMENT = json.dumps(
    [{"number": number, "name": f"item {number:03}", "tags": ["green", "lane"]} for number in range(160)]
).encode()
"""10 kB. Made once: the time that `json` takes is no business of a server."""

_CHUNK = 16_384

_held = 0
"""Requests that sleep now. One thread changes it, or a lock would be needed."""


def _answer(start_response: "StartResponse", content_type: str, body: bytes) -> "Iterable[bytes]":
    start_response("200 OK", [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]


def hello(_environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
    """Answer 13 bytes."""
    return _answer(start_response, "text/plain", _HELLO)


def document(_environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
    """Answer 10 kB of JSON."""
    return _answer(start_response, "application/json", _DOCUMENT)


def upload(environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
    """Read the whole body, piece by piece, and answer how long it was."""
    body, length = environ["wsgi.input"], 0
    while piece := body.read(_CHUNK):
        length += len(piece)
    return _answer(start_response, "text/plain", b"%d" % length)


def nap(environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
    """Sleep as long as ``?seconds=`` says and echo ``?nonce=``; ``/held`` answers how many do so now."""
    global _held
    if environ["PATH_INFO"] == "/held":
        return _answer(start_response, "text/plain", b"%d" % _held)
    if environ["PATH_INFO"] != "/nap":
        return hello(environ, start_response)
    query = parse_qs(environ["QUERY_STRING"])
    nonce = query["nonce"][0]
    _held += 1
    try:
        sleep(float(query["seconds"][0]))
    finally:
        _held -= 1
    return _answer(start_response, "text/plain", nonce.encode())
