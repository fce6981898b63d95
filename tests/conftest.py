"""What every test gets: a detector that fails it when it leaves something in a lane, and the right time.

And one option: how many orders the tests of ``tests/testing/every_order`` run.
"""

import gc
from collections.abc import Iterator

import pytest
from gevent._hub_local import get_hub_if_exists

from greenlane.context import Local, census


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--every-order",
        action="store_true",
        help="run the programs of tests/testing/every_order in all their orders, not in a sample: minutes",
    )


def _entries() -> dict[Local, int]:
    return {local: count for local, count in census().items() if count}


@pytest.fixture(autouse=True)
def current_time() -> None:
    """Tell gevent what time it is: it remembers from when its loop last ran.

    After a long test without greenlets, ``joinall(timeout=20)`` would be over at once.
    """
    hub = get_hub_if_exists()
    if hub is not None and hub.loop is not None:
        hub.loop.update_now()


@pytest.fixture(autouse=True)
def leak_detector() -> Iterator[None]:
    """Fail a test that leaves an entry in any Local, or a context on a stack (which is one)."""
    before = _entries()
    yield
    after = _entries()
    if any(count > before.get(local, 0) for local, count in after.items()):
        gc.collect()  # what only a reference cycle holds has been let go of
        after = _entries()
    left = {local: dict(local.__storage__) for local, count in after.items() if count > before.get(local, 0)}
    assert not left, f"this test left entries behind: {left}"
