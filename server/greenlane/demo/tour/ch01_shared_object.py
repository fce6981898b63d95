"""A program that serves many at once wants to keep something for each of them.

The first attempt is an object that everybody can reach.
"""

from greenlane.demo.forms.shared import SharedObject
from greenlane.demo.forms.workers import Meet, in_greenlets
from greenlane.demo.tour.chapter import Chapter, Observed, Scene


def five_workers() -> Observed:
    """Five workers write their number to one object, and read it back."""
    shared = SharedObject()

    def worker(number: int, meet: Meet) -> int:
        shared.name = number
        meet()  # waits until all five have written
        name: int = shared.name
        print(f"worker {number} wrote {number} and reads {name}")
        return name

    return {"what the workers read": in_greenlets(5, worker)}


CHAPTER = Chapter(
    "A shared object",
    (
        Scene(
            five_workers,
            why="There is one attribute, and all have written it before "
            "anybody reads it: what is left is the last writer's.",
            expected={"what the workers read": [4, 4, 4, 4, 4]},
            forms=(SharedObject,),
        ),
    ),
)
