"""What a server says of its hazards: read, and checked for shape before it is believed.

Nothing here imports Locust.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crosstalk.checker.kinds import Outcome

BROKEN, FIXED = VARIANTS = ("broken", "fixed")

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

EXERCISES = ("kept-alive", "fresh", "stream", "abandoned", "pipelined", "cached", "self-test")


@dataclass(frozen=True, slots=True)
class Exercise:
    """How clients have to behave to meet a hazard.

    Attributes:
        name: one of :data:`EXERCISES`.
        fate: how some of the requests announce that they will end.
        share: the share of the requests that do, from 0 to 1.

    """

    name: str
    fate: str | None
    share: float


@dataclass(frozen=True, slots=True)
class Hazard:
    """A hazard as the server lists it.

    Attributes:
        name: what its address ends with.
        summary: what goes wrong.
        shows: where it shows in a reply.
        exercise: how to meet it.
        caught_as: what the broken variant has to be judged.
        alone: whether it must not share the server with other load.
        own_server: what has to be started beside the demonstration, if anything.
        counts_left: whether what is left at idle belongs to the finding.
        variants: in a line, what each does: ``broken``, ``fixed``, and whatever else must be caught.
        strategies: what each applicable strategy has to be judged.
        not_applicable: the other strategies, each with the reason.

    """

    name: str
    summary: str
    shows: str
    exercise: Exercise
    caught_as: tuple[Outcome, ...]
    alone: bool
    own_server: str | None
    counts_left: bool
    variants: Mapping[str, str]
    strategies: Mapping[str, Outcome]
    not_applicable: Mapping[str, str]


def parse(document: Any) -> dict[str, Hazard]:
    """Read the listing: the hazards by name, in the server's order.

    Raises:
        ValueError, KeyError, TypeError: it is not what is expected of a listing.

    """
    hazards = {each["name"]: _hazard(each) for each in document["hazards"]}
    if not hazards:
        raise ValueError("the list is empty")
    return hazards


def _hazard(each: Mapping[str, Any]) -> Hazard:
    exercise = Exercise(each["exercise"]["name"], each["exercise"]["fate"], float(each["exercise"]["share"]))
    if exercise.name not in EXERCISES:
        raise ValueError(f"{exercise.name!r} is no exercise")
    caught_as = tuple(_outcome(name) for name in each["caught_as"])
    if not caught_as or Outcome.ISOLATED in caught_as:
        raise ValueError(f"{each['name']!r} has a broken variant that nothing is to be caught of")
    if not {*VARIANTS} <= {*each["variants"]}:
        raise ValueError(f"{each['name']!r} lacks a variant")
    return Hazard(
        name=name_of(each["name"]),
        summary=_text(each["summary"]),
        shows=_text(each["shows"]),
        exercise=exercise,
        caught_as=caught_as,
        alone=bool(each["alone"]),
        own_server=each["own_server"],
        counts_left=bool(each["counts_left"]),
        variants={name_of(name): _text(what) for name, what in each["variants"].items()},
        strategies={name_of(name): _outcome(outcome) for name, outcome in each["strategies"].items()},
        not_applicable={name_of(name): _text(reason) for name, reason in each["not_applicable"].items()},
    )


def _outcome(name: object) -> Outcome:
    # A load generator that fails its self-test sees cross-talk where there is none.
    return Outcome.CROSS_TALK if name == "self-test" else Outcome(name)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{value!r} is no text")
    return value


def name_of(value: object) -> str:
    """Return a name that is a part of an address, and of a cell's key, without any more ado."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is no name")
    return value
