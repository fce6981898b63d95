"""The application of the soak: an echo through `g`, uploads, a stream and a file.

Rule: each answer can be checked by who asked: it has the nonce of the request, or the checksum of what was
sent.
"""

import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from time import sleep
from typing import TYPE_CHECKING

from greenlane.app import App, Response, g, request

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

FILE_SIZE = 1_000_000
PIECE = 16_384

app = App(__name__)

_file = tempfile.NamedTemporaryFile(prefix="soak-")  # noqa: SIM115 - it lives as long as the process
_file.write(os.urandom(FILE_SIZE))
_file.flush()
with open(_file.name, "rb") as _opened:  # noqa: PTH123 - as below
    _checksum = zlib.crc32(_opened.read())


@app.get("/echo")
def echo() -> str:
    """Write the nonce, switch, and read it back."""
    g.nonce = request.args["nonce"]
    sleep(float(request.args.get("seconds", 0)))
    return str(g.nonce)


@app.post("/upload")
def upload() -> str:
    """Read the body piece by piece, and answer the nonce and the body's checksum."""
    g.nonce = request.args["nonce"]
    checksum = 0
    while piece := request.stream.read(PIECE):
        checksum = zlib.crc32(piece, checksum)
    return f"{g.nonce} {checksum}"


@app.get("/stream")
def stream() -> Response:
    """Answer the nonce, so many times in each of so many pieces, which leave one by one."""
    pieces = int(request.args["pieces"])
    piece = request.args["nonce"].encode() * int(request.args["times"])

    def pieces_of_it() -> Iterator[bytes]:
        for _ in range(pieces):
            yield piece
            sleep(0)

    return Response(pieces_of_it())


@app.get("/checksum")
def checksum() -> str:
    """Answer the checksum of the file."""
    return str(_checksum)


def _send_file(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    file = open(_file.name, "rb")  # noqa: SIM115, PTH123 - the server closes it
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
    return wrapped


def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """The file is the server's to send; all else is the App's."""
    inner: WSGIApplication = _send_file if environ["PATH_INFO"] == "/file" else app
    return inner(environ, start_response)
