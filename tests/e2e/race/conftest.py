"""Races on a real server, and the visitors who start them; what a race leaves behind is nothing."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Process, Run, WaitUntil

Line = dict[str, Any]
Fields = dict[str, str]
Until = Callable[[HTTPResponse, str], Line]

TIMEOUT = 60.0
LINES = "application/x-ndjson"
HTML = "text/html,application/xhtml+xml,*/*;q=0.8"
QUICK = {"hazard": "shared-object", "strategy": "shared-object", "beside": "local"} | {
    name: str(number) for name, number in (("requests", 40), ("at_once", 20), ("hops", 2))
}


class Visitor:
    """Somebody who has opened the page, and may start races.

    Args:
        connect: opens a connection to the server.
        prefix: where the demonstration is, as the visitor sees it.
        headers: are sent with each request, as by a proxy.

    """

    def __init__(
        self, connect: Callable[[], HTTPConnection], prefix: str = "", headers: dict[str, str] | None = None
    ) -> None:
        self._connect = connect
        self._headers = headers or {}
        self._path = prefix
        with self._asked("GET", "/", {}) as response:
            page = response.read().decode()
            self._cookie = (response.getheader("Set-Cookie") or "").partition(";")[0]
        self._token = page.partition('name="token" value="')[2].partition('"')[0]
        assert self._token

    @classmethod
    def of(cls, process: "Process", **options: Any) -> "Visitor":
        """Somebody who visits a server at its port."""
        return cls(lambda: HTTPConnection("127.0.0.1", process.port, timeout=TIMEOUT), **options)

    def page(self) -> str:
        """Open the page again."""
        with self._asked("GET", "/", {"Cookie": self._cookie}) as response:
            return response.read().decode()

    @contextmanager
    def starting(self, fields: Fields, *, scripts: bool = True) -> Iterator[HTTPResponse]:
        """Start a race; to leave the block is to close the connection.

        Args:
            fields: of the form, but for its token.
            scripts: whether the page's scripts ask, which read lines; or else the browser, for a page.

        """
        form = urlencode(fields | {"token": self._token})
        headers = {"Cookie": self._cookie, "Accept": LINES if scripts else HTML}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        with self._asked("POST", "/race", headers, form) as response:
            yield response

    def race(self, fields: Fields) -> list[Line]:
        """Run a race to its end, and return its lines."""
        with self.starting(fields) as response:
            assert (response.status, response.getheader("Content-Type")) == (200, LINES)
            return [json.loads(line) for line in response]

    @contextmanager
    def _asked(
        self, method: str, path: str, headers: dict[str, str], body: str | None = None
    ) -> Iterator[HTTPResponse]:
        connection = self._connect()
        try:
            connection.request(method, f"{self._path}{path}", body, self._headers | headers)
            response = connection.getresponse()
            yield response
            response.close()
        finally:
            connection.close()


@pytest.fixture(scope="session")
def a_visitor() -> type[Visitor]:
    """Somebody more, at a server or by a connection: `a_visitor.of(process)`, `a_visitor(connect)`."""
    return Visitor


@pytest.fixture(scope="module")
def process(launch: "Run", tmp_path_factory: pytest.TempPathFactory) -> "Process":
    """The demonstration, as `make run` serves it."""
    return launch(cwd=tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def visitor(process: "Process") -> Visitor:
    """The one who starts most of the races there."""
    return Visitor.of(process)


@pytest.fixture(scope="session")
def quick() -> Fields:
    """What is asked for in a race of a shared object beside a Local that is soon over."""
    return dict(QUICK)


@pytest.fixture(scope="session")
def long() -> Fields:
    """The same, but it goes on until somebody ends it."""
    return QUICK | {"requests": "2000", "at_once": "4", "hops": "16"}


@pytest.fixture(scope="session")
def until() -> Until:
    """Read a running race's lines up to one of a kind: `until(response, "request")`."""

    def read(response: HTTPResponse, kind: str) -> Line:
        for text in response:
            line: Line = json.loads(text)
            if line["kind"] == kind:
                return line
        raise AssertionError(f"no line is {kind}")

    return read


@pytest.fixture
def nothing_left(process: "Process", wait_until: "WaitUntil") -> Iterator[None]:
    """After each test: no load, no requests, no contexts, no entries, no greenlets but the connection's."""
    yield
    wait_until(lambda: not process.children(), "the load has ended")
    wait_until(lambda: _metrics_of(process)("greenlane_connections_open") == [1.0], "all others have gone")
    metrics = _metrics_of(process)
    assert metrics("greenlane_requests_in_flight") == [0.0]
    assert metrics("greenlane_greenlets") == [1.0]
    pushed, popped = metrics("greenlane_contexts_pushed_total"), metrics("greenlane_contexts_popped_total")
    assert (len(pushed), pushed) == (2, popped)
    entries = metrics("greenlane_local_entries")
    assert len(entries) > 2
    assert set(entries) == {0.0}
    assert metrics("greenlane_native_threads") == [1.0]


def _metrics_of(process: "Process") -> Callable[[str], list[float]]:
    """Return what gives all samples of a metric."""
    text = process.get("/metrics", {"Connection": "close"})[1].decode()
    return lambda name: [
        float(found) for found in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
    ]
