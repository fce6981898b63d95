"""What the tests of the App share: an App, a meeting point, streams, and a balance of the counters."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from gevent.event import Event
from greenlet import getcurrent, greenlet
from werkzeug.test import EnvironBuilder

from greenlane import (
    App,
    current_app,
    g,
    has_app_context,
    has_request_context,
    request,
    session,
    stream_with_context,
)
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


class Streams:
    """How the tests of streamed bodies make, call and close them, and what they see in one."""

    @staticmethod
    def clean() -> bool:
        return not has_request_context() and not has_app_context()

    @staticmethod
    def piece(tail: str = "") -> str:
        return f"{request.args.get('name', '')} {g.name} {session['name']} {current_app.name}{tail}\n"

    @staticmethod
    def call(app: App, path: str = "/", method: str = "GET") -> Iterable[bytes]:
        """Call ``app`` as a server does, and return the body unread."""
        written: list[bytes] = []
        return app(EnvironBuilder(path, method=method).get_environ(), lambda *head: written.append)

    @staticmethod
    def close(body: Iterable[bytes]) -> None:
        """Close ``body`` as a server does: if it can be."""
        getattr(body, "close", lambda: None)()

    @staticmethod
    def serve(app: App, *, log: list[str] | None = None) -> None:
        """Let ``/`` stream three pieces, each made in the request."""

        @app.get("/")
        def view() -> Any:
            def generate() -> Iterator[str]:
                try:
                    for number in range(3):
                        yield Streams.piece(f" {number}")
                finally:
                    if log is not None:
                        log.append(f"closed in {request.path} of {g.name}")

            return stream_with_context(generate())


@pytest.fixture
def meeting() -> type[Meeting]:
    return Meeting


@pytest.fixture
def streams() -> type[Streams]:
    return Streams


@pytest.fixture
def app() -> App:
    """An App in testing mode, with a secret key."""
    app = App("shop")
    app.testing = True
    app.secret_key = "for tests only"
    return app


@pytest.fixture
def ended() -> list[str]:
    """What the teardown functions saw: kind, path or name, and the error's type if there was one."""
    return []


@pytest.fixture
def shop(app: App, ended: list[str]) -> App:
    """An App that says when its requests end, and what is current then."""

    def error(exc: BaseException | None) -> str:
        return "" if exc is None else f" {type(exc).__name__}"

    app.teardown_request(lambda exc: ended.append(f"request {request.path} {g.name}{error(exc)}"))
    app.teardown_appcontext(lambda exc: ended.append(f"app {g.name}{error(exc)}"))

    @app.before_request
    def name() -> None:
        g.name = session["name"] = request.args.get("name", "ada")

    return app


@pytest.fixture(autouse=True)
def balanced() -> Iterator[None]:
    """Every test pops what it pushes, whatever goes wrong in it."""
    request_open, app_open = counts.requests, counts.apps
    yield
    assert (counts.requests, counts.apps) == (request_open, app_open)
