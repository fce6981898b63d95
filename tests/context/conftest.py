"""What the tests of the context share: a greenlet to run something on."""

from collections.abc import Callable

import greenlet
import pytest

InGreenlet = Callable[[Callable[[], object]], object]


@pytest.fixture
def in_greenlet() -> InGreenlet:
    """Run a function to its end on a greenlet of its own and return its result: `in_greenlet(function)`."""

    def run(function: Callable[[], object]) -> object:
        return greenlet.greenlet(function).switch()

    return run
