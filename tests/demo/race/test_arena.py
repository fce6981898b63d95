"""The arena of a race: whose requests it serves and counts, and that all of it goes with its block."""

import json
from http.client import HTTPConnection, RemoteDisconnected
from typing import Any
from urllib.parse import urlsplit

import gevent
import psutil
import pytest
from gevent.event import Event
from werkzeug.datastructures import ImmutableMultiDict

from greenlane.app import App
from greenlane.context import Local
from greenlane.demo.race.arena import Arena
from greenlane.demo.race.recorder import Recorder
from greenlane.demo.race.settings import DEFAULTS, Settings
from greenlane.ops import Ops

SHARED = "shared-object"
TIMEOUT = 20.0


class Told(Recorder):
    """A recorder that says when something was written."""

    def __init__(self) -> None:
        super().__init__(SHARED)
        self.written = Event()

    def wrote(self, *args: Any) -> None:
        super().wrote(*args)
        self.written.set()


@pytest.fixture
def recorder() -> Told:
    return Told()


@pytest.fixture
def server() -> Ops:
    """The figures of a demonstration that serves nobody."""
    return Ops(App("tests"))


@pytest.fixture
def arena(recorder: Told, server: Ops) -> Arena:
    return Arena(Settings.of(ImmutableMultiDict(DEFAULTS)), recorder, server)


def asking(address: str, path: str) -> Any:
    """Ask from another native thread: this process is not patched, and must serve meanwhile."""
    return gevent.get_hub().threadpool.spawn(_ask, address, path)


def ask(address: str, path: str) -> tuple[int, bytes]:
    reply: tuple[int, bytes] = asking(address, path).get(timeout=TIMEOUT)
    return reply


def _ask(address: str, path: str) -> tuple[int, bytes]:
    connection = HTTPConnection(urlsplit(address).netloc, timeout=TIMEOUT)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_it_serves_the_hazard_that_is_raced_and_no_other(arena: Arena) -> None:
    with arena.served() as address:
        status, listed = ask(address, "/hazards/")
    assert status == 200
    assert [hazard["name"] for hazard in json.loads(listed)["hazards"]] == [SHARED]


def test_only_this_machine_reaches_it(arena: Arena) -> None:
    with arena.served() as address:
        port = urlsplit(address).port
        sockets = psutil.Process().net_connections("tcp")
        (listening,) = (each for each in sockets if each.status == "LISTEN" and each.laddr.port == port)
        assert listening.laddr.ip == "127.0.0.1"


def test_its_requests_are_recorded_and_counted_here_and_there(
    arena: Arena, recorder: Told, server: Ops
) -> None:
    """Live shows them as those of the server that they are."""
    with arena.served() as address:
        asked = asking(address, f"/hazards/{SHARED}/local?nonce=a&pause=200")
        assert recorder.written.wait(TIMEOUT)
        assert arena.ops.in_flight == server.in_flight == 1
        ((_began, method, path),) = server.flying.values()
        assert (method, path) == ("GET", f"/hazards/{SHARED}/local")
        assert server.connections == 1
        assert asked.get(timeout=TIMEOUT)[0] == 200
        assert arena.ops.in_flight == server.in_flight == 0
        assert ask(address, "/metrics")[0] == 200
    assert (server.requests, server.connections, server.connections_accepted) == (1, 0, 2)
    lane = recorder.lane("a")
    assert lane is not None
    assert lane.cell == f"{SHARED}/local"


def test_who_is_in_flight_at_its_end_is_cut_off_and_leaves_nothing(
    arena: Arena, recorder: Told, server: Ops
) -> None:
    with arena.served() as address:
        asked = asking(address, f"/hazards/{SHARED}/local?nonce=a&hops=64&pause=1000")
        assert recorder.written.wait(TIMEOUT)
        (local,) = (local for name, local in server.locals.items() if name == "race/local")
        assert isinstance(local, Local)
        assert len(list(local)) == 1
    assert list(local) == []
    assert arena.ops.in_flight == server.in_flight == 0
    with pytest.raises((RemoteDisconnected, ConnectionResetError)):
        asked.get(timeout=TIMEOUT)
    with pytest.raises(ConnectionRefusedError):
        ask(address, "/hazards/")


def test_the_server_tells_of_its_locals_while_it_is_served(arena: Arena, server: Ops) -> None:
    before = set(server.locals)
    with arena.served():
        assert set(server.locals) - before == {"race/local"}
    assert set(server.locals) == before


def test_a_race_finds_nothing_that_another_left(recorder: Told, server: Ops) -> None:
    """Not even under what nobody releases, and all share."""
    settings = Settings.of(ImmutableMultiDict(DEFAULTS | {"hazard": "keep-alive", "beside": ""}))
    path = f"/hazards/keep-alive/{SHARED}?nonce=a&pause=0"
    for _ in range(2):
        with Arena(settings, recorder, server).served() as address:
            first, second = (json.loads(ask(address, path)[1])["found"] for _ in range(2))
        assert not any(first.values())
        assert set(second.values()) == {"a"}
