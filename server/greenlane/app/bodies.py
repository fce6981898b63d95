"""TidyBody: a streamed body that leaves no context of its own in the lane.

A generator runs after the view, when the request's end has cleared the lane. What it
pushes then and does not pop would be found by the connection's next request. Only
streamed responses are wrapped, so that all others cost nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from logging import Logger
from typing import TypeVar

from greenlane.app.globals import app_stack, request_stack
from greenlane.app.lanes import Context, Errors, raise_first

T = TypeVar("T")


class TidyBody(Iterator[bytes]):
    """Notes which contexts the steps of a body push, and takes off at the close what is left of them.

    Not after each step: a ``with app.app_context():`` around a ``yield`` ends by itself.

    Args:
        body: the response iterable.
        logger: where errors go when there are several.

    """

    def __init__(self, body: Iterable[bytes], logger: Logger) -> None:
        self._body = body
        self._iterator = iter(body)
        self._logger = logger
        self._pushed: list[Context] = []

    def __next__(self) -> bytes:
        return self._watch(lambda: next(self._iterator))

    def close(self) -> None:
        """Close the body, and take off what its steps have left in this lane.

        Raises:
            AssertionError: there was something. It is gone.
            BaseException: the first error of the body's closing.

        """
        errors: Errors = []
        try:
            self._watch(getattr(self._body, "close", lambda: None))
        except BaseException as error:
            errors.append(error)
        for stack in request_stack, app_stack:
            while (top := stack.top) is not None and any(top is context for context in self._pushed):
                errors.append(AssertionError(f"{top!r} was left behind by a streamed body"))
                top.leave(None, errors)
        raise_first(errors, self._logger, escaping=None)

    def _watch(self, step: Callable[[], T]) -> T:
        before = {id(context) for context in _lane()}
        try:
            return step()
        finally:
            self._pushed += [context for context in _lane() if id(context) not in before]


def _lane() -> list[Context]:
    return [*request_stack.contents(), *app_stack.contents()]
