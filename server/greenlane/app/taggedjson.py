"""Tagged JSON: what a session cookie holds, so that values come back as they went in.

JSON knows no tuple, bytes, datetime or UUID, and only text as a key. Each such
value is written as an object with one member, whose name is its tag::

    (1, b"x")   <->   {" t": [1, {" b": "eA=="}]}

A dict that could be taken for one, or has a key that is not text, is written as
a list of pairs under a tag of its own. A namedtuple comes back as a tuple.
Imports nothing of ours.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID


class _Tag(NamedTuple):
    """How one type is written: its tag, the type, and the way there and back."""

    key: str
    type: type
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


_TAGS = (
    _Tag(" t", tuple, lambda value: [_encode(item) for item in value], tuple),
    _Tag(" b", bytes, lambda value: b64encode(value).decode("ascii"), b64decode),
    _Tag(" d", datetime, datetime.isoformat, datetime.fromisoformat),
    _Tag(" u", UUID, lambda value: value.hex, UUID),
    _Tag(" m", dict, lambda value: [[_encode(key), _encode(value[key])] for key in value], dict),
)
_BY_KEY = {tag.key: tag for tag in _TAGS}


def dumps(obj: Any) -> str:
    """Serialize ``obj`` compactly.

    Raises:
        TypeError: it holds a value that is neither JSON's nor in the table above.

    """
    return _ENCODER.encode(_encode(obj))


def loads(text: str) -> Any:
    """Deserialize what :func:`dumps` wrote.

    Raises:
        ValueError, TypeError: the text is not JSON, or a tag holds what it does not announce.

    """
    return _DECODER.decode(text)


def _encode(value: Any) -> Any:
    if isinstance(value, list):
        return [_encode(item) for item in value]
    if isinstance(value, dict) and _is_plain(value):
        return {key: _encode(item) for key, item in value.items()}
    for tag in _TAGS:
        if isinstance(value, tag.type):
            return {tag.key: tag.encode(value)}
    return value


def _is_plain(value: dict[Any, Any]) -> bool:
    """Whether JSON can hold this dict as it is, and nobody would take it for a tag."""
    return all(isinstance(key, str) for key in value) and not (
        len(value) == 1 and next(iter(value)) in _BY_KEY
    )


def _decode(value: dict[str, Any]) -> Any:
    if len(value) == 1:
        [(key, content)] = value.items()
        if key in _BY_KEY:
            return _BY_KEY[key].decode(content)
    return value


# Made once: json.dumps() and json.loads() would make new ones at each call, for want of defaults.
_ENCODER = json.JSONEncoder(separators=(",", ":"))
_DECODER = json.JSONDecoder(object_hook=_decode)
