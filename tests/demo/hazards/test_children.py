"""The home-made pool: it does what it is given, tells what went wrong, and ends with its owner."""

import gc
from functools import partial
from typing import TypeAlias

import gevent
import pytest
from greenlet import getcurrent
from werkzeug.test import Client

from greenlane.demo import create_demo
from greenlane.demo.hazards import children
from greenlane.demo.hazards.children import WORKERS, Workers

Greenlet: TypeAlias = "gevent.Greenlet[..., object]"


def own_greenlet() -> "Greenlet":
    """Give others a turn, so that several workers have a task, and return the worker."""
    gevent.sleep(0)
    current = getcurrent()
    assert isinstance(current, gevent.Greenlet)
    return current


def staff(workers: Workers) -> "set[Greenlet]":
    """Return the greenlets that work."""
    tasks = [gevent.spawn(workers.run, own_greenlet) for _ in range(3 * WORKERS)]
    gevent.joinall(tasks, timeout=20, raise_error=True)
    return {task.get() for task in tasks}


def test_few_workers_do_many_tasks_and_live_on() -> None:
    """Which is the hazard: without it nothing would stay in a worker."""
    workers = Workers()
    first, second = staff(workers), staff(workers)
    assert first == second
    assert len(first) == WORKERS
    assert not any(worker.dead for worker in first)


def test_the_workers_end_with_their_pool() -> None:
    workers = Workers()
    working = staff(workers)
    del workers
    gc.collect()
    gevent.joinall(list(working), timeout=20)
    assert all(worker.dead for worker in working)


def test_a_task_that_fails_tells_who_asked_and_no_worker_ends() -> None:
    def fail() -> None:
        raise LookupError("no such thing")

    workers = Workers()
    for _ in range(2 * WORKERS):
        with pytest.raises(LookupError, match="no such thing"):
            gevent.spawn(workers.run, fail).get(timeout=20)
    assert len(staff(workers)) == WORKERS


def test_a_demonstration_takes_its_workers_along(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Greenlet] = []

    def work(tasks: object, real: object = children._work) -> None:
        made.append(own_greenlet())
        real(tasks)  # type: ignore[operator]

    monkeypatch.setattr(children, "_work", work)
    client = Client(create_demo(secret_key="for this test"))
    for cell in ("broken", "fixed", "gevent-local"):
        get = partial(client.get, f"/hazards/pool-residue/{cell}?nonce=a&pause=0")
        assert gevent.spawn(get).get(timeout=20).status_code == 200
    assert len(made) == 3 * WORKERS
    del client, get
    gevent.sleep(0)  # what has woken us up still refers to the last request
    gc.collect()
    gevent.joinall(made, timeout=20)
    assert all(worker.dead for worker in made)
