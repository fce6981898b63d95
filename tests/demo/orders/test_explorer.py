"""Every order of the page's programs: how many there are, and in how many each strategy fails.

Where one place is all there is, a request reads its own if, and only if, nobody else wrote
between its first write and its read. Say that another's write came between: then it has
changed a field that the request had written already, or it will be written over by the
request, and then it is the other that reads what it did not write. So nothing but one
request after another holds: as many orders as requests can stand in line.
"""

from itertools import permutations
from math import factorial

import pytest

from greenlane.demo.orders.explorer import Result, Run, explore
from greenlane.demo.orders.programs import PROGRAMS, Program
from greenlane.demo.strategies import STRATEGIES, ReleasedLocal, SharedObject, Strategy

ONE_PLACE = ("shared-object", "native-thread-local", "thread-ident")
BY_GREENLET = ("gevent-local", "contextvar", "local-unreleased", "id-reused")
BY_NAME = {strategy.name: strategy for strategy in STRATEGIES}


def failing(runs: dict[str, Run]) -> set[str]:
    return {order for order, run in runs.items() if any(one.judged != "own" for one in run.results.values())}


def in_line(program: Program) -> set[str]:
    """Return the orders in which each request is done before the next begins."""
    steps = len(program.steps)
    return {"".join(nonce * steps for nonce in line) for line in permutations(program.requests)}


@pytest.mark.parametrize(
    ("name", "orders"),
    [
        ("two", factorial(4) // factorial(2) ** 2),
        ("fields", factorial(6) // factorial(3) ** 2),
        ("three", factorial(6) // factorial(2) ** 3),
        ("kept-alive", factorial(6) // (factorial(4) * factorial(2))),
    ],
)
def test_each_program_has_all_its_orders(name: str, orders: int) -> None:
    program = PROGRAMS[name]
    runs = explore(program, SharedObject)
    assert len(runs) == program.orders == orders
    assert all(sorted(order) == sorted(program.requests * len(program.steps)) for order in runs)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
@pytest.mark.parametrize("name", ["two", "fields", "three"])
def test_who_fails_in_which_orders(name: str, strategy: type[Strategy]) -> None:
    """B1, B54, B55: one place for all holds only where nobody overlaps; a place for each always does."""
    program = PROGRAMS[name]
    runs = explore(program, strategy)
    expected = set(runs) - in_line(program) if strategy.name in ONE_PLACE else set()
    assert failing(runs) == expected


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
def test_a_kept_alive_connection_needs_a_release(strategy: type[Strategy]) -> None:
    """B53: c comes after a on the same greenlet in every order, so whatever a has left is found in all."""
    runs = explore(PROGRAMS["kept-alive"], strategy)
    holds = strategy.role == "subject"
    assert len(failing(runs)) == (0 if holds else 15)
    if strategy.name in BY_GREENLET:
        assert all(run.results["c"] == Result("aa", "cc", "own", "stale") for run in runs.values())
        assert all(run.results[nonce].judged == "own" for run in runs.values() for nonce in "ab")


def test_an_order_told_by_hand() -> None:
    """B1: a writes, b writes over it, a reads b's, and b its own."""
    one = "the one object"
    assert explore(PROGRAMS["two"], SharedObject)["abab"] == Run(
        after=({one: "aa"}, {one: "bb"}, {one: "bb"}, {one: "bb"}),
        kept={"a": one, "b": one},
        results={"a": Result(None, "bb", "foreign", "foreign"), "b": Result(None, "bb", "own", "own")},
    )


def test_the_same_order_in_lanes_of_their_own() -> None:
    """B54: each has a place, which is empty again when its response is closed."""
    assert explore(PROGRAMS["two"], ReleasedLocal)["abab"] == Run(
        after=(
            {"greenlet 1": "aa"},
            {"greenlet 1": "aa", "greenlet 2": "bb"},
            {"greenlet 2": "bb"},
            {},
        ),
        kept={"a": "greenlet 1", "b": "greenlet 2"},
        results={"a": Result(None, "aa", "own", "own"), "b": Result(None, "bb", "own", "own")},
    )


def test_two_fields_can_be_torn() -> None:
    """B1: b writes both between a's two writes."""
    run = explore(PROGRAMS["fields"], SharedObject)["abbaab"]
    assert run.after[3] == {"the one object": "ba"}
    assert run.results == {
        "a": Result(None, "ba", "torn", "torn"),
        "b": Result(None, "ba", "torn", "torn"),
    }


def test_what_dies_with_its_greenlet_is_not_shown_after_it() -> None:
    """B53: and what is kept under its address is."""
    left = {
        name: explore(PROGRAMS["two"], BY_NAME[name])["aabb"].after[-1] for name in (*BY_GREENLET, "context")
    }
    assert left.pop("id-reused") == {"id of greenlet 1": "aa", "id of greenlet 2": "bb"}
    assert set(map(len, left.values())) == {0}


def test_each_request_has_a_g_of_its_own() -> None:
    run = explore(PROGRAMS["kept-alive"], BY_NAME["context"])["abaccb"]
    assert run.kept == {"a": "g of a", "b": "g of b", "c": "g of c"}
    assert run.after[3] == {"g of b": "bb", "g of c": "cc"}


class OneLaneForAll(ReleasedLocal):
    """A Local that is broken: its ident is the same for everybody."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self.local, "__ident_func__", lambda: 0)


def test_a_broken_local_is_caught() -> None:
    """The exploration looks at the real thing: with the ident broken, `local` fails where one place does."""
    program = PROGRAMS["two"]
    runs = explore(program, OneLaneForAll)
    assert failing(runs) == set(runs) - in_line(program)
    # a reads b's, and releases it when it ends.
    assert runs["abab"].results == {
        "a": Result(None, "bb", "foreign", "foreign"),
        "b": Result(None, "--", "missing", "missing"),
    }
    # And all see that they keep it in one place, which is none of theirs.
    assert runs["abab"].after == ({"another greenlet": "aa"}, {"another greenlet": "bb"}, {}, {})


class Forgetful(SharedObject):
    """Begins with what the last order has left, which no order may."""

    left: dict[str, str] = {}  # noqa: RUF012 - the fault that is tried

    def __init__(self) -> None:
        super().__init__()
        vars(self.holder).update(self.left)
        type(self).left = vars(self.holder)


def test_a_strategy_that_remembers_other_orders_is_refused() -> None:
    """What depends on more than the order cannot be shown as what it does."""
    with pytest.raises(Exception, match="was run twice, and did not show the same"):
        explore(PROGRAMS["kept-alive"], Forgetful)
