"""The echo in Greenlane's App: through `request`, `g`, the session and one switch. Its twin is `echo_flask`.

Rule: line by line what the twin does, with the App's names and the App's defaults.
"""

from time import sleep

from greenlane.app import App, g, request, session

app = App(__name__)
app.secret_key = "signs the benchmark's cookies, and nothing else"  # noqa: S105 - not a secret


@app.get("/echo")
def echo() -> dict[str, object]:
    """Write the nonce, switch, and read it back; the session counts visits, so each reply signs it anew."""
    g.nonce = request.args["nonce"]
    session["visits"] = session.get("visits", 0) + 1
    sleep(0)
    return {"nonce": g.nonce, "visits": session["visits"]}
