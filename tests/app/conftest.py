"""What the tests of the App share: an App, a meeting point, and a balance of the counters."""

from collections.abc import Iterator

import pytest
from gevent.event import Event
from greenlet import getcurrent, greenlet

from greenlane import App
from greenlane.app import counts


class Meeting:
    """Nobody goes on before ``expected`` greenlets have come: proof that they overlap."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.arrived: list[greenlet] = []
        self._complete = Event()

    def wait(self) -> None:
        self.arrived.append(getcurrent())
        if len(set(self.arrived)) == self.expected:
            self._complete.set()
        assert self._complete.wait(10), f"only {len(self.arrived)} of {self.expected} came"


@pytest.fixture
def meeting() -> type[Meeting]:
    return Meeting


@pytest.fixture
def app() -> App:
    """An App in testing mode, with a secret key."""
    app = App("shop")
    app.testing = True
    app.secret_key = "for tests only"
    return app


@pytest.fixture(autouse=True)
def balanced() -> Iterator[None]:
    """Every test pops what it pushes, whatever goes wrong in it."""
    request_open = counts.request_pushed - counts.request_popped
    app_open = counts.app_pushed - counts.app_popped
    yield
    assert counts.request_pushed - counts.request_popped == request_open
    assert counts.app_pushed - counts.app_popped == app_open
