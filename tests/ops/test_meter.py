"""The meter: a blocked loop shows, switches are counted about right, and nothing goes on unasked."""

import subprocess
import sys
import time
from collections.abc import Callable

import gevent
import greenlet
import pytest
from gevent.hub import get_hub
from gevent.threadpool import ThreadPool
from werkzeug.test import Client
from werkzeug.wrappers import Response

from greenlane.ops import Ops
from greenlane.ops import meter as module
from greenlane.ops.meter import SLICE, TICK, UNASKED, Measured, Meter, meter


def measure_until(own_meter: Meter, enough: Callable[[Measured], bool]) -> Measured:
    """Let the loop run until what is measured is enough, for at most five seconds."""
    with gevent.Timeout(5):
        while not enough(measured := own_meter.ask()):
            gevent.sleep(TICK)
    return measured


def test_nothing_is_measured_before_somebody_asks(own_meter: Meter) -> None:
    assert not own_meter.running
    assert own_meter.ask() == Measured(None, None)
    assert own_meter.running


def test_there_is_one_meter_for_all_who_ask_in_a_thread(own_meter: Meter) -> None:
    assert meter() is own_meter
    pool = ThreadPool(1)
    try:
        assert pool.apply(meter) is not own_meter
    finally:
        pool.kill()


def test_a_blocked_loop_shows_for_about_a_second(own_meter: Meter) -> None:
    measure_until(own_meter, lambda measured: measured.loop_delay is not None)
    # A native sleep: no other greenlet can run meanwhile.
    block = 0.2
    _native_sleep(block)
    blocked = measure_until(own_meter, lambda measured: (measured.loop_delay or 0) > 0.1)
    assert blocked.loop_delay is not None
    assert block - TICK - 0.01 <= blocked.loop_delay < block + 1
    measure_until(own_meter, lambda measured: (measured.loop_delay or 0) < block - TICK - 0.01)


def test_a_block_of_fifty_milliseconds_cannot_hide_between_two_looks(own_meter: Meter) -> None:
    measure_until(own_meter, lambda measured: measured.loop_delay is not None)
    _native_sleep(0.05)
    gevent.sleep(2 * TICK)
    assert (own_meter.ask().loop_delay or 0) >= 0.05 - TICK - 0.001


def test_switches_are_counted(own_meter: Meter) -> None:
    """A greenlet that comes and goes by the hub makes two switches a turn."""
    turns = 0

    def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0.001)

    turning = gevent.spawn(turn)
    began = time.monotonic()
    # The first slice is over, then a second one: both only of this.
    measure_until(own_meter, lambda measured: measured.switches_per_second is not None)
    rate = own_meter.ask().switches_per_second
    real = 2 * turns / (time.monotonic() - began)
    turning.kill()
    assert rate is not None
    assert real / 2 < rate < real * 2


def test_tracing_takes_a_slice_of_each_second_only(own_meter: Meter) -> None:
    own_meter.ask()
    assert greenlet.gettrace() is not None
    measure_until(own_meter, lambda measured: measured.switches_per_second is not None)
    assert greenlet.gettrace() is None
    ended = time.monotonic()
    with gevent.Timeout(5):
        while greenlet.gettrace() is None:
            gevent.sleep(TICK)
    assert time.monotonic() - ended > 0.8 - SLICE


def test_measuring_ends_some_time_after_the_last_question(
    own_meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    own_meter.ask()
    with gevent.Timeout(5):
        while own_meter.ask().switches_per_second is None:
            gevent.sleep(TICK)
        assert own_meter.running
        monkeypatch.setattr(module, "monotonic", lambda: now + UNASKED + 60)
        while own_meter.running:
            gevent.sleep(TICK)
    assert greenlet.gettrace() is None
    assert own_meter.ask() == Measured(None, None)  # and nothing old is told as if it were new


def test_a_meter_that_stops_in_a_slice_leaves_no_tracer(own_meter: Meter) -> None:
    own_meter.ask()
    assert greenlet.gettrace() is not None
    own_meter.stop()
    assert greenlet.gettrace() is None


def test_a_tracer_of_somebody_else_survives_the_slices(own_meter: Meter) -> None:
    def theirs(event: str, pair: object) -> None:
        """Do nothing."""

    own_meter.ask()
    greenlet.settrace(theirs)
    try:
        measure_until(own_meter, lambda measured: measured.switches_per_second is not None)
        assert greenlet.gettrace() is theirs
        with gevent.Timeout(5):
            while greenlet.gettrace() is theirs:
                gevent.sleep(TICK)
        own_meter.stop()
        assert greenlet.gettrace() is theirs
    finally:
        greenlet.settrace(None)


def test_it_is_no_greenlet_and_keeps_no_loop_running() -> None:
    program = (
        "import gevent\n"
        "from greenlane.ops import meter\n"
        "from greenlane.ops.process import count_greenlets_from_now, living_greenlets\n"
        "count_greenlets_from_now()\n"
        "meter.meter().ask()\n"
        "print(living_greenlets(), gevent.get_hub().join(timeout=20))\n"
    )
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "0 True\n"
    assert time.monotonic() - began < 15


def test_metrics_tell_what_was_measured(own_meter: Meter) -> None:
    client = Client(Ops(lambda environ, start_response: []), Response)
    names = ("greenlane_loop_delay_seconds ", "greenlane_greenlet_switches_per_second ")
    first = client.get("/metrics").get_data(as_text=True)
    assert not any(line.startswith(names) for line in first.splitlines())
    measure_until(own_meter, lambda measured: measured.switches_per_second is not None)
    later = client.get("/metrics").get_data(as_text=True)
    assert sum(line.startswith(names) for line in later.splitlines()) == 2


def _native_sleep(seconds: float) -> None:
    """Sleep with all greenlets of this thread; gevent's own clock is set right afterwards."""
    time.sleep(seconds)
    get_hub().loop.update_now()
