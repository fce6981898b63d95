"""The standard library's answer is threading.local: attributes for each thread.

gevent has replaced it in this process, so the original is asked for: NativeLocal.
The threads here are the operating system's, too.
"""

from typing import Any

from greenlane.demo.forms.native import NativeLocal
from greenlane.demo.forms.shared import OwnedByThread
from greenlane.demo.forms.workers import (
    Meet,
    in_greenlets,
    in_thread,
    in_threads,
)
from greenlane.demo.tour.chapter import Chapter, Observed, Scene


def main_and_a_worker() -> Observed:
    """A worker writes to what main has written to."""
    data = NativeLocal()
    data.number = 42
    log = []

    def worker() -> None:
        data.number = 11
        log.append(data.number)

    in_thread(worker)
    print(f"the worker logged {log}, main still reads {data.number}")
    return {"the worker's log": log, "main's number": data.number}


def twenty_of_each() -> Observed:
    """Twenty native threads, then twenty greenlets, do the same work."""
    data = NativeLocal()

    def worker(number: int, meet: Meet) -> bool:
        data.number = number
        meet()  # waits until all twenty have written
        return bool(data.number == number)

    threads = sum(in_threads(20, worker))
    greenlets = sum(in_greenlets(20, worker))
    print(f"right: {threads} of 20 threads, {greenlets} of 20 greenlets")
    return {
        "threads that read their own": threads,
        "greenlets that read their own": greenlets,
    }


def under_the_lid() -> Observed:
    """What a threading.local lets you do, and what not."""
    births: list[int] = []
    data = OwnedByThread(births)  # its __init__ notes the thread's ident
    plain: Any = NativeLocal

    def worker(number: int, meet: Meet) -> None:
        data.name = number
        meet()  # all three threads are alive here

    in_threads(3, worker)
    print(
        f"__init__ ran {len(births)} times, in {len(set(births))} threads"
    )
    refused = []
    for attempt in (
        lambda: plain(1),
        lambda: setattr(data, "__dict__", {}),
    ):
        try:
            attempt()
        except (TypeError, AttributeError) as error:
            print(f"{type(error).__name__}: {error}")
            refused.append(type(error).__name__)
    return {"runs of __init__": len(births), "refused": refused}


CHAPTER = Chapter(
    "threading.local",
    (
        Scene(
            main_and_a_worker,
            why="Each native thread has attributes of its own behind one name.",
            expected={"the worker's log": [11], "main's number": 42},
        ),
        Scene(
            twenty_of_each,
            why="All greenlets run on one native thread, so for them a "
            "threading.local is a shared object again.",
            expected={
                "threads that read their own": 20,
                "greenlets that read their own": 1,
            },
        ),
        Scene(
            under_the_lid,
            why="Main and each of the three make a new __dict__ at their first use, and "
            "call __init__ again: arguments are kept for that, so there has to be "
            "an __init__ to take them, and the __dict__ is not yours to set.",
            expected={
                "runs of __init__": 4,
                "refused": ["TypeError", "AttributeError"],
            },
            forms=(OwnedByThread,),
        ),
    ),
)
