"""Tokens: each form of the demonstration carries its session's, so that no other site can send it.

Must not import any page that has a form.
"""

import secrets
from typing import Final
from urllib.parse import urlsplit

from greenlane.app import abort, request, session

_BYTES: Final = 16


def form_token() -> str:
    """Return the session's token; a new session gets one that nobody can guess."""
    if "token" not in session:
        session["token"] = secrets.token_hex(_BYTES)
    token: str = session["token"]
    return token


def check_token() -> None:
    """Refuse a form that is not one of ours, with 403.

    Another site cannot know the token. And a browser says where a form comes from (Fetch
    Metadata, and the Origin of RFC 6454): what says that it comes from elsewhere is refused too.
    """
    given, own = request.form.get("token", ""), session.get("token", "")
    if not own or not secrets.compare_digest(given.encode(), own.encode()):
        reason = (
            "Cookies must be allowed. A server that has started anew knows no old form: load the page again."
        )
        abort(403, f"This form is not of your session. {reason}")
    origin = request.headers.get("Origin", "null")
    elsewhere = origin != "null" and urlsplit(origin).netloc != request.host
    if elsewhere or request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        abort(403, "This form was sent from another site.")
