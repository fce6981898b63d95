"""What workers tell their master: taken when it can be read and is of this run, and otherwise missed."""

from types import SimpleNamespace
from typing import Any

import msgpack  # type: ignore[import-untyped]  # Locust has it
import pytest

from crosstalk.checker import Checker, Tally
from crosstalk.distributed import COUNTED, FINAL, Master, _packed

NAMES = ("one", "two")


class Runner:
    """As much of a master's runner as is asked for: its clients, and what it was given to listen with."""

    def __init__(self) -> None:
        ready = [SimpleNamespace(id=name, state="ready") for name in NAMES]
        self.clients = Clients({client.id: client for client in ready})
        self.listeners: dict[str, Any] = {}
        self.sent: list[tuple[str, Any]] = []

    def register_message(self, kind: str, listener: Any) -> None:
        self.listeners[kind] = listener

    def send_message(self, kind: str, data: Any) -> None:
        self.sent.append((kind, data))


class Clients(dict[str, SimpleNamespace]):
    """A master's clients, by their names."""

    @property
    def ready(self) -> list[SimpleNamespace]:
        return list(self.values())

    spawning: list[SimpleNamespace] = []  # noqa: RUF012 - never written
    running: list[SimpleNamespace] = []  # noqa: RUF012 - never written


class Event:
    """One of Locust's events, with one listener."""

    def add_listener(self, listener: Any) -> None:
        self.fire = listener


class Side:
    """A master, and what its workers send."""

    def __init__(self) -> None:
        self.runner = Runner()
        self.reported, self.connected = Event(), Event()
        events = SimpleNamespace(worker_report=self.reported, worker_connect=self.connected)
        environment: Any = SimpleNamespace(events=events)
        self.master = Master(environment, self.runner)  # type: ignore[arg-type]  # all that it uses

    def report(self, worker: str, counted: Any) -> None:
        self.reported.fire(client_id=worker, data={COUNTED: counted})

    def final(self, worker: str, counted: Any) -> None:
        msg = SimpleNamespace(type=FINAL, data=counted, node_id=worker)
        self.runner.listeners[FINAL](environment=None, msg=msg)


@pytest.fixture
def side() -> Side:
    side = Side()
    side.master.begin("this")
    return side


def counted(requests: int, run: str = "this") -> dict[str, str]:
    return _packed(run, {"local": Tally(requests=requests)})


def requests(checker: Checker) -> int:
    return checker.tally("local").requests


def test_each_report_takes_the_place_of_the_one_before(side: Side) -> None:
    for number in (1, 5, 9):
        side.report("one", counted(number))
    side.report("two", counted(4))
    assert requests(side.master.checker()) == 13


def test_a_late_report_does_not_take_the_place_of_the_last_counters(side: Side) -> None:
    side.final("one", counted(9))
    side.report("one", counted(5))
    assert requests(side.master.checker()) == 9


def test_all_have_to_tell_what_they_counted_in_the_end(side: Side) -> None:
    side.final("one", counted(9))
    side.report("two", counted(4))
    assert side.master.lost() == ["two"]
    assert side.master.cut() == "1 of 2 workers have not told what they counted in the end: two"
    side.final("two", counted(5))
    assert side.master.cut() is None
    assert requests(side.master.checker()) == 14


def test_one_that_joins_while_the_run_goes_on_has_to_tell_too(side: Side) -> None:
    side.connected.fire(client_id="three")
    for name in NAMES:
        side.final(name, counted(1))
    assert side.master.lost() == ["three"]


def test_the_counters_of_another_run_are_not_those_of_this_one(side: Side) -> None:
    side.report("one", counted(7, run="the last"))
    side.final("one", counted(7, run="the last"))
    assert requests(side.master.checker()) == 0
    assert side.master.lost() == ["one", "two"]


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {},
        {"run": "this"},
        {"run": "this", "tallies": "{"},
        {"run": "this", "tallies": "[]"},
        {"run": "this", "tallies": '{"local": {"requests": 1}}'},
    ],
)
def test_counters_that_cannot_be_read_are_as_if_not_told(side: Side, wrong: Any) -> None:
    side.final("one", wrong)
    assert "one" in side.master.lost()


def test_those_who_are_gone_are_not_waited_for(side: Side) -> None:
    side.runner.clients["one"].state = "missing"
    side.runner.clients.pop("two")
    side.master.finish()
    assert side.runner.sent == [("crosstalk-finish", {"run": "this"})]
    assert [worker["gone"] for worker in side.master.state()] == [True, True]


def test_half_a_surrogate_goes_through_locusts_messages(side: Side) -> None:
    """A server may reply with one, and Locust packs its messages with msgpack, which takes none."""
    tally = Tally()
    tally.add_failure("half \ud800 a pair")
    side.final("one", msgpack.unpackb(msgpack.packb(_packed("this", {"local": tally}))))
    assert list(side.master.checker().tally("local").failures) == ["half \ud800 a pair"]
