"""Virtual time: what reads it, who moves it, and that the real one comes back."""

import subprocess
import sys
import threading
import time
import types
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import gevent
import pytest

from greenlane.testing.interleave import UnsupportedError, explore
from greenlane.testing.interleave import clock as clock_module
from greenlane.testing.interleave.clock import BOOT, START

NAMES = ["time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep"]
NAMES += ["gmtime", "localtime", "ctime", "asctime", "strftime"]
REAL = {name: getattr(time, name) for name in NAMES}


def assert_restored() -> None:
    assert {name: getattr(time, name) for name in NAMES} == REAL
    assert monotonic is REAL["monotonic"]


def test_a_sleep_of_an_hour_costs_nothing_and_every_clock_shows_it() -> None:
    def hour() -> None:
        before = {name: getattr(time, name)() for name in NAMES[:6]}
        own = monotonic()
        gevent.sleep(3600)
        for name, earlier in before.items():
            passed = getattr(time, name)() - earlier
            assert passed == 3600 * (10**9 if name.endswith("_ns") else 1), name
        assert monotonic() - own == 3600

    started = time.perf_counter()
    assert explore([hour, hour]).check().covered
    assert time.perf_counter() - started < 30
    assert_restored()


@pytest.mark.parametrize("name", ["time", "monotonic"])
def test_waiting_for_the_rest_of_a_timeout_comes_to_an_end(name: str) -> None:
    """The rest may be less than a nanosecond: that is how ``queue`` and ``threading`` wait."""

    def function(milliseconds: int) -> None:
        read = getattr(time, name)
        gevent.sleep(0.05)
        end = read() + milliseconds / 1000
        while (rest := end - read()) > 0:
            gevent.sleep(rest)

    for milliseconds in range(1, 200):
        explore([partial(function, milliseconds)], max_steps=20).check()


def test_a_sleep_for_ever_ends_when_nothing_else_is_left() -> None:
    def for_ever() -> None:
        gevent.sleep(float("inf"))
        assert time.gmtime().tm_year > 2300

    def for_a_year() -> None:
        gevent.sleep(365 * 86_400)
        assert time.gmtime().tm_year == 2031

    explore([for_ever, for_a_year]).check()


def test_every_run_starts_at_the_same_moment() -> None:
    seen: set[tuple[object, ...]] = set()

    def read() -> None:
        seen.add((time.time_ns(), time.monotonic_ns(), time.gmtime()[:6], time.strftime("%H", time.gmtime())))
        gevent.sleep(1)

    explore([read, read])
    assert seen == {(START, START - BOOT, (2030, 1, 1, 12, 0, 0), "12")}


def test_the_forms_of_a_moment_agree_with_the_clock() -> None:
    def read() -> None:
        gevent.sleep(90)
        assert time.localtime() == time.localtime(time.time())
        assert time.gmtime() == time.gmtime(time.time())
        assert time.ctime() == time.asctime() == time.ctime(time.time())
        assert time.strftime("%c") == time.strftime("%c", time.localtime())
        assert time.gmtime(0)[:3] == (1970, 1, 1)

    explore([read]).check()


def test_the_native_sleep_holds_the_thread_and_moves_the_clock() -> None:
    def program() -> Any:
        log: list[str] = []

        def blocking() -> None:
            before = time.monotonic()
            time.sleep(60)
            assert time.monotonic() - before == 60
            log.append("blocking")
            with pytest.raises(ValueError, match="non-negative"):
                time.sleep(-1)

        def waiting() -> None:
            gevent.sleep(1)
            log.append("waiting")

        yield [blocking, waiting]
        assert log == ["blocking", "waiting"]

    started = time.perf_counter()
    explore(program).check()
    assert time.perf_counter() - started < 30


def test_other_native_threads_keep_the_real_clock() -> None:
    read: list[float] = []

    def elsewhere() -> None:
        go.wait(10)
        read.extend((time.time(), monotonic()))
        finished.set()

    go, finished = threading.Event(), threading.Event()
    thread = threading.Thread(target=elsewhere)
    thread.start()
    before = time.time(), monotonic()

    def program() -> Any:
        go.set()
        assert finished.wait(10)
        yield [lambda: gevent.sleep(3600)]

    explore(program)
    thread.join(10)
    after = time.time(), monotonic()
    assert before[0] <= read[0] <= after[0]
    assert before[1] <= read[1] <= after[1]


def test_the_real_clock_comes_back_whatever_happens() -> None:
    def failing() -> Any:
        raise KeyError("set-up")
        yield []

    with pytest.raises(KeyError):
        explore(failing)
    assert_restored()
    with pytest.raises(UnsupportedError):
        explore([threading.Thread(target=print).start])
    assert_restored()
    assert explore([lambda: 1 / 0]).failure is not None
    assert_restored()


def test_a_module_that_is_imported_meanwhile_gets_the_real_clock_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imported_meanwhile.py").write_text("from time import monotonic, sleep\n")
    monkeypatch.syspath_prepend(tmp_path)

    def importing() -> None:
        import imported_meanwhile  # type: ignore[import-not-found]

        before = imported_meanwhile.monotonic()
        gevent.sleep(3600)
        assert imported_meanwhile.monotonic() - before == 3600

    explore([importing]).check()
    module = sys.modules.pop("imported_meanwhile")
    assert module.monotonic is REAL["monotonic"]
    assert module.sleep is REAL["sleep"]


def test_odd_things_among_the_modules_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd(types.ModuleType):
        def __getattribute__(self, name: str) -> Any:
            if name == "__dict__":
                raise AttributeError(name)
            return super().__getattribute__(name)

    class Unequal:
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            raise AssertionError("compared")

    plain = types.ModuleType("plain")
    plain.__dict__.update(value=Unequal(), now=time.time)
    del plain.__dict__["__name__"]
    for name, module in {"odd": Odd("odd"), "none": None, "plain": plain}.items():
        monkeypatch.setitem(sys.modules, name, module)
    moments: list[float] = []
    explore([lambda: moments.append(plain.now())])
    assert set(moments) == {START / 10**9}
    assert plain.now is REAL["time"]
    assert clock_module._gmtime is REAL["gmtime"]


def test_a_process_that_never_explores_has_no_hook_and_its_own_clock() -> None:
    program = (
        "import time; real = time.time\n"
        "from greenlane.testing import interleave\n"
        "from greenlane.testing.interleave.refusals import guard\n"
        "print(time.time is real, guard.owner, guard._added)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "True None False\n"
