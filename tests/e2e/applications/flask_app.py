"""A Flask application: sessions, streams, uploads and errors, with a switch wherever two could mix."""

import hashlib
from collections.abc import Iterator

import gevent
from flask import Flask, Response, abort, g, request, session, stream_with_context

app = Flask(__name__)
app.secret_key = "of these tests"


@app.before_request
def remember() -> None:
    g.nonce = request.args.get("nonce")


@app.get("/visit")
def visit() -> dict[str, object]:
    """Count the visits of one session, and tell whose request this is after others have run."""
    session["visits"] = session.get("visits", 0) + 1
    session["nonce"] = request.args["nonce"]
    gevent.sleep(0.002)
    return {
        "g": g.nonce,
        "args": request.args["nonce"],
        "session": session["nonce"],
        "visits": session["visits"],
    }


@app.get("/stream")
def stream() -> Response:
    """The nonce, a hundred times, each read anew from the request."""

    def lines() -> Iterator[str]:
        for number in range(100):
            if number % 10 == 0:
                gevent.sleep(0.001)
            yield f"{number} {request.args['nonce']} {g.nonce}\n"

    return Response(stream_with_context(lines()), mimetype="text/plain")


@app.post("/upload")
def upload() -> dict[str, object]:
    """A file in a form."""
    file = request.files["file"]
    data = file.read()
    return {"name": file.filename, "length": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@app.put("/raw")
def raw() -> dict[str, object]:
    """A body as it is, with or without a length."""
    data = request.get_data()
    return {"length": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@app.get("/broken")
def broken() -> str:
    raise RuntimeError("a secret of the program")


@app.get("/broken-stream")
def broken_stream() -> Response:
    """Fails when half of it is out."""

    def pieces() -> Iterator[str]:
        yield "half"
        raise RuntimeError("a secret of the program")

    return Response(pieces(), mimetype="text/plain")


@app.get("/teapot")
def teapot() -> str:
    abort(418)
