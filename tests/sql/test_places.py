"""Places: the order of arrival, and an exact count whatever happens to those who wait."""

import threading
from typing import Any

import gevent
from hypothesis import given
from hypothesis import strategies as st

from greenlane.sql.places import Places


def test_first_come_first_served() -> None:
    """Who arrives when a place has become free, but before the one who waits has run, does not overtake."""
    places = Places(1)
    order: list[str] = []

    def wait(name: str) -> None:
        assert places.take(10)
        order.append(name)
        places.give_back()

    assert places.take(10)
    jobs = [gevent.spawn(wait, name) for name in ("first", "second")]
    gevent.sleep(0)
    places.give_back()
    wait("the last to come")
    gevent.joinall(jobs, timeout=10, raise_error=True)
    assert order == ["first", "second", "the last to come"]
    assert places.free == 1


def test_none_in_time() -> None:
    places = Places(1)
    assert places.take(0)
    assert not places.take(0.01)
    places.give_back()
    assert places.take(0)
    places.give_back()
    assert places.free == 1


@given(
    plan=st.lists(
        st.sampled_from(["come", "kill", "kill at its turn", "leave", "time out", "turn"]), max_size=40
    )
)
def test_the_count_is_exact(plan: list[str]) -> None:
    """B50: whoever is killed, at whatever moment, takes no place along and loses nobody's."""
    places = Places(2)
    inside: list[Any] = []
    jobs: list[Any] = []

    def visit(timeout: float) -> None:
        if places.take(timeout):
            me = gevent.getcurrent()
            inside.append(me)
            assert len(inside) <= 2
            try:
                gevent.sleep(1000)
            finally:
                inside.remove(me)
                places.give_back()

    for step in plan:
        waiting = [job for job in jobs if not job.dead and job not in inside]
        if step == "come":
            jobs.append(gevent.spawn(visit, 1000.0))
        elif step == "time out":
            jobs.append(gevent.spawn(visit, 0.0))
        elif step == "kill" and waiting:
            waiting[0].kill(block=False)
        elif step == "leave" and inside:
            inside[0].kill()
        elif step == "kill at its turn" and inside and waiting:
            waiting[0].kill(block=False)
            inside[0].kill(block=False)
        else:
            gevent.sleep(0)
    for _ in range(3):
        gevent.sleep(0)
    alive = [job for job in jobs if not job.dead]
    assert len(inside) == min(2, len(alive)), "somebody waits beside a free place"
    gevent.killall(alive)
    assert places.free == 2


def test_the_collector_may_give_a_place_back_while_one_is_taken() -> None:
    """B50: it finds a lease that was thrown away. Waiting for a lock would stop the thread for ever."""
    places = Places(1)
    assert places.take(0)
    with places._lock:  # a moment that a test cannot choose otherwise
        assert places._lock.acquire(blocking=False)
        places._lock.release()
        places.give_back()
    assert places.free == 1


def test_native_threads_may_share_them() -> None:
    """B51: work that was handed to a pool of native threads uses the same helper."""
    places = Places(2)
    inside = most = 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(200):
            assert places.take(20)
            with lock:
                inside += 1
                most = max(most, inside)
            with lock:
                inside -= 1
            places.give_back()
        gevent.get_hub().destroy()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert places.free == 2
    assert most <= 2
