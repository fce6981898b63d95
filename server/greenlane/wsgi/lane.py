"""A request's own lane in the server: what its greenlet is serving right now.

Rule: the one thing that the server keeps by greenlet. It gives a request a name
that any code may ask for, the access log among them, and nobody reads another's.
"""

import secrets
from itertools import count
from typing import TYPE_CHECKING

from greenlane.context import Local, LocalProxy, get_ident

if TYPE_CHECKING:
    from greenlane.context.storage import Values

_lane = Local()

_process = secrets.token_hex(4)
_count = count(1)


def own_lane() -> "Values":
    """Return the current greenlet's lane, which stays the same for its life: set `exchange`, and clear it."""
    return _lane.__storage__.own(get_ident())


def next_request_id() -> str:
    """Return a name that no other request has, in this process or another."""
    return f"{_process}-{next(_count):x}"


def _request_id() -> str:
    try:
        exchange = _lane.exchange
    except AttributeError:
        raise RuntimeError(
            "Working outside of a request: no greenlet of the server runs here. A greenlet that a request "
            "spawns has a lane of its own; give it what it needs as an argument."
        ) from None
    request_id: str = exchange.request_id
    return request_id


request_id: LocalProxy[str] = LocalProxy(_request_id)
"""The name of the request that the current greenlet serves, as the access log has it."""
