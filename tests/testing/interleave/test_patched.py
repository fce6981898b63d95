"""The standard library when monkey-patched: each program runs in a process of its own, and must not hang."""

import subprocess
import sys

import pytest

BEGIN = """
from gevent import monkey
monkey.patch_all()
import concurrent.futures, queue, threading, time
from time import monotonic, sleep
import gevent
from greenlane.testing.interleave import UnsupportedError, explore, request

def outcomes(body, **options):
    seen = set()
    def program():
        log = []
        yield body(log)
        seen.add(tuple(log))
    exploration = explore(program, **options).check()
    assert exploration.covered
    return sorted(seen)

def pausing(pause, log, name):
    def function():
        pause()
        log.append(name)
    return function
"""

PROGRAMS = {
    "time.sleep lets others run": (
        """
def body(log):
    return [pausing(lambda: time.sleep(2), log, 2), pausing(lambda: sleep(1), log, 1)]
print(outcomes(body), outcomes(body, sleeps="any"))
""",
        "[(1, 2)] [(1, 2), (2, 1)]",
    ),
    "the clock is virtual and comes back": (
        """
def body(log):
    before = time.time(), monotonic()
    return [lambda: (sleep(3600), log.append((time.time() - before[0], monotonic() - before[1])))]
started = monotonic()
found = outcomes(body)
print(found, monotonic() - started < 30)
""",
        "[((3600.0, 3600.0),)] True",
    ),
    "a lock lets one in at a time": (
        """
def body(log):
    lock = threading.Lock()
    def function(name):
        with lock:
            log.append(name)
            sleep(0)
            log.append(name)
    return [lambda: function("a"), lambda: function("b")]
print(outcomes(body))
""",
        "[('a', 'a', 'b', 'b'), ('b', 'b', 'a', 'a')]",
    ),
    "a lock taken twice is a deadlock, and a reentrant one is not": (
        """
def taking(make):
    def program():
        lock = make()
        def twice():
            with lock, lock:
                pass
        yield [twice]
    return explore(program)
print(taking(threading.Lock).failure.problem.kind, taking(threading.RLock).covered)
""",
        "deadlock True",
    ),
    "a lock may be waited for with a timeout": (
        """
def body(log):
    lock = threading.Lock()
    lock.acquire()
    return [lambda: log.append((lock.acquire(timeout=60), lock.acquire(blocking=False)))]
print(outcomes(body))
""",
        "[((False, False),)]",
    ),
    "an event wakes in any order, or runs out of time": (
        """
def body(log):
    event = threading.Event()
    return [*(pausing(event.wait, log, name) for name in "ab"), event.set]
def late(log):
    event = threading.Event()
    return [lambda: log.append(event.wait(60))]
print(outcomes(body), outcomes(late))
""",
        "[('a', 'b'), ('b', 'a')] [(False,)]",
    ),
    "a condition": (
        """
def body(log):
    condition, ready = threading.Condition(), []
    def wait():
        with condition:
            log.append(bool(condition.wait_for(lambda: ready, timeout=60)))
    def tell():
        with condition:
            ready.append(1)
            condition.notify_all()
    def late():
        with condition:
            condition.wait(90)
            log.append(condition.wait_for(lambda: False, timeout=1))
    return [wait, tell, late]
print(outcomes(body))
""",
        "[(True, False)]",
    ),
    "semaphores and barriers": (
        """
def body(log):
    barrier, semaphore = threading.Barrier(2), threading.BoundedSemaphore(1)
    def function():
        with semaphore:
            log.append("in")
            sleep(0)
        barrier.wait(60)
        log.append("met")
    return [function, function]
print(outcomes(body))
""",
        "[('in', 'in', 'met', 'met')]",
    ),
    "threads are greenlets": (
        """
def body(log):
    def parent():
        threads = [threading.Thread(target=pausing(lambda: sleep(0), log, name)) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        log.append("joined")
    return [parent]
print(outcomes(body))
""",
        "[('a', 'b', 'joined'), ('b', 'a', 'joined')]",
    ),
    "a thread's own data": (
        """
def body(log):
    mine = threading.local()
    def function(name):
        mine.name = name
        sleep(0)
        log.append(mine.name == name)
    return [lambda: function("a"), lambda: function("b")]
print(outcomes(body))
""",
        "[(True, True)]",
    ),
    "a timer": (
        """
def body(log):
    def parent():
        timer = threading.Timer(5, log.append, args=("timer",))
        timer.start()
        sleep(4)
        log.append("before")
        timer.join()
    return [parent]
print(outcomes(body))
""",
        "[('before', 'timer')]",
    ),
    "queues, full and empty, with timeouts": (
        """
def body(log):
    for make in (queue.Queue, queue.LifoQueue, queue.PriorityQueue):
        def function(made=make(1)):
            try:
                made.get(timeout=60)
            except queue.Empty:
                log.append("empty")
            made.put(1)
            try:
                made.put(2, timeout=60)
            except queue.Full:
                log.append("full")
            made.get()
            made.task_done()
            made.join()
        yield function
print(outcomes(lambda log: list(body(log))[:1]), len(outcomes(lambda log: list(body(log))[1:])[0]))
""",
        "[('empty', 'full')] 4",
    ),
    "producers and consumers": (
        """
def body(log):
    for shared in (queue.Queue(), queue.SimpleQueue()):
        yield [lambda: shared.put(1), lambda: shared.put(2), lambda: log.extend((shared.get(), shared.get()))]
print(*(outcomes(lambda log: list(body(log))[which]) for which in (0, 1)))
""",
        "[(1, 2), (2, 1)] [(1, 2), (2, 1)]",
    ),
    "an executor of futures": (
        """
def body(log):
    def parent():
        with concurrent.futures.ThreadPoolExecutor(2) as executor:
            futures = [executor.submit(log.append, name) for name in "ab"]
            done, rest = concurrent.futures.wait(futures, timeout=60)
            log.append((len(done), len(rest)))
    return [parent]
found = outcomes(body)
print(found[0], all(entry[2] == (2, 0) for entry in found))
""",
        "('a', 'b', (2, 0)) True",
    ),
    "sockets and processes are refused here too": (
        """
import os, select, socket, subprocess
reader, writer = os.pipe()
selecting = lambda: select.select([reader], [], [])
for use in (socket.socket, selecting, lambda: subprocess.run(["true"]), os.fork):
    try:
        explore([use])
        print("not refused:", use)
    except UnsupportedError as error:
        print(str(error).split(",")[0].removeprefix("The program uses "), end="; ")
print(explore([lambda: sleep(0)]).covered)
""",
        "a real socket; a real socket or file descriptor; a child process; a child process; True",
    ),
    "a lost update is found where a lock is left out": (
        """
class Counter:
    value = 0
def program(lock):
    counter = Counter()
    def add():
        with lock():
            before = counter.value
            sleep(0.1)
            counter.value = before + 1
    yield [add, add]
    assert counter.value == 2
import contextlib
lock = None
def locked():
    lock = threading.Lock()
    yield from program(lambda: lock)
print(explore(locked).covered, explore(lambda: program(contextlib.nullcontext)).failure.problem.message)
""",
        "True a check failed: AssertionError",
    ),
}


@pytest.mark.parametrize("what", PROGRAMS)
def test_the_patched_standard_library(what: str) -> None:
    program, expected = PROGRAMS[what]
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", BEGIN + program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == expected, done.stderr
    assert done.returncode == 0
