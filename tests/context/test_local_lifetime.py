"""Local: what its storage holds, until when, and what frees it: a release, or the end of whoever set it."""

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

import gevent
import greenlet
import pytest

from greenlane.context import Local, LocalStack, census, get_ident, release_local
from greenlane.context.storage import SWEEP_AT

if TYPE_CHECKING:
    from tests.context.conftest import InGreenlet


def test_release_concerns_the_own_ident_only_and_may_be_repeated(in_greenlet: "InGreenlet") -> None:
    """B12: by function and by method."""
    local = Local()
    local.x = 1

    def elsewhere() -> dict[str, int]:
        local.x = 2
        release_local(local)
        release_local(local)
        return {"entries": len(local.__storage__)}

    assert in_greenlet(elsewhere) == {"entries": 1}
    assert local.x == 1
    local.__release_local__()
    local.__release_local__()
    assert local.__storage__ == {}


def test_storage_has_the_classic_shape() -> None:
    """B13: ``{ident: {name: value}}`` while something is set, ``{}`` after."""
    local = Local()
    assert local.__storage__ == {}
    local.x, local.y = 1, 2
    ident = local.__ident_func__()
    assert ident is greenlet.getcurrent()
    assert local.__storage__ == {ident: {"x": 1, "y": 2}}
    assert local.__storage__[ident] == {"x": 1, "y": 2}
    assert repr(local.__storage__) == repr({ident: {"x": 1, "y": 2}})
    release_local(local)
    assert local.__storage__ == {}
    with pytest.raises(KeyError):
        local.__storage__[ident]


def test_the_storage_of_a_stack_holds_the_stack() -> None:
    """B13: ``{ident: {"stack": [ctx]}}``."""
    stack: LocalStack[str] = LocalStack()
    stack.push("ctx")
    assert stack.__storage__ == {get_ident(): {"stack": ["ctx"]}}
    stack.pop()
    assert stack.__storage__ == {}


def test_a_new_greenlet_never_inherits_a_dead_ones_value(in_greenlet: "InGreenlet") -> None:
    """B53: the addresses of dead greenlets are recycled, their values are not."""
    local = Local()
    addresses: set[int] = set()
    found: list[object] = []

    def lane() -> None:
        addresses.add(id(greenlet.getcurrent()))
        found.append(getattr(local, "nonce", None))
        local.nonce = "never released"

    for _ in range(1000):
        in_greenlet(lane)
    assert len(addresses) < 100, "no address was recycled, so this shows nothing"
    assert found == [None] * 1000


def test_entries_of_dead_greenlets_are_gone_without_release(in_greenlet: "InGreenlet") -> None:
    """B53: 50 greenlets, among them those whose value refers back to the greenlet."""
    local = Local()

    def lane() -> None:
        local.plain = object()
        local.cycle = {"greenlet": greenlet.getcurrent()}

    for _ in range(50):
        in_greenlet(lane)
    gc.collect()
    assert local.__storage__ == {}
    assert not local.__storage__._greenlets, "a reference to a collected greenlet stayed"


@pytest.mark.parametrize("direct", [True, False])
def test_dead_greenlets_are_collected_although_their_values_refer_to_them(
    direct: bool, in_greenlet: "InGreenlet"
) -> None:
    """B53: without anybody looking at the storage.

    A dict that holds nothing but a running greenlet is not tracked by the
    collector, so that through a plain one (the second case) only sweeping helps.
    """
    local = Local()
    lanes: list[weakref.ref[greenlet.greenlet]] = []

    def lane() -> None:
        lanes.append(weakref.ref(greenlet.getcurrent()))
        local.me = greenlet.getcurrent() if direct else {"me": greenlet.getcurrent()}

    for _ in range(10 * SWEEP_AT):
        in_greenlet(lane)
    gc.collect()
    alive = sum(reference() is not None for reference in lanes)
    assert alive == 0 if direct else alive <= SWEEP_AT
    assert local.__storage__ == {}
    gc.collect()
    assert not any(reference() for reference in lanes)


def test_sweeping_leaves_the_living_alone(in_greenlet: "InGreenlet") -> None:
    """B53: more live greenlets than it takes to sweep, among dead ones, all keep their value."""
    local = Local()
    main = greenlet.getcurrent()

    def lane(number: int) -> int:
        local.number = number
        main.switch()
        return local.number  # type: ignore[no-any-return]

    living = [greenlet.greenlet(lane) for _ in range(3 * SWEEP_AT)]
    for number, each in enumerate(living):
        each.switch(number)
        in_greenlet(lambda number=number: setattr(local, "number", -number))  # type: ignore[misc]
    assert local.__storage__._sweep_at > len(living), "it sweeps again for each greenlet that comes"
    assert len(local.__storage__) == len(living)
    assert [each.switch() for each in living] == list(range(len(living)))


def test_the_entry_of_a_suspended_greenlet_stays_until_it_is_collected() -> None:
    """B53: the other end of the pair: a live greenlet keeps its data."""
    local = Local()

    def lane() -> None:
        local.x = 1
        main.switch()

    main = greenlet.getcurrent()
    suspended = greenlet.greenlet(lane)
    suspended.switch()
    gc.collect()
    assert local.__storage__ == {suspended: {"x": 1}}
    del suspended
    assert local.__storage__ == {}


def test_a_finished_gevent_greenlet_loses_its_entry_while_it_is_still_referred_to() -> None:
    """B53: when it finishes, before whoever waits for it goes on; and its data is freed."""
    local = Local()

    class Value:
        pass

    def lane() -> None:
        local.value = value = Value()
        seen.append(len(local.__storage__))
        del value

    seen: list[int] = []
    lanes = [gevent.spawn(lane) for _ in range(50)]
    gevent.joinall(lanes, raise_error=True)
    assert max(seen) > 0
    assert local.__storage__ == {}
    gevent.sleep(0)  # the links of the last one are called in the hub's next turn
    assert not [obj for obj in gc.get_objects() if isinstance(obj, Value)]
    assert len(lanes) == 50


def test_a_greenlet_is_linked_once_however_often_it_is_released() -> None:
    """A keep-alive connection's greenlet serves many requests and must not grow by each."""
    local = Local()

    class Connection(gevent.Greenlet):  # type: ignore[type-arg]
        links = 0

        def rawlink(self, callback: Callable[..., object]) -> None:
            self.links += 1
            super().rawlink(callback)

        def _run(self) -> None:
            for request in range(100):
                local.nonce = request
                release_local(local)

    connection = Connection()
    connection.start()
    assert not connection.ready()
    gevent.joinall([connection], raise_error=True)
    links_of_join = 1
    assert connection.links == 1 + links_of_join


def test_entries_of_dead_threads_are_gone_without_release() -> None:
    """B53: 50 native threads."""
    local = Local()

    def worker() -> None:
        local.x = {"greenlet": greenlet.getcurrent()}

    for _ in range(50):
        thread = threading.Thread(target=worker)
        thread.start()
        thread.join()
    gc.collect()
    assert local.__storage__ == {}


def test_a_dead_local_frees_the_data_of_every_ident() -> None:
    """B53: of the greenlets that live on."""

    class Value:
        alive = 0

        def __init__(self) -> None:
            Value.alive += 1

        def __del__(self) -> None:
            Value.alive -= 1

    main = greenlet.getcurrent()
    owner = [Local()]  # the only reference: an argument would stay in each lane's frames

    def lane() -> None:
        owner[0].value = Value()
        main.switch()

    lanes = [greenlet.greenlet(lane) for _ in range(3)]
    for each in lanes:
        each.switch()
    owner[0].value = Value()
    assert Value.alive == 4
    owner.clear()
    assert Value.alive == 0
    for each in lanes:
        each.switch()


def test_census_counts_the_entries_of_every_live_local() -> None:
    local = Local()
    assert census()[local] == 0
    local.x = 1
    assert census()[local] == 1
    release_local(local)
    before = len(census())
    del local
    assert len(census()) == before - 1


def test_locals_survive_the_end_of_the_interpreter() -> None:
    """``greenlet.getcurrent`` raises while the interpreter finalizes; destructors go on."""
    program = """
import os, sys
from greenlane.context import Local, LocalStack, release_local
local, stack = Local(), LocalStack()
proxy = stack()

class Late:
    def __del__(self, write=os.write, repr=repr, local=local, stack=stack, proxy=proxy,
                release_local=release_local, getattr=getattr):
        try:
            import_ended = getattr(local, "x", None), stack.top, stack.pop(), repr(proxy)
            local.y = 1
            stack.push(2)
            release_local(local)
            stack.pop()
            write(1, repr(import_ended).encode())
        except BaseException as error:
            write(1, repr(error).encode())

local.x = 1
stack.push(1)
sys.late = Late()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "(None, None, None, '<LocalProxy unbound>')"
    assert done.stderr == ""
