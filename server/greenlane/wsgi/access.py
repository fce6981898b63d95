"""The access log's line for one request.

Rule: what a client sent is never written as it came: it may hold control
characters for the operator's terminal, or the end of a line. Imports nothing of
ours but the settings.
"""

import json
from datetime import UTC, datetime
from functools import lru_cache
from time import time
from typing import NamedTuple

from greenlane.wsgi.settings import AccessLog

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Entry(NamedTuple):
    """What is told of one request.

    Args:
        address: the client's; `-` when it has none.
        line: the request line as the client sent it; `-` when there was none.
        code: the status code sent; 0 when the client left before one was.
        body_bytes: the size of the body sent.
        seconds: from the request's first byte to the response's last.
        request_id: from the request's own lane; `-` for what was none.
        reason: why it was refused or its body broke off; empty when neither.

    """

    address: str
    line: str
    code: int
    body_bytes: int
    seconds: float
    request_id: str
    reason: str


def format_entry(entry: Entry, form: AccessLog) -> str:
    """One line, with its end.

    Args:
        entry: what to tell.
        form: `common`, the common log format with the time taken, the request's id and the reason of a
            refusal behind it; or `json`, an object with the same.

    """
    now = time()
    code = entry.code or 499  # as in nginx: the client left before there was an answer
    if form == "json":
        told = {
            "time": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds"),
            "request_id": entry.request_id,
            "address": entry.address,
            "request": entry.line,
            "status": code,
            "bytes": entry.body_bytes,
            "seconds": round(entry.seconds, 6),
        }
        if entry.reason:
            told["reason"] = entry.reason
        return json.dumps(told) + "\n"
    line = (
        f'{_plain(entry.address)} - - [{_stamp(int(now))}] "{_plain(entry.line)}" {code} {entry.body_bytes}'
    )
    reason = f' "{_plain(entry.reason)}"' if entry.reason else ""
    return f"{line} {entry.seconds:.6f} {entry.request_id}{reason}\n"


def _plain(text: str) -> str:
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return text.encode("unicode_escape").decode("ascii").replace('"', "\\x22")


@lru_cache(maxsize=1)
def _stamp(second: int) -> str:
    """The time as the format has it: English whatever the locale, and made once a second."""
    at = datetime.fromtimestamp(second, UTC)
    return f"{at:%d}/{_MONTHS[at.month - 1]}/{at:%Y:%H:%M:%S} +0000"
