"""A Local is an object whose attributes belong to whoever set them.

It takes two of Python's hooks for attributes, one trap to avoid, and an ident.
"""

from typing import Any

from greenlet import getcurrent

from greenlane.context import Local
from greenlane.demo.forms.handmade import (
    GreenletIdentLocal,
    ThreadIdentLocal,
    find_ident,
)
from greenlane.demo.forms.hooks import Announcing, Recursive, Storing
from greenlane.demo.forms.native import get_native_ident
from greenlane.demo.forms.workers import Meet, in_greenlets, in_threads
from greenlane.demo.tour.chapter import Chapter, Observed, Scene, named


def the_hooks() -> Observed:
    """Assign an attribute, and read one that nobody keeps."""
    announcing: Any = Announcing()
    announcing.name = "ada"
    return {"a missing name": announcing.name}


def the_trap() -> Observed:
    """Make one whose __init__ assigns, and one whose __init__ does not."""
    trapped = False
    try:
        Recursive()
    except RecursionError as error:
        trapped = True
        print(f"RecursionError: {error}")
    storing: Any = Storing()
    storing.name = "ada"
    print(f"stored: {storing.storage}")
    return {
        "the naive one recurses": trapped,
        "stored": storing.storage,
        "a missing name": storing.missing,
    }


def the_ident() -> Observed:
    """Look for an ident with greenlets at hand, and without."""

    def fail(name: str) -> None:
        raise ImportError(f"there is no {name}")

    ident, fallback = find_ident()(), find_ident(fail)()
    print(f"with greenlet:    {type(ident).__name__}")
    print(f"without greenlet: {type(fallback).__name__}")
    return {
        "the ident is the greenlet": ident is getcurrent(),
        "the fallback is the thread's": fallback == get_native_ident(),
    }


def by_thread() -> Observed:
    """Five native threads, then five greenlets, share a Local by hand."""
    local: Any = ThreadIdentLocal()

    def worker(number: int, meet: Meet) -> int:
        local.name = number
        meet()
        return int(local.name)

    threads = in_threads(5, worker)
    greenlets = in_greenlets(5, worker)
    print(f"threads read   {threads}")
    print(f"greenlets read {greenlets}")
    return {"threads": threads, "greenlets": greenlets}


def by_greenlet() -> Observed:
    """Five greenlets use a Local by hand, and the real one."""
    hand, real = GreenletIdentLocal(), Local()

    def worker(number: int, meet: Meet) -> tuple[int, int]:
        hand.name = real.name = number
        meet()
        if number == 0:
            print(f"all at work: {named(real.__storage__)}")
        return hand.name, real.name

    read = in_greenlets(5, worker)
    print(f"left by hand: {named(hand.storage)}")
    print(f"left in Local: {named(real.__storage__)}")
    return {
        "read by hand": [name for name, _ in read],
        "read from Local": [name for _, name in read],
        "entries left by hand": len(hand.storage),
        "entries left in Local": len(real.__storage__),
    }


CHAPTER = Chapter(
    "Building a Local by hand",
    (
        Scene(
            the_hooks,
            why="Python calls __setattr__ for each assignment, and "
            "__getattr__ for each name that it finds nowhere else; this one "
            "returns nothing, which is None.",
            expected={"a missing name": None},
            forms=(Announcing,),
        ),
        Scene(
            the_trap,
            why="In __init__ the hooks are at work already, and the storage "
            "that they need is what is being assigned; object.__setattr__ goes "
            "past them.",
            expected={
                "the naive one recurses": True,
                "stored": {"name": "ada"},
                "a missing name": None,
            },
            forms=(Recursive, Storing),
        ),
        Scene(
            the_ident,
            why="A greenlet is the finest thing to tell apart, and where "
            "nothing can make greenlets a thread is as good.",
            expected={
                "the ident is the greenlet": True,
                "the fallback is the thread's": True,
            },
            forms=(find_ident,),
        ),
        Scene(
            by_thread,
            why="A dict of dicts by the thread's ident does for threads, and "
            "has one lane for all greenlets of a thread.",
            expected={
                "threads": [0, 1, 2, 3, 4],
                "greenlets": [4, 4, 4, 4, 4],
            },
            forms=(ThreadIdentLocal,),
        ),
        Scene(
            by_greenlet,
            why="Keyed by the greenlet nothing is mixed up, but a dict holds "
            "on to its keys; Local keeps what a greenlet sets on the greenlet "
            "itself, so that it goes when the greenlet does.",
            expected={
                "read by hand": [0, 1, 2, 3, 4],
                "read from Local": [0, 1, 2, 3, 4],
                "entries left by hand": 5,
                "entries left in Local": 0,
            },
            forms=(GreenletIdentLocal,),
        ),
    ),
)
