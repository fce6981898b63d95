"""Local: attributes that belong to the ident that set them."""

import copy
import threading
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import gevent
import greenlet
import pytest
from gevent.event import Event
from hypothesis import given
from hypothesis import strategies as st

from greenlane.context import Local, get_ident, release_local

if TYPE_CHECKING:
    from tests.context.conftest import InGreenlet


def test_a_value_survives_a_switch_to_a_greenlet_that_writes_the_same_name() -> None:
    """B54: two greenlets overlap, each between its write and its read, and read their own."""
    local = Local()
    written, may_read = Event(), Event()
    read: dict[str, str] = {}
    order: list[str] = []

    def first() -> None:
        local.nonce = "first"
        order.append("first wrote")
        written.set()
        may_read.wait()
        order.append("first reads")
        read["first"] = local.nonce

    def second() -> None:
        written.wait()
        local.nonce = "second"
        order.append("second wrote")
        may_read.set()
        gevent.sleep(0)
        read["second"] = local.nonce

    gevent.joinall([gevent.spawn(first), gevent.spawn(second)], raise_error=True)
    assert order == ["first wrote", "second wrote", "first reads"]
    assert read == {"first": "first", "second": "second"}


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("xyz"), st.integers()), max_size=30))
def test_every_interleaving_of_writes_reads_back_the_own_last_value(
    writes: list[tuple[int, str, int]],
) -> None:
    """B54: whatever order four greenlets write in, each ends with its own last values."""
    local = Local()
    expected: dict[int, dict[str, int]] = {worker: {} for worker in range(4)}
    result: dict[int, dict[str, int]] = {}
    main = greenlet.getcurrent()

    def worker(number: int) -> None:
        while (order := main.switch()) is not None:
            setattr(local, *order)
        result[number] = {name: getattr(local, name) for name in expected[number]}

    lanes = [greenlet.greenlet(worker) for _ in range(4)]
    for number, lane in enumerate(lanes):
        lane.switch(number)
    for number, name, value in writes:
        expected[number][name] = value
        lanes[number].switch((name, value))
    for lane in lanes:
        lane.switch(None)
    assert result == expected


def test_threads_read_their_own_value() -> None:
    """B54: five native threads write before any of them reads."""
    local = Local()
    barrier = threading.Barrier(5)
    read: dict[int, int] = {}

    def worker(number: int) -> None:
        local.number = number
        barrier.wait()
        read[number] = local.number

    threads = [threading.Thread(target=worker, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == {number: number for number in range(5)}


def test_deleting_concerns_the_own_ident_only(in_greenlet: "InGreenlet") -> None:
    """B8: a second delete, and a delete by another ident, raise AttributeError."""
    local = Local()
    local.name = "mine"

    def elsewhere() -> str:
        with pytest.raises(AttributeError, match="name"):
            del local.name
        return "ran"

    assert in_greenlet(elsewhere) == "ran"
    assert local.name == "mine"
    del local.name
    with pytest.raises(AttributeError, match="'name'"):
        del local.name
    with pytest.raises(AttributeError, match="'name'"):
        _ = local.name


def test_a_local_has_no_instance_dict() -> None:
    """B9: what is set on it can go nowhere but into the lanes."""
    assert "__dict__" not in dir(type(Local()))
    with pytest.raises(AttributeError):
        _ = Local().__dict__


def test_iterating_takes_a_snapshot_of_all_idents() -> None:
    """B10: pairs of ident and dict, which later writes and releases do not change."""
    local = Local()
    local.a = 1
    main = get_ident()

    def other() -> list[tuple[Hashable, dict[str, int]]]:
        local.a = 2
        pairs = list(local)
        local.b = 3
        for _ident, _values in local:
            release_local(local)
        return pairs

    lane = greenlet.greenlet(other)
    assert dict(lane.switch()) == {main: {"a": 1}, lane: {"a": 2}}
    release_local(local)


def test_calling_a_local_gives_a_proxy_to_the_name() -> None:
    """B11: set and unset in turn, by the same proxy."""
    local = Local()
    proxy: Any = local("name")
    assert not proxy
    assert repr(proxy) == "<LocalProxy unbound>"
    with pytest.raises(RuntimeError, match="'name'"):
        proxy.upper()
    with pytest.raises(RuntimeError, match=r"^say who$"):
        local("name", unbound_message="say who").upper()
    local.name = "ada"
    assert proxy.upper() == "ADA"
    release_local(local)
    assert not proxy


def test_another_ident_function_keys_by_what_it_returns() -> None:
    """An ident need not be a greenlet; its entry then stays until it is released."""
    local = Local()
    ident = "one"
    object.__setattr__(local, "__ident_func__", lambda: ident)
    local.x = 1
    ident = "two"
    assert not hasattr(local, "x")
    local.x = 2
    assert local.__storage__ == {"one": {"x": 1}, "two": {"x": 2}}
    del local.x
    assert local.__storage__ == {"one": {"x": 1}}
    ident = "one"
    release_local(local)
    assert local.__storage__ == {}


def test_an_error_of_another_ident_function_is_not_hidden() -> None:
    local = Local()

    def broken() -> str:
        raise RuntimeError("no ident today")

    object.__setattr__(local, "__ident_func__", broken)
    with pytest.raises(RuntimeError, match="no ident today"):
        local.x = 1
    with pytest.raises(RuntimeError, match="no ident today"):
        _ = local.x


def test_a_local_is_not_copied() -> None:
    with pytest.raises(TypeError, match="not copied"):
        copy.copy(Local())


def test_a_subclass_may_have_attributes_of_its_own() -> None:
    """B4: they come before what is set, as with any ``__getattr__``."""

    class Named(Local):
        colour = "green"

        def shout(self) -> str:
            return str(self.name).upper()

    local = Named()
    local.name, local.colour = "ada", "red"
    assert (local.shout(), local.colour) == ("ADA", "green")
    assert dict(local)[get_ident()] == {"name": "ada", "colour": "red"}
    with pytest.raises(AttributeError, match="'Named' has no attribute 'missing' here"):
        _ = local.missing
    release_local(local)


def test_a_subclass_may_answer_for_what_is_missing() -> None:
    """B4: a missing name gives None in the classic form, and what is set is still found."""

    class Lenient(Local):
        def __getattr__(self, name: str) -> Any:
            try:
                return super().__getattr__(name)
            except AttributeError:
                return None

    local = Lenient()
    assert local.missing is None
    local.missing = 1
    assert local.missing == 1
    release_local(local)
