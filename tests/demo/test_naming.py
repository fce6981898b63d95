"""The names of places, and the same without addresses: none is left in the name of any strategy's place."""

import re

import pytest
from greenlet import getcurrent

from greenlane.app import App
from greenlane.demo.naming import (
    ONE_OBJECT,
    context_name,
    g_name,
    greenlet_name,
    id_name,
    native_thread_name,
    steady_name,
)
from greenlane.demo.strategies import STRATEGIES, make_strategies

ONE, OTHER = object(), object()
GREENLETS = {1: ONE, 2: OTHER}


@pytest.mark.parametrize(
    ("name", "steady"),
    [
        (ONE_OBJECT, "the one object"),
        (greenlet_name(ONE), "greenlet 1"),
        (greenlet_name(OTHER), "greenlet 2"),
        (context_name(OTHER), "the context of greenlet 2"),
        (id_name(id(OTHER)), "id of greenlet 2"),
        (g_name(17, ONE), "g of a"),
        (native_thread_name(0x7F00), "native thread"),
    ],
)
def test_a_place_has_a_name_without_addresses(name: str, steady: str) -> None:
    assert steady_name(name, "a", GREENLETS) == steady


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (greenlet_name(ONE), greenlet_name(OTHER)),
        (context_name(ONE), context_name(OTHER)),
        (id_name(id(ONE)), id_name(id(OTHER))),
        (g_name(1, ONE), g_name(2, ONE)),
        (native_thread_name(1), native_thread_name(2)),
    ],
)
def test_two_places_have_two_names(one: str, other: str) -> None:
    assert one != other


def test_who_is_not_among_the_greenlets_is_another() -> None:
    stranger = object()
    assert steady_name(greenlet_name(stranger), "a", GREENLETS) == "another greenlet"
    assert steady_name(context_name(stranger), "a", GREENLETS) == "the context of another greenlet"
    assert steady_name(id_name(id(stranger)), "a", GREENLETS) == "id of another greenlet"


@pytest.mark.parametrize("name", [strategy.name for strategy in STRATEGIES])
def test_a_strategy_calls_its_places_by_these_names(name: str) -> None:
    """Whatever way it words them: the orders are the same in every process."""
    strategy = make_strategies()[name]
    with App("tests").test_request_context("/"):
        place = strategy.place()
    assert place is not None
    steady = steady_name(place, "a", {1: getcurrent()})
    assert not re.search(r"0x|\bg \d", steady)
