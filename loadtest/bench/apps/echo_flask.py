"""The echo in Flask: through `request`, `g`, the session and one switch. Its twin is `echo_greenlane`.

Rule: line by line what the twin does, with Flask's names and Flask's defaults.
"""

from time import sleep

from flask import Flask, g, request, session

app = Flask(__name__)
app.secret_key = "signs the benchmark's cookies, and nothing else"  # noqa: S105 - not a secret


@app.get("/echo")
def echo() -> dict[str, object]:
    """Write the nonce, switch, and read it back; the session counts visits, so each reply signs it anew."""
    g.nonce = request.args["nonce"]
    session["visits"] = session.get("visits", 0) + 1
    sleep(0)
    return {"nonce": g.nonce, "visits": session["visits"]}
