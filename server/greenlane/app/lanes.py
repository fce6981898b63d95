"""Taking contexts off a lane, whatever went wrong: what the contexts are built from.

Nothing here raises before the stacks are clean. What goes wrong on the way is
added to a list, and :func:`raise_first` decides at the end.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from logging import Logger
from typing import Any, NamedTuple, Protocol, TypeVar

from greenlane.app.globals import app_stack, request_stack
from greenlane.context import LocalStack
from greenlane.context.storage import current_ident

T = TypeVar("T")

Errors = list[BaseException]


class Context(Protocol):
    """What stands on the stacks."""

    def leave(self, exc: BaseException | None, errors: Errors, teardown: bool) -> None:
        """Take itself off its stack, unasked."""


class Floor(Protocol):
    """How deep the two stacks of a lane may be."""

    @property
    def requests(self) -> int:
        """The request stack."""

    @property
    def apps(self) -> int:
        """The application stack."""


class Depths(NamedTuple):
    """How deep the two stacks of a lane are: a floor to clear down to later."""

    requests: int
    apps: int


def lane_of(stack: LocalStack[Any]) -> Hashable:
    """Return the ident that keys the current lane."""
    return current_ident(stack.__ident_func__)


def depths() -> Depths:
    """Return how deep the current lane's stacks are."""
    return Depths(len(request_stack.contents()), len(app_stack.contents()))


def take_off(stack: LocalStack[T], context: T, errors: Errors) -> None:
    """Pop ``context``, and nothing else should somebody have popped or released it meanwhile."""
    top = stack.pop()
    if top is not context:
        if top is not None:
            stack.push(top)
        errors.append(AssertionError(f"{context!r} was gone before its end: on top is {top!r}"))


def clear_above(
    context: Context, floor: Floor, exc: BaseException | None, errors: Errors, teardown: bool
) -> None:
    """Take off what somebody left above ``floor``: an error each, but none stays.

    Args:
        context: whose scope ends here, for the message.
        floor: how deep the stacks may be.
        exc: the error that ended the work, for the teardown functions.
        errors: where to add the errors.
        teardown: run the teardown functions of what was left. Not for what a
            teardown function itself has left: that might never end.

    """
    while len(request_stack.contents()) > floor.requests:
        _take_off_left(request_stack, context, exc, errors, teardown)
    while len(app_stack.contents()) > floor.apps:
        _take_off_left(app_stack, context, exc, errors, teardown)


def _take_off_left(
    stack: LocalStack[Any], context: Context, exc: BaseException | None, errors: Errors, teardown: bool
) -> None:
    left: Context = stack.contents()[-1]
    errors.append(AssertionError(f"{left!r} was left on top of {context!r}"))
    left.leave(exc, errors, teardown)


def call_each(
    functions: Sequence[Callable[[BaseException | None], object]],
    context: Context,
    floor: Floor,
    exc: BaseException | None,
    errors: Errors,
) -> None:
    """Call every teardown function, the last registered first, even when some fail.

    Each sees ``context`` on top, whatever the one before it has left above ``floor``:
    to one that gives back what is in ``g``, another ``g`` would look like nothing to do.
    """
    for function in reversed(functions):
        try:
            function(exc)
        except BaseException as error:  # also GreenletExit and gevent.Timeout: the others must still run
            errors.append(error)
        clear_above(context, floor, exc, errors, teardown=False)


def raise_first(errors: Iterable[BaseException], logger: Logger, escaping: BaseException | None) -> None:
    """Raise the first of ``errors`` and log the others.

    An error that is on its way already (``escaping``) counts as the first, and
    stays on its way. Only what is no Exception overtakes: a greenlet that is killed
    in a teardown function must not carry on because something else failed before.
    """
    every = errors if escaping is None else (escaping, *errors)
    ranked = sorted(every, key=lambda error: isinstance(error, Exception))
    for error in ranked[1:]:
        if error is not escaping:
            logger.error("A context did not end cleanly", exc_info=error)
    if ranked and ranked[0] is not escaping:
        raise ranked[0]
