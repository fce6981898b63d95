"""The forms of threads and of one lane for each: naive ones fail as they say, mended ones hold.

Workers overlap by a meeting: nobody reads before everybody has written.
"""

import importlib
import subprocess
import sys
import time
from collections.abc import Callable, Hashable
from typing import Any

import gevent
import greenlet
import psutil
import pytest

from greenlane.demo.forms import workers
from greenlane.demo.forms.handmade import GreenletIdentLocal, ThreadIdentLocal, find_ident
from greenlane.demo.forms.hooks import Announcing, Recursive, Storing
from greenlane.demo.forms.native import NativeLocal, get_native_ident
from greenlane.demo.forms.shared import OwnedByThread, SharedObject
from greenlane.demo.forms.stackvalued import ManyNameStacks, OneNameStacks
from greenlane.demo.forms.workers import Meet, in_greenlets, in_thread, in_threads

Workers = Callable[[int, Callable[[int, Meet], Any]], list[Any]]


def write_meet_read(run: Workers, count: int, holder: Any) -> list[Any]:
    """Let workers write their number to ``holder``, meet, and read it back."""

    def worker(number: int, meet: Meet) -> Any:
        holder.name = number
        meet()
        return holder.name

    return run(count, worker)


# The workers themselves


@pytest.mark.parametrize("run", [in_greenlets, in_threads])
def test_workers_overlap(run: Workers) -> None:
    """Nobody passes the meeting before all have come."""
    steps: list[str] = []

    def worker(number: int, meet: Meet) -> int:
        steps.append("came")
        meet()
        steps.append("left")
        return number

    assert run(7, worker) == list(range(7))
    assert steps == ["came"] * 7 + ["left"] * 7


def test_workers_run_where_they_say() -> None:
    def where(number: int, meet: Meet) -> tuple[int, Hashable]:
        meet()
        return get_native_ident(), greenlet.getcurrent()

    here = get_native_ident()
    on_greenlets, on_threads = in_greenlets(5, where), in_threads(5, where)
    assert {thread for thread, _ in on_greenlets} == {here}
    assert len({thread for thread, _ in on_threads} - {here}) == 5
    assert len({each for _, each in on_greenlets}) == len({each for _, each in on_threads}) == 5


@pytest.mark.parametrize("run", [in_greenlets, in_threads])
def test_the_error_of_a_worker_is_raised_and_nobody_waits_for_it(
    run: Workers, capfd: pytest.CaptureFixture[str]
) -> None:
    ended: list[int] = []

    def worker(number: int, meet: Meet) -> None:
        if number == 1:
            raise ZeroDivisionError("of a worker")
        meet()
        ended.append(number)

    with pytest.raises(ZeroDivisionError, match="of a worker"):
        run(4, worker)
    assert sorted(ended) == [0, 2, 3]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("run", [in_greenlets, in_threads])
def test_a_worker_waits_for_who_does_not_come_only_so_long(
    run: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "PATIENCE", 0.05)
    with pytest.raises(TimeoutError, match="did not come"):
        run(2, lambda number, meet: None if number else meet())


def test_the_error_of_a_single_thread_is_raised() -> None:
    assert in_thread(get_native_ident) != get_native_ident()
    with pytest.raises(ZeroDivisionError):
        in_thread(lambda: 1 // 0)


def test_workers_leave_no_thread() -> None:
    process = psutil.Process()

    def worker(number: int, meet: Meet) -> int:
        meet()
        return process.num_threads()

    before = process.num_threads()
    assert min(in_threads(3, worker)) >= before
    deadline = time.monotonic() + 10  # the system takes a moment to end a thread
    while process.num_threads() > before:
        assert time.monotonic() < deadline
        gevent.sleep(0.001)


# Shared objects and threading.local


@pytest.mark.parametrize("run", [in_greenlets, in_threads])
def test_a_shared_object_holds_what_the_last_writer_wrote(run: Workers) -> None:
    """B1: five workers write, wait and read: all read one and the same value."""
    read = write_meet_read(run, 5, SharedObject())
    assert len(read) == 5
    assert len(set(read)) == 1
    if run is in_greenlets:
        assert set(read) == {4}


def test_threads_own_the_attributes_of_a_thread_local() -> None:
    """B2: twenty native threads each read their own value."""
    assert write_meet_read(in_threads, 20, NativeLocal()) == list(range(20))
    assert write_meet_read(in_threads, 20, OwnedByThread([])) == list(range(20))


def test_greenlets_share_the_attributes_of_a_native_thread_local() -> None:
    """B2, B55: on one native thread it is a shared object again."""
    assert write_meet_read(in_greenlets, 20, NativeLocal()) == [19] * 20


def test_a_worker_changes_a_thread_local_for_itself() -> None:
    """B2: main sets 42, a worker sets 11 and logs [11], main still reads 42."""
    data = NativeLocal()
    data.number = 42
    log: list[int] = []

    def worker() -> None:
        data.number = 11
        log.append(data.number)

    in_thread(worker)
    assert (log, data.number) == ([11], 42)


def test_thread_local_takes_arguments_only_for_an_init() -> None:
    """B52: without an __init__ of a subclass, arguments raise TypeError."""
    with pytest.raises(TypeError, match="Initialization arguments are not supported"):
        NativeLocal(1)  # type: ignore[call-arg]  # the point
    births: list[int] = []
    OwnedByThread(births)
    assert births == [get_native_ident()]


def test_thread_local_keeps_its_dict() -> None:
    """B52: assigning __dict__ raises."""
    data = NativeLocal()
    with pytest.raises(AttributeError, match="__dict__"):
        data.__dict__ = {}


def test_the_init_of_a_thread_local_runs_once_in_each_thread() -> None:
    """B52: for the thread that makes it and for each that uses it, however often."""
    births: list[int] = []
    data = OwnedByThread(births)

    def worker(number: int, meet: Meet) -> int:
        data.name = number
        meet()
        _ = data.name, data.name
        return get_native_ident()

    idents = in_threads(4, worker)
    assert sorted(births) == sorted([get_native_ident(), *idents])
    assert len(set(births)) == 5


PATCHED = """
from gevent import monkey
monkey.patch_all()
from greenlane.demo.forms.native import NativeLocal, get_native_ident
from greenlane.demo.forms.workers import in_greenlets, in_thread, in_threads
for run in in_greenlets, in_threads:
    data = NativeLocal()
    def worker(number, meet):
        data.name = number
        meet()
        return data.name, get_native_ident()
    read = run(5, worker)
    print([name for name, ident in read], len({ident for name, ident in read}))
print(in_thread(get_native_ident) != get_native_ident())
"""


def test_native_is_native_in_a_patched_process() -> None:
    """B2, B3: what gevent replaces is asked for by its original name."""
    done = subprocess.run(
        [sys.executable, "-c", PATCHED], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stderr, done.stdout.splitlines()) == ("", ["[4, 4, 4, 4, 4] 1", "[0, 1, 2, 3, 4] 5", "True"])


# Idents


def test_live_workers_have_distinct_idents() -> None:
    """B3: ten native threads by their idents, ten greenlets by themselves."""

    def ident_of(get_ident: Callable[[], Hashable]) -> Callable[[int, Meet], Hashable]:
        def worker(number: int, meet: Meet) -> Hashable:
            meet()
            return get_ident()

        return worker

    assert len(set(in_threads(10, ident_of(get_native_ident)))) == 10
    assert len(set(in_greenlets(10, ident_of(greenlet.getcurrent)))) == 10
    assert set(in_greenlets(10, ident_of(get_native_ident))) == {get_native_ident()}


def test_idents_of_dead_threads_are_used_again() -> None:
    """B3: a thousand native threads one after another show only a few idents."""
    idents = [in_thread(get_native_ident) for _ in range(1000)]
    assert len(set(idents)) < 100


def test_the_ident_is_the_greenlet_where_there_are_greenlets() -> None:
    """B6: with greenlet importable, the ident is the greenlet."""
    assert find_ident()() is greenlet.getcurrent()


def test_the_ident_falls_back_to_the_native_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """B6: where importing greenlet fails, the ident is the native thread's."""
    monkeypatch.setitem(sys.modules, "greenlet", None)  # Python's own way to block an import
    with pytest.raises(ImportError):
        importlib.import_module("greenlet")
    assert find_ident() is get_native_ident
    assert find_ident()() == get_native_ident()


# Attribute hooks


def test_hooks_see_each_assignment_and_each_missing_name(capsys: pytest.CaptureFixture[str]) -> None:
    """B4: they say what is done; a missing name gives None."""
    announcing: Any = Announcing()
    announcing.name = "ada"
    assert announcing.name is None
    assert capsys.readouterr().out == "set name to 'ada'\nget name\n"


def test_hooks_may_store_instead() -> None:
    """B4: what is set is found, and a missing name gives None."""
    storing: Any = Storing()
    storing.name = "ada"
    assert (storing.name, storing.missing, storing.storage) == ("ada", None, {"name": "ada"})


def test_storage_that_is_set_by_the_hook_which_needs_it() -> None:
    """B5: self.storage = {} recurses, object.__setattr__ works."""
    with pytest.raises(RecursionError):
        Recursive()
    assert Storing().storage == {}


# Locals by hand


@pytest.mark.parametrize("make", [ThreadIdentLocal, GreenletIdentLocal])
def test_a_handmade_local_keeps_threads_apart(make: type[ThreadIdentLocal]) -> None:
    """B7: five native threads each read their own value."""
    local = make()
    assert write_meet_read(in_threads, 5, local) == list(range(5))
    assert sorted(map(str, local.storage.values())) == [f"{{'name': {number}}}" for number in range(5)]


@pytest.mark.parametrize(
    ("make", "read"), [(ThreadIdentLocal, [4] * 5), (GreenletIdentLocal, [0, 1, 2, 3, 4])]
)
def test_keyed_by_the_thread_it_mixes_up_greenlets(make: type[ThreadIdentLocal], read: list[int]) -> None:
    """B7: the ident of the one native thread is no ident for its greenlets; the greenlet is."""
    assert write_meet_read(in_greenlets, 5, make()) == read


@pytest.mark.parametrize("make", [ThreadIdentLocal, GreenletIdentLocal, ManyNameStacks, OneNameStacks])
def test_a_name_that_is_not_set_here_is_an_attribute_error(make: type[Any]) -> None:
    """B7, B14: nothing set, and another name set."""
    local = make()
    with pytest.raises(AttributeError, match="name"):
        _ = local.name
    local.other = 1
    with pytest.raises(AttributeError, match="name"):
        _ = local.name


@pytest.mark.parametrize("make", [ThreadIdentLocal, GreenletIdentLocal])
def test_a_handmade_local_forgets_what_is_deleted(make: type[ThreadIdentLocal]) -> None:
    """B7: once; the second time there is nothing to delete."""
    local = make()
    local.name = 1
    del local.name
    assert not hasattr(local, "name")
    with pytest.raises(AttributeError, match="name"):
        del local.name


@pytest.mark.parametrize("make", [OneNameStacks, ManyNameStacks])
def test_a_stack_valued_local_keeps_what_was_set_before(make: type[OneNameStacks]) -> None:
    """B14: x = 1; x = 2 reads 2 and holds [1, 2]; overlapping greenlets have stacks of their own."""
    local = make()
    local.x = 1
    local.x = 2
    assert (local.x, local.storage) == (2, {greenlet.getcurrent(): {"x": [1, 2]}})
    assert write_meet_read(in_greenlets, 5, local) == list(range(5))
    assert local.x == 2


def test_a_second_name_in_a_stack_valued_local() -> None:
    """B14: the naive form raises KeyError, the mended one gives it a stack of its own."""
    naive, mended = OneNameStacks(), ManyNameStacks()
    naive.x = mended.x = 1
    with pytest.raises(KeyError, match="y"):
        naive.y = 2
    mended.y = 2
    assert (mended.x, mended.y, mended.storage) == (1, 2, {greenlet.getcurrent(): {"x": [1], "y": [2]}})
