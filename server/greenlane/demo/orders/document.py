"""The document of a program: what every order showed, under every strategy, as the page asks for it.

It is the same byte for byte whenever it is made: no addresses, no times, no hash order.

The document::

    {"program", "title", "requests": "ab", "steps": ["write", "read"],
     "looks": whether requests look before they write,
     "orders": ["aabb", ...]: which request takes each step,
     "strategies": [{"name", "role", "summary", "shares",
       "places": the names of all places, "kept": the place of each request's data, by index,
       "states": distinct contents of all places, such as ["aa", "--"]: whose nonce is in each field,
       "results": distinct [found or null, read, what that reading is judged, what the request is],
       "runs": for each order [the state after each step, the result of each request], by index,
       "fails": in how many orders any request is not judged own,
       "kinds": in how many orders any request is judged so, by what it is judged}]}

Must not import the page that shows it.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple
from typing import Any, Final, Generic, TypeVar

from greenlane.demo.orders.explorer import EMPTY, WORST_FIRST, Run, explore
from greenlane.demo.orders.programs import Program
from greenlane.demo.strategies import STRATEGIES, Strategy

T = TypeVar("T")

_BAD: Final = WORST_FIRST[:-1]


def document(program: Program, strategies: Iterable[type[Strategy]] = STRATEGIES) -> str:
    """Run a program in every order under each strategy, and return what came out, as JSON.

    Raises:
        RuntimeError: the orders that were run are not all that there are.
        InterleavingError: a request ended with an error.

    """
    explored = [(strategy, explore(program, strategy)) for strategy in strategies]
    whole = {
        "program": program.name,
        "title": program.title,
        "requests": program.requests,
        "steps": [step.name for step in program.steps],
        "looks": program.looks,
        "orders": list(explored[0][1]),
        "strategies": [_section(strategy, list(runs.values())) for strategy, runs in explored],
    }
    return json.dumps(whole, separators=(",", ":")) + "\n"


class _Table(Generic[T]):
    """Distinct values, in the order in which they come.

    Attributes:
        numbers: the index of each.

    """

    def __init__(self) -> None:
        self.numbers: dict[T, int] = {}

    def number(self, value: T) -> int:
        """Return the index of ``value``, which is added where it is new."""
        return self.numbers.setdefault(value, len(self.numbers))


def _section(strategy: type[Strategy], runs: list[Run]) -> dict[str, Any]:
    """Return what the document says of one strategy."""
    kept = dict(sorted(runs[0].kept.items()))
    places: _Table[str] = _Table()
    kept_at = [places.number(place) for place in kept.values()]
    for place in sorted({place for run in runs for state in run.after for place in state}):
        places.number(place)
    states: _Table[tuple[str, ...]] = _Table()
    results: _Table[tuple[str | None, str, str, str]] = _Table()
    told = [
        [
            [
                states.number(tuple(state.get(place, EMPTY) for place in places.numbers))
                for state in run.after
            ],
            [results.number(astuple(one)) for _, one in sorted(run.results.items())],
        ]
        for run in runs
    ]
    judged = [{one.judged for one in run.results.values()} for run in runs]
    kinds = Counter(kind for kinds in judged for kind in kinds if kind in _BAD)
    return {
        "name": strategy.name,
        "role": strategy.role,
        "summary": strategy.summary,
        "shares": strategy.shares,
        "places": list(places.numbers),
        "kept": kept_at,
        "states": list(states.numbers),
        "results": list(results.numbers),
        "runs": told,
        "fails": sum(kinds != {"own"} for kinds in judged),
        "kinds": {kind: kinds[kind] for kind in _BAD if kind in kinds},
    }
