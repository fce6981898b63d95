"""The options of `greenlane run` that set a field of the server's settings: one row for each.

Rule: see the package. An option is named as its field, and takes its default
from there, so that neither can differ.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from greenlane.wsgi import Settings

_Command = TypeVar("_Command", bound=Callable[..., Any])

_DEFAULTS = Settings()

_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


class _Number(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """A number that is at least something; or `none`, where there may be no bound.

    Args:
        at_least: the smallest number allowed.
        may_be_none: whether the word `none` is.

    """

    def __init__(self, *, at_least: float = 0, may_be_none: bool = False) -> None:
        self._at_least = at_least
        self._may_be_none = may_be_none

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read what a user wrote; a default is a number already."""
        if not isinstance(value, str):
            return value
        if self._may_be_none and value.lower() == "none":
            return None
        number = self._read(value)
        if number is None or not self._at_least <= number < math.inf:  # nor "nan"
            self.fail(self._fault(value), param, ctx)
        return number

    def _read(self, value: str) -> float | None:
        return int(value) if re.fullmatch(r"\d{1,18}", value, re.ASCII) else None

    def _fault(self, value: str) -> str:
        least = f" from {self._at_least:g} up" if self._at_least else ""
        return f"{value!r} is not a {self.name}{least}{', or none' if self._may_be_none else ''}."


class _Count(_Number):
    name = "number"


class _Size(_Number):
    """A number of bytes, such as 65536 or 64K."""

    name = "size"

    def _read(self, value: str) -> float | None:
        match = re.fullmatch(r"(\d{1,18})([KMG]?)", value.upper(), re.ASCII)
        return int(match[1]) * _UNITS[match[2]] if match else None

    def _fault(self, value: str) -> str:
        return f"{super()._fault(value)[:-1]}: bytes, or 64K, 10M, 1G."


class _Seconds(_Number):
    """A time; "nan" and "inf" are numbers too, and no time to wait."""

    name = "seconds"

    def __init__(self, *, may_be_zero: bool = False) -> None:
        super().__init__()
        self._may_be_zero = may_be_zero

    def _read(self, value: str) -> float | None:
        try:
            seconds = float(value)
        except ValueError:
            return None
        return seconds if seconds > 0 or (self._may_be_zero and seconds == 0) else None

    def _fault(self, value: str) -> str:
        return f"{value!r} is not a number of seconds{'' if self._may_be_zero else ', more than zero'}."


@dataclass(frozen=True)
class _Limit:
    """An option: its field, what it takes, and a line of help."""

    field: str
    kind: _Number
    help: str


LIMITS = (
    _Limit("max_connections", _Count(at_least=1), "Connections served at once; more wait."),
    _Limit(
        "max_connections_per_address",
        _Count(at_least=1, may_be_none=True),
        "Connections of one client address at once; more are refused.",
    ),
    _Limit(
        "max_requests_per_connection",
        _Count(at_least=1, may_be_none=True),
        "Requests before a connection is closed.",
    ),
    _Limit("backlog", _Count(at_least=1), "Connections the kernel may hold until they are accepted."),
    _Limit("keep_alive", _Seconds(), "How long a connection may be idle."),
    _Limit("head_timeout", _Seconds(), "How long a request's head, or a TLS handshake, may take."),
    _Limit(
        "body_timeout", _Seconds(), "How long a client that sends a body may keep the application waiting."
    ),
    _Limit("write_timeout", _Seconds(), "How long a client may keep a response waiting."),
    _Limit("min_rate", _Count(at_least=1), "Bytes a second that earn more of those two times."),
    _Limit(
        "drain_timeout",
        _Seconds(may_be_zero=True),
        "How long requests may take to finish after SIGTERM or Ctrl-C.",
    ),
    _Limit(
        "linger", _Seconds(may_be_zero=True), "How long to wait for a client's own close after a refusal."
    ),
    _Limit("max_request_line", _Size(at_least=1), "A request's first line."),
    _Limit("max_header_count", _Count(at_least=1), "Header fields of a request."),
    _Limit("max_head_size", _Size(at_least=1), "A request's first line and all its header fields."),
    _Limit("max_body_size", _Size(at_least=1, may_be_none=True), "A request's body."),
    _Limit("max_discard", _Size(), "How much of a body nobody read is skipped to keep the connection."),
)


def limit_options(command: _Command) -> _Command:
    """Give `command` an option for each row, and with it a parameter named as the field."""
    for limit in reversed(LIMITS):
        default = getattr(_DEFAULTS, limit.field)
        command = click.option(
            f"--{limit.field.replace('_', '-')}",
            limit.field,
            type=limit.kind,
            default=default,
            show_default="none" if default is None else True,
            help=limit.help,
        )(command)
    return command
