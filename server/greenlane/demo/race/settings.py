"""What a race is asked for: the form, parsed strictly, with bounds, and refused with a reason.

Must not import the site or the views.
"""

from dataclasses import dataclass
from typing import Final

from werkzeug.datastructures import ImmutableMultiDict

from greenlane.demo.hazards import HAZARDS
from greenlane.demo.hazards.hazard import Hazard
from greenlane.demo.hazards.mount import VARIANTS
from greenlane.demo.parameters import ParameterError
from greenlane.demo.strategies import STRATEGIES

#: Bounds of one race.
LIMITS: Final = {"requests": 2_000, "at_once": 500, "hops": 16}

#: What the form holds when the page is opened.
DEFAULTS: Final = {
    "hazard": "shared-object",
    "strategy": "shared-object",
    "beside": "local",
    "requests": "200",
    "at_once": "20",
    "hops": "3",
}

PAUSE_MS: Final = 30
"""How long a switch waits, on average: long enough that all the others get their turn meanwhile."""


@dataclass(frozen=True)
class Settings:
    """What one race is to be.

    Attributes:
        hazard: the situation.
        strategies: one or two; names of strategies, or ``broken`` or ``fixed``.
        requests: how many are sent under each.
        at_once: how many of them at a time.
        hops: switches in each request, each with a checkpoint after it.

    """

    hazard: Hazard
    strategies: tuple[str, ...]
    requests: int
    at_once: int
    hops: int

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells that are raced."""
        return tuple(f"{self.hazard.name}/{strategy}" for strategy in self.strategies)

    @classmethod
    def of(cls, form: "ImmutableMultiDict[str, str]") -> "Settings":
        """Read a form.

        Raises:
            ParameterError: the first field that is wrong.

        """
        hazard = next((each for each in HAZARDS if each.name == form.get("hazard")), None)
        if hazard is None:
            raise ParameterError("hazard", f"there is no hazard {form.get('hazard', '')!r}")
        if hazard.own_server is not None:
            raise ParameterError("hazard", f"{hazard.name!r} needs a server of its own: see crosstalk matrix")
        first, beside = form.get("strategy", ""), form.get("beside", "")
        strategies = tuple(dict.fromkeys((first, beside) if beside else (first,)))
        for field, name in zip(("strategy", "beside"), strategies, strict=False):
            _check(hazard, field, name)
        requests = _integer(form, "requests", LIMITS["requests"])
        at_once = _integer(form, "at_once", LIMITS["at_once"])
        return cls(
            hazard, strategies, requests, min(at_once, requests), _integer(form, "hops", LIMITS["hops"])
        )


def choices(hazard: Hazard) -> dict[str, str | None]:
    """Return what can be raced in ``hazard`` by name, each with the reason why it cannot, or None."""
    if hazard.own_server is not None:
        return {}
    found: dict[str, str | None] = {each.name: hazard.not_applicable.get(each.name) for each in STRATEGIES}
    return found | {name: None for name in VARIANTS if getattr(hazard, name) is not None}


def _check(hazard: Hazard, field: str, name: str) -> None:
    offered = choices(hazard)
    if name not in offered:
        raise ParameterError(field, f"there is no strategy {name!r}")
    if reason := offered[name]:
        raise ParameterError(field, f"{hazard.name!r} says nothing of {name!r}: {reason}")


def _integer(form: "ImmutableMultiDict[str, str]", name: str, most: int) -> int:
    text = form.get(name, DEFAULTS[name]).strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= most):
        raise ParameterError(name, f"must be a whole number from 1 to {most:,}")
    return int(text)
