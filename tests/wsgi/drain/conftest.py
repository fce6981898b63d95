"""What the tests of a drain share: an application that can be held up, and the beginning of a drain."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import gevent
import pytest
from gevent import Greenlet, GreenletExit
from gevent.event import Event

from greenlane.wsgi import WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

Draining = Callable[..., "Greenlet[..., int]"]


class App:
    """Echoes the path and the body, and waits inside for `go` when the path is /wait."""

    def __init__(self) -> None:
        self.inside = Event()
        self.go = Event()
        self.calls = 0
        self.killed = 0

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        self.calls += 1
        body = environ["wsgi.input"].read()
        if environ["PATH_INFO"] == "/wait":
            self.inside.set()
            try:
                assert self.go.wait(10)
            except GreenletExit:
                self.killed += 1
                raise
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode() + body]


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def draining() -> Draining:
    """Start to drain and wait until the listener is closed: `draining(server)`."""

    def begin(server: WSGIServer, timeout: float = 10) -> "Greenlet[..., int]":
        greenlet = gevent.spawn(server.drain, timeout)
        while not server.closed:
            gevent.sleep(0)
        return greenlet

    return begin
