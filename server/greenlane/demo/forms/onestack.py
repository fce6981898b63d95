"""A request context by hand: one stack, and proxies that look up the top's attributes.

The form that explains the proxies. What is naive in it: with a single stack,
``current_app`` needs a request, so that a script has to pretend one; the App keeps
two (:mod:`greenlane.app.globals`).
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from greenlane.context import LocalProxy, LocalStack


@dataclass
class ToyContext:
    """Everything that is current while one request runs."""

    app: str
    request: str
    session: dict[str, Any] = field(default_factory=dict)
    g: dict[str, Any] = field(default_factory=dict)


stack: LocalStack[Any] = LocalStack()


def lookup(name: str) -> Any:
    """Return the attribute ``name`` of whatever is on top of the stack *now*.

    Raises:
        RuntimeError: the stack is empty.

    """
    top = stack.top
    if top is None:
        raise RuntimeError(f"{name!r} was used outside of a request")
    return getattr(top, name)


current_app: Any = LocalProxy(partial(lookup, "app"))
request: Any = LocalProxy(partial(lookup, "request"))
session: Any = LocalProxy(partial(lookup, "session"))
g: Any = LocalProxy(partial(lookup, "g"))
