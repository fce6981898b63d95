"""Every way of switching lets others run, takes its time, and leaves nothing behind."""

import time

import gevent
import pytest
from gevent.event import Event

from greenlane.demo.switching import SOCKET_PAIRS, STRIPES, Switcher, jitter

WAYS = ["sleep", "socket", "lock", "queue", "event", "nested", "pool"]


def test_the_ways() -> None:
    assert [name for name, _ in Switcher().ways] == WAYS


@pytest.mark.parametrize("name", WAYS)
def test_another_greenlet_runs_meanwhile(name: str) -> None:
    ran = Event()
    gevent.spawn(ran.set)
    dict(Switcher().ways)[name](0)
    assert ran.is_set()


@pytest.mark.parametrize("name", WAYS)
def test_it_waits_as_long_as_it_is_told(name: str) -> None:
    began = time.monotonic()
    dict(Switcher().ways)[name](0.02)
    assert time.monotonic() - began >= 0.019


@pytest.mark.parametrize("name", WAYS)
def test_hundreds_at_once_all_come_back(name: str) -> None:
    way = dict(Switcher().ways)[name]
    greenlets = [gevent.spawn(way, 0.001) for _ in range(300)]
    assert len(gevent.joinall(greenlets, timeout=10, raise_error=True)) == 300


@pytest.mark.parametrize("name", WAYS)
def test_killed_midway_it_gives_back_what_it_held(name: str) -> None:
    switcher = Switcher()
    way = dict(switcher.ways)[name]
    for loops in range(6):  # killed a little later each time
        greenlets = [gevent.spawn(way, 0) for _ in range(3)]
        for _ in range(loops):
            gevent.sleep(0)
        gevent.killall(greenlets)
    assert switcher._sockets.counter == SOCKET_PAIRS
    assert [stripe.counter for stripe in switcher._stripes] == [1] * STRIPES
    assert len(switcher._pool) == 0


def test_a_gap_switches_even_without_a_pause() -> None:
    ran = Event()
    gevent.spawn(ran.set)
    Switcher().gap(0)
    assert ran.is_set()


def test_gaps_are_of_unequal_length() -> None:
    """Otherwise overlapping requests would move in lock-step and no write would ever be torn."""
    order: list[int] = []

    def visit(number: int, switcher: Switcher) -> None:
        switcher.gap(0)
        order.append(number)

    switcher = Switcher()
    gevent.joinall([gevent.spawn(visit, number, switcher) for number in range(100)], raise_error=True)
    assert sorted(order) == list(range(100)) != order


def test_jitter_stays_within_its_bounds() -> None:
    waits = [jitter(0.1) for _ in range(1000)]
    assert 0.05 <= min(waits) < max(waits) <= 0.15


def test_the_start_varies() -> None:
    switcher = Switcher()
    assert {switcher.start() for _ in range(1000)} == set(range(len(WAYS)))
