"""Watching greenlets switch: several watchers, other tracers before and after, and what goes wrong."""

from collections.abc import Iterator
from typing import Any

import greenlet
import pytest

from greenlane.ops.tracing import Watcher, watch_switches


@pytest.fixture(autouse=True)
def no_tracer_is_left() -> Iterator[None]:
    """A test begins without a tracer, and must end without one."""
    assert greenlet.gettrace() is None
    yield
    assert greenlet.gettrace() is None


def noting(name: str, notes: list[str]) -> Watcher:
    """Return a watcher that notes its name at each switch."""
    return lambda _origin, _target: notes.append(name)


class Log:
    """Somebody else's tracer: notes the switches that it is told of, and passes them on."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name = name
        self.notes = notes
        self.former: Any = None

    def __call__(self, event: str, pair: tuple[greenlet.greenlet, greenlet.greenlet]) -> None:
        self.notes.append(self.name)
        if self.former is not None:
            self.former(event, pair)

    def set(self) -> None:
        """Trace, over whoever does now."""
        self.former = greenlet.settrace(self)

    def unset(self) -> None:
        """Put back what was there at `set`, whatever is there now."""
        greenlet.settrace(self.former)


def switch() -> None:
    """Switch to another greenlet, and back as it ends: two switches."""
    greenlet.greenlet(lambda: None).switch()


def test_a_watcher_is_told_of_each_switch_with_both_greenlets() -> None:
    seen: list[tuple[greenlet.greenlet, greenlet.greenlet]] = []
    here = greenlet.getcurrent()
    other = greenlet.greenlet(lambda: None)
    with watch_switches(lambda origin, target: seen.append((origin, target))):
        other.switch()
    switch()
    assert seen == [(here, other), (other, here)]


def test_an_exception_thrown_into_a_greenlet_is_a_switch() -> None:
    notes: list[str] = []
    with watch_switches(noting("a", notes)):
        greenlet.greenlet(greenlet.getcurrent().switch).throw(greenlet.GreenletExit())
    assert notes


@pytest.mark.parametrize("first_to_end", [0, 1])
def test_watchers_may_end_in_any_order(first_to_end: int) -> None:
    notes: list[str] = []
    watches = [watch_switches(noting(name, notes)) for name in "ab"]
    for watch in watches:
        watch.__enter__()
    switch()
    assert notes == ["a", "b", "a", "b"]
    watches.pop(first_to_end).__exit__(None, None, None)
    notes.clear()
    switch()
    assert notes == [["b", "b"], ["a", "a"]][first_to_end]
    watches.pop().__exit__(None, None, None)
    notes.clear()
    switch()
    assert notes == []


def test_one_watcher_watching_twice_is_two() -> None:
    notes: list[str] = []
    watcher = noting("a", notes)
    with watch_switches(watcher):
        with watch_switches(watcher):
            switch()
        assert notes == ["a"] * 4
        switch()
    assert notes == ["a"] * 6


def test_a_tracer_that_was_there_is_called_and_put_back() -> None:
    notes: list[str] = []
    theirs = Log("theirs", notes)
    theirs.set()
    with watch_switches(noting("a", notes)):
        switch()
        assert notes == ["a", "theirs"] * 2
    assert greenlet.gettrace() is theirs
    theirs.unset()


def test_a_tracer_set_meanwhile_stays_and_what_it_puts_back_retires() -> None:
    notes: list[str] = []
    theirs = Log("theirs", notes)
    with watch_switches(noting("a", notes)):
        theirs.set()
        switch()
        assert notes == ["theirs", "a"] * 2
    assert greenlet.gettrace() is theirs
    notes.clear()
    switch()
    assert notes == ["theirs"] * 2
    theirs.unset()  # puts back ours, which nobody needs any more
    switch()
    assert greenlet.gettrace() is None


def test_a_watcher_over_a_tracer_set_meanwhile_is_told_once() -> None:
    notes: list[str] = []
    theirs = Log("theirs", notes)
    with watch_switches(noting("a", notes)):
        theirs.set()
        with watch_switches(noting("b", notes)):
            switch()
            assert notes == ["b", "theirs", "a"] * 2
        assert greenlet.gettrace() is theirs
        theirs.unset()
        notes.clear()
        switch()
        assert notes == ["a", "a"]


def test_a_tracer_that_forgets_ours_costs_nobody_anything() -> None:
    """Whoever sets None while we watch ends the watching; our end must not set his tracer off."""
    notes: list[str] = []
    with watch_switches(noting("a", notes)):
        greenlet.settrace(None)
        switch()
    assert notes == []


def test_a_watcher_that_raises_harms_no_greenlet_and_is_told_of_at_the_end() -> None:
    calls: list[str] = []
    others: list[str] = []

    def fail(_origin: object, _target: object) -> None:
        calls.append("fail")
        raise LookupError("mine")

    def watch() -> None:
        with watch_switches(fail), watch_switches(noting("a", others)):
            switch()
            switch()

    with pytest.raises(LookupError, match="mine"):
        watch()
    assert len(calls) == 1
    assert len(others) == 4
