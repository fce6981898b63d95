"""What a Local costs beside others of its kind: a program that prints one line of JSON.

Runs in the environment of the others, with Greenlane's sources on its path: its Locals need greenlet only.
Each operation is timed in every round, round after round, less the time of an empty loop.

Rule: nothing is patched, and the subjects do the same: one value, written once, on one greenlet.
"""

import json
import sys
import threading
from timeit import Timer
from typing import Any

import asgiref.local
import gevent.local
import werkzeug.local

import greenlane.context


class Value:
    """What the proxies stand for."""

    field = 1


def subjects() -> dict[str, dict[str, tuple[str, Any]]]:
    """Return by subject and operation the statement to time, and what ``it`` is in it."""
    locals_: dict[str, Any] = {
        "Greenlane": greenlane.context.Local(),
        "Werkzeug": werkzeug.local.Local(),
        "gevent": gevent.local.local(),
        "asgiref": asgiref.local.Local(),
        "threading": threading.local(),
    }
    for local in locals_.values():
        local.x = Value()
    found = {name: {"get": ("it.x", local), "set": ("it.x = 1", local)} for name, local in locals_.items()}
    proxied: Any = greenlane.context.Local()
    proxied_there: Any = werkzeug.local.Local()
    proxied.y = proxied_there.y = Value()
    found["Greenlane"]["proxy attribute"] = ("it.field", greenlane.context.LocalProxy(proxied, "y"))
    found["Werkzeug"]["proxy attribute"] = ("it.field", werkzeug.local.LocalProxy(proxied_there, "y"))
    return found


def measure(rounds: int, loops: int) -> list[dict[str, Any]]:
    """Time each operation and return nanoseconds by round."""
    every = subjects()
    costs: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        empty = Timer("pass").timeit(loops)
        for subject, operations in every.items():
            for operation, (statement, it) in operations.items():
                taken = Timer(statement, globals={"it": it}).timeit(loops) - empty
                costs.setdefault((subject, operation), []).append(taken / loops * 1e9)
    return [
        {"subject": subject, "operation": operation, "rounds": measured}
        for (subject, operation), measured in costs.items()
    ]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))) + "\n")
