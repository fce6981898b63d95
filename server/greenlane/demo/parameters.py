"""What a probe is asked for: parsed strictly, with bounds, and refused with a reason.

Must not import strategies or switching; knows what a request may ask, not what is done about it.
"""

import re
from dataclasses import dataclass
from typing import Final

from werkzeug.exceptions import BadRequest

from greenlane.app import Request
from greenlane.demo.carriers import read_carriers

#: Bounds of one probe. They keep a request shorter than about a minute and a
#: half, whoever sends it.
LIMITS: Final = {"hops": 64, "pause_ms": 1000, "nonce_length": 64}

#: Largest body that is read, in bytes: a nonce or a note needs no more.
MAX_CONTENT_LENGTH: Final = 16 * 1024

DEFAULT_HOPS: Final = 3
DEFAULT_PAUSE_MS: Final = 2

_NONCE = re.compile(rf"[A-Za-z0-9_-]{{1,{LIMITS['nonce_length']}}}")
_DIGITS = re.compile(r"[0-9]{1,9}")


class ParameterError(ValueError):
    """A parameter is missing, malformed or out of bounds.

    Attributes:
        parameter: which one.
        reason: why it is refused; safe to show to the client.

    """

    def __init__(self, parameter: str, reason: str) -> None:
        super().__init__(f"{parameter}: {reason}")
        self.parameter = parameter
        self.reason = reason


@dataclass(frozen=True)
class Parameters:
    """The parameters of one probe request.

    Attributes:
        nonce: what to write; unique to the request if the reader wants to learn anything.
        hops: number of checkpoints, each after a switch.
        pause: mean wait of a switch, in seconds.
        release: release the strategy as the last step, which a mended program would do.
        fate: how the request announces that it will end; empty when it ends as others do.

    """

    nonce: str
    hops: int
    pause: float
    release: bool
    fate: str = ""

    @classmethod
    def of(cls, request: Request) -> "Parameters":
        """Read the parameters from the query, and compare the nonce of every other carrier.

        Raises:
            ParameterError: the first one that is wrong.
            werkzeug.exceptions.RequestEntityTooLarge: the body is larger than the application takes.

        """
        if request.max_content_length is None:  # it is not of an App that has a bound
            request.max_content_length = MAX_CONTENT_LENGTH
        nonce = request.args.get("nonce")
        if nonce is None:
            raise ParameterError("nonce", "is missing: add ?nonce=... to the address")
        if not _NONCE.fullmatch(nonce):
            raise ParameterError(
                "nonce", f"must be 1 to {LIMITS['nonce_length']} characters of A-Z a-z 0-9 _ -"
            )
        parameters = cls(
            nonce=nonce,
            hops=_integer(request, "hops", DEFAULT_HOPS, 1, LIMITS["hops"]),
            pause=read_pause(request),
            release=_integer(request, "release", 0, 0, 1) == 1,
            fate=request.args.get("fate", ""),
        )
        try:
            carried = read_carriers(request)
        except BadRequest as error:
            raise ParameterError("request.body", "cannot be parsed as its content type says") from error
        for carrier, value in carried.items():
            if value != nonce:
                raise ParameterError(carrier, "brings another nonce than the query")
        return parameters


def read_pause(request: Request) -> float:
    """Read how long a switch waits, in seconds; nothing else of the request, whose body may be unread.

    Raises:
        ParameterError: it is none, or out of bounds.

    """
    return _integer(request, "pause", DEFAULT_PAUSE_MS, 0, LIMITS["pause_ms"], " milliseconds") / 1000


def _integer(request: Request, name: str, default: int, low: int, high: int, unit: str = "") -> int:
    text = request.args.get(name)
    if text is None:
        return default
    # Not int() alone, which also takes "+3", " 3", "1_0" and digits of other scripts.
    if not _DIGITS.fullmatch(text) or not low <= int(text) <= high:
        raise ParameterError(name, f"must be a whole number from {low} to {high}{unit}")
    return int(text)
