"""The access log's line for one request, in the common log format with the time taken behind it.

Rule: what a client sent is never written as it came: it may hold control
characters for the operator's terminal. Imports nothing of ours.
"""

from datetime import UTC, datetime
from functools import lru_cache
from time import time

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def format_line(address: object, request_line: str, code: int, body_bytes: int, seconds: float) -> str:
    """One line, with its end.

    Args:
        address: the client's address; an (host, port) pair shows the host.
        request_line: as the client sent it; `-` when there was none.
        code: the status code sent; 499, as in nginx, when the client left before one was.
        body_bytes: the size of the body sent.
        seconds: from the request's first byte to the response's last.

    """
    host = address[0] if isinstance(address, tuple) else (address or "-")
    if not request_line.isprintable() or '"' in request_line:
        request_line = request_line.encode("unicode_escape").decode("ascii").replace('"', "\\x22")
    return f'{host} - - [{_stamp(int(time()))}] "{request_line}" {code or 499} {body_bytes} {seconds:.6f}\n'


@lru_cache(maxsize=1)
def _stamp(second: int) -> str:
    """The time as the format has it: English whatever the locale, and made once a second."""
    at = datetime.fromtimestamp(second, UTC)
    return f"{at:%d}/{_MONTHS[at.month - 1]}/{at:%Y:%H:%M:%S} +0000"
