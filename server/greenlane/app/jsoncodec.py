"""JSON as views answer it and requests bring it.

One encoder and one decoder for the whole package: ``jsonify``, dicts and lists
that views return, ``request.json`` and ``response.json``. Imports nothing of ours.
"""

import dataclasses
import decimal
import json
import uuid
from datetime import date
from typing import Any

from werkzeug.http import http_date


def dumps(obj: Any, **kwargs: Any) -> str:
    """Serialize ``obj``; ``kwargs`` go to :func:`json.dumps`.

    Beyond JSON's own types: dates become HTTP dates (RFC 9110, section 5.6.7),
    UUIDs and Decimals become strings, dataclasses become objects, and anything
    with ``__html__`` becomes that text.

    Raises:
        TypeError: a value has no form in JSON.

    """
    kwargs.setdefault("default", _default)
    return json.dumps(obj, **kwargs)


def loads(text: str | bytes, **kwargs: Any) -> Any:
    """Deserialize ``text``; ``kwargs`` go to :func:`json.loads`.

    Raises:
        ValueError: the text is not JSON, or is nested deeper than the decoder
            goes. For the latter :func:`json.loads` raises RecursionError, which
            would turn a client's bad input into a server error.

    """
    try:
        return json.loads(text, **kwargs)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def compact(obj: Any) -> str:
    """Serialize ``obj`` without spaces; see :func:`dumps`."""
    return _COMPACT.encode(obj)


def _default(obj: Any) -> Any:
    if isinstance(obj, date):
        return http_date(obj)
    if isinstance(obj, decimal.Decimal | uuid.UUID):
        return str(obj)
    if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        return dataclasses.asdict(obj)
    if hasattr(obj, "__html__"):
        return str(obj.__html__())
    raise TypeError(f"Object of type {type(obj).__name__} is not JSON serializable")


# Made once: json.dumps() would make a new one at each call.
_COMPACT = json.JSONEncoder(separators=(",", ":"), default=_default)
