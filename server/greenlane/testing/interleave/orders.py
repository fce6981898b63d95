"""For pytest: a test that runs in many orders.

Needs nothing of pytest, only that it calls functions and prints what they raise.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

from greenlane.testing.interleave.modes import Mode
from greenlane.testing.interleave.run import Body
from greenlane.testing.interleave.search import explore

#: pytest leaves this module's frames out: they say nothing of the program.
__tracebackhide__ = True

P = ParamSpec("P")


def orders(mode: Mode | None = None, **options: Any) -> Callable[[Callable[P, Body]], Callable[P, None]]:
    """Make a test of a program: it passes when no order of the mode fails.

    ::

        @orders()                                      # all of them
        def test_withdrawing_twice():
            account = Account(100)
            yield [lambda: account.withdraw(30)] * 2
            assert account.balance == 40

    Fixtures are the same objects in all orders: what a test changes, it must make itself.

    Args:
        mode: which orders, as for :func:`explore`.
        options: the other arguments of :func:`explore`.

    Raises:
        TypeError: the parentheses are missing.

    """
    if callable(mode):
        raise TypeError("Write @orders(), with parentheses: without them the test is taken for a mode.")

    def decorator(test: Callable[P, Body]) -> Callable[P, None]:
        @wraps(test)
        def function(*args: P.args, **kwargs: P.kwargs) -> None:
            explore(lambda: test(*args, **kwargs), mode, **options).check()

        return function

    return decorator
