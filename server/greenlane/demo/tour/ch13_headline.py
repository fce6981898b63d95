"""Two thousand requests, all under way at once on one native thread.

Each writes its number to a threading.local and to a Local, waits for all the
others, and reads both. These are calls of the App in this process; "make loadtest"
does the like through sockets, with thousands of users.
"""

from collections import Counter
from typing import Any

from werkzeug.test import Client

from greenlane.app import App, request
from greenlane.context import Local, LocalManager
from greenlane.demo.forms.native import NativeLocal, get_native_ident
from greenlane.demo.forms.workers import Meet, in_greenlets
from greenlane.demo.tour.chapter import Chapter, Observed, Scene

REQUESTS = 2000


def make_app(native: Any, local: Any, threads: set[int]) -> App:
    """Make an app that keeps one number twice and reads it back."""
    app = App("headline")

    @app.get("/<int:number>")
    def view(number: int) -> dict[str, int]:
        native.number = local.number = number
        request.environ["tour.meet"]()  # all 2,000 have written
        threads.add(get_native_ident())
        return {"native": native.number, "local": local.number}

    return app


def two_thousand() -> Observed:
    """Send all of them, and count what came back."""
    native, local, threads = NativeLocal(), Local(), set[int]()
    app = make_app(native, local, threads)
    client = Client(LocalManager(local).make_middleware(app))

    def ask(number: int, meet: Meet) -> tuple[str, bool, bool]:
        extra = {"tour.meet": meet}  # comes with the environment
        reply = client.get(f"/{number}", environ_base=extra, buffered=True)
        read = reply.json or {}
        own = read.get("native") == number, read.get("local") == number
        return (reply.status, *own)

    counts = Counter(in_greenlets(REQUESTS, ask))
    print("replies  status  threading.local  Local")
    for (status, by_thread, by_local), count in counts.items():
        print(f"{count:7}  {status}  {by_thread!s:15}  {by_local}")
    return {
        "replies": dict(counts),
        "native threads": len(threads),
        "entries left": len(local.__storage__),
    }


CHAPTER = Chapter(
    "Two thousand at once",
    (
        Scene(
            two_thousand,
            why="One native thread has one threading.local, whoever runs on "
            "it, while a Local asks which greenlet is running. Nothing "
            "crashed, and every reply was 200 OK: nobody would have noticed.",
            expected={
                "replies": {
                    ("200 OK", True, True): 1,  # the last writer's
                    ("200 OK", False, True): REQUESTS - 1,
                },
                "native threads": 1,
                "entries left": 0,
            },
            forms=(make_app,),
        ),
    ),
)
