"""A module that is imported before the standard library was patched: what it has made by then stays native.

gunicorn serves it, one worker of it: ``gunicorn --worker-class gevent --preload
greenlane.demo.hazards.late_patch:app`` imports the application in the parent process, and
each worker patches after that. Without ``--preload`` a worker patches, and then imports.

Must not import the registry, which imports this.
"""

import threading
from collections.abc import Mapping
from typing import Final

from greenlane.demo.hazards.apart import Apart
from greenlane.demo.hazards.hazard import Hazard, Kept, everywhere
from greenlane.demo.keeper import FIELDS, Reading

#: The current request's data, for all of a program: gevent's local or the native one, as it is by now.
current = threading.local()


class InThreadLocal(Kept):
    """Keeps the data in a threading.local that was made when its module was imported."""

    def write(self, field: str, value: str) -> None:
        """Set an attribute."""
        setattr(current, field, value)

    def read(self) -> Reading:
        """Read the attributes."""
        return {field: getattr(current, field, None) for field in FIELDS}

    def end(self) -> None:
        """Delete the attributes."""
        for field in FIELDS:
            if hasattr(current, field):
                delattr(current, field)


app: Final = Apart("late-patch", {"broken": InThreadLocal, "fixed": InThreadLocal})


class LatePatch(Hazard):
    """The same program, and another order of two steps."""

    name = "late-patch"
    summary = "The program is imported before gevent patches the standard library."
    shows = "after any switch, a checkpoint reads what the last writer wrote"
    cause = (
        "A threading.local, or a lock, that a module made before the patching is the operating system's, "
        "and stays that. gunicorn's gevent worker patches when it starts; with --preload the application "
        "has been imported by then. No warning is printed."
    )
    incidents = (
        "https://github.com/benoitc/gunicorn/issues/2796",
        "https://github.com/unbit/uwsgi/issues/701",
        "https://github.com/gevent/gevent/issues/63",
    )
    own_server = "late-patch"
    shown = (InThreadLocal,)
    not_applicable = everywhere("it is about the order of a program's start, and the demonstration has one")

    def variants(self) -> Mapping[str, str]:
        """Return how gunicorn is started: the program is the same."""
        return {
            "broken": "gunicorn --worker-class gevent --preload: imports the program, and then patches.",
            "fixed": "gunicorn --worker-class gevent: patches, and then imports the program.",
        }
