"""To keep data apart, something has to tell one worker from another: an ident.

A good ident is different for everybody who lives at the same time, and never comes
back while data is kept under it.
"""

from greenlet import getcurrent

from greenlane.demo.forms.native import get_native_ident
from greenlane.demo.forms.workers import (
    Meet,
    in_greenlets,
    in_thread,
    in_threads,
)
from greenlane.demo.tour.chapter import Chapter, Observed, Rule, Scene


def alive_at_once() -> Observed:
    """Ten workers live at the same time and say who they are."""

    def worker(number: int, meet: Meet) -> tuple[int, object]:
        meet()  # all ten are alive here
        return get_native_ident(), getcurrent()

    threads = in_threads(10, worker)
    greenlets = in_greenlets(10, worker)
    observed = {
        "idents of 10 threads": len({ident for ident, _ in threads}),
        "thread idents of 10 greenlets": len({i for i, _ in greenlets}),
        "greenlets of 10 greenlets": len({g for _, g in greenlets}),
    }
    for what, count in observed.items():
        print(f"{what}: {count}")
    return observed


def one_after_another() -> Observed:
    """A thousand workers live one after another."""
    threads = [in_thread(get_native_ident) for _ in range(1000)]
    greenlets = [
        in_greenlets(1, lambda number, meet: id(getcurrent()))[0]
        for _ in range(1000)
    ]
    few, fewer = len(set(threads)), len(set(greenlets))
    print(f"1,000 threads had {few} idents")
    print(f"1,000 greenlets had {fewer} ids")
    return {"idents of the threads": few, "ids of the greenlets": fewer}


FEW = Rule("fewer than 100", lambda count: bool(count < 100))

CHAPTER = Chapter(
    "Idents",
    (
        Scene(
            alive_at_once,
            why="The thread's ident cannot tell greenlets of one thread "
            "apart, but the greenlet itself can.",
            expected={
                "idents of 10 threads": 10,
                "thread idents of 10 greenlets": 1,
                "greenlets of 10 greenlets": 10,
            },
        ),
        Scene(
            one_after_another,
            why="Both numbers are made of addresses, and an address is used "
            "again as soon as it is free: data left under it would be found by "
            "a stranger.",
            expected={
                "idents of the threads": FEW,
                "ids of the greenlets": FEW,
            },
        ),
    ),
)
