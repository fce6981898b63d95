"""The probe reports what it read, and judges nothing."""

import os
import threading
from time import monotonic

import gevent
import pytest
from gevent.event import Event

from greenlane.demo.keeper import FIELDS, Reading
from greenlane.demo.parameters import Parameters
from greenlane.demo.probe import Kit, Report, Turns
from greenlane.demo.seal import UNSEALED, Seal
from greenlane.demo.strategies import Stored, Strategy, make_strategies
from greenlane.demo.switching import Switcher

BOTH_EMPTY: Reading = dict.fromkeys(FIELDS)
SEAL = Seal()


class Meeting(Switcher):
    """Switches only when ``parties`` probes have arrived at the same step: certain overlap."""

    def __init__(self, parties: int) -> None:
        super().__init__()
        self._parties = parties
        self._arrived = 0
        self._all_here = Event()
        self.ways = (("meeting", self.meet),)

    def meet(self, _seconds: float) -> None:
        self._arrived += 1
        all_here = self._all_here
        if self._arrived == self._parties:
            self._arrived, self._all_here = 0, Event()
            all_here.set()
        assert all_here.wait(5)

    def gap(self, pause: float) -> None:
        self.meet(pause)


def probe(
    strategy: Strategy, nonce: str, switcher: Switcher, turns: Turns, *, hops: int = 3, release: bool = False
) -> Report:
    parameters = Parameters(nonce=nonce, hops=hops, pause=0, release=release)
    return Kit(switcher, turns, lambda: 1, seal=SEAL).probe(strategy.name, strategy, parameters).run()


def meet(strategy: Strategy, *nonces: str) -> list[Report]:
    """Run a probe for each nonce, all of them in step."""
    switcher, turns = Meeting(len(nonces)), Turns()
    greenlets = [gevent.spawn(probe, strategy, nonce, switcher, turns) for nonce in nonces]
    gevent.joinall(greenlets, raise_error=True)
    return [greenlet.get() for greenlet in greenlets]


def alone(strategy: Strategy, nonce: str = "a", hops: int = 3) -> Report:
    return gevent.spawn(probe, strategy, nonce, Switcher(), Turns(), hops=hops).get()


def test_the_report() -> None:
    report = alone(make_strategies()["local"], "mine", hops=2)
    assert list(report) == [
        "strategy",
        "found",
        "began",
        "wrote",
        "checkpoints",
        "greenlet",
        "thread",
        "pid",
        "process",
        "in_flight",
        "switches",
    ]
    assert report["strategy"] == "local"
    assert report["found"] == BOTH_EMPTY
    assert report["pid"] == os.getpid()
    assert report["thread"] == threading.get_native_id()
    assert report["in_flight"] == 1
    assert len(report["checkpoints"]) == 2
    for checkpoint in report["checkpoints"]:
        assert list(checkpoint) == ["after", "read", "error", "switches", "at"]
        assert checkpoint["read"] == {"first": "mine", "second": "mine"}
        assert checkpoint["error"] is None


def test_the_steps_have_their_times() -> None:
    """B55: in seconds of the server's monotonic clock, in the order in which they were taken."""
    before = monotonic()
    report = alone(make_strategies()["local"], hops=2)
    steps = [report["began"], *report["wrote"], *(each["at"] for each in report["checkpoints"])]
    assert len(steps) == 5
    assert before - 0.001 <= steps[0]
    assert steps == sorted(steps)
    assert steps[-1] <= monotonic() + 0.001


def test_what_was_sent_before_is_not_sent_again() -> None:
    """B55: a streamed reply has its checkpoints first, and the report without them."""
    kit = Kit(Switcher(), Turns(), lambda: 1)
    parameters = Parameters(nonce="a", hops=4, pause=0, release=False)
    strategy = make_strategies()["shared-object"]

    def stream() -> tuple[int, Report]:
        streamed = kit.probe("x", strategy, parameters)
        streamed.write()
        return len(list(streamed.checkpoints())), streamed.report([])

    sent, report = gevent.spawn(stream).get()
    assert sent == 4
    assert report["checkpoints"] == []
    assert report["in_flight"] == 1


def test_the_greenlet_is_named_by_its_id() -> None:
    strategy = make_strategies()["local"]

    def run() -> tuple[int, int]:
        report = probe(strategy, "a", Switcher(), Turns())
        return report["greenlet"], id(gevent.getcurrent())

    reported, actual = gevent.spawn(run).get()
    assert reported == actual


def test_the_ways_are_taken_in_turn() -> None:
    names = [name for name, _ in Switcher().ways]
    taken = [checkpoint["after"] for checkpoint in alone(make_strategies()["local"], hops=64)["checkpoints"]]
    start = names.index(taken[0])
    assert taken == [names[(start + hop) % len(names)] for hop in range(64)]


@pytest.mark.parametrize("name", ["local", "gevent-local", "contextvar", "local-unreleased"])
def test_probes_in_step_read_their_own(name: str) -> None:
    """B55: each probe overlaps the other at every checkpoint and reads its own nonce."""
    for nonce, report in zip("ab", meet(make_strategies()[name], "a", "b"), strict=True):
        assert report["found"] == BOTH_EMPTY
        assert [checkpoint["read"] for checkpoint in report["checkpoints"]] == [
            dict.fromkeys(FIELDS, nonce)
        ] * 3
        assert all(checkpoint["switches"] for checkpoint in report["checkpoints"])


@pytest.mark.parametrize("name", ["shared-object", "native-thread-local", "thread-ident"])
def test_probes_in_step_read_the_last_writer(name: str) -> None:
    """B1, B55: one of the two reads the other's nonce at every checkpoint, with overlap counted."""
    one, other = meet(make_strategies()[name], "a", "b")
    read = [[checkpoint["read"]["first"] for checkpoint in report["checkpoints"]] for report in (one, other)]
    assert read[0] == read[1]
    assert one["switches"] >= 3
    assert other["switches"] >= 3


class Crossing(Meeting):
    """Of two probes, the first to enter the gap is the last to leave it."""

    def __init__(self) -> None:
        super().__init__(2)
        self._other_leaves = Event()

    def gap(self, pause: float) -> None:
        first = self._arrived == 0
        self.meet(pause)
        if first:
            assert self._other_leaves.wait(5)
        else:
            self._other_leaves.set()  # wakes the first only when this one switches next


def test_a_write_can_be_torn() -> None:
    """A switch lies between the two writes: the object ends up with a field of each probe."""
    switcher, turns, strategy = Crossing(), Turns(), make_strategies()["shared-object"]
    greenlets = [gevent.spawn(probe, strategy, nonce, switcher, turns) for nonce in "ab"]
    gevent.joinall(greenlets, raise_error=True)
    for greenlet in greenlets:
        assert greenlet.get()["checkpoints"][0]["read"] == {"first": "b", "second": "a"}


def test_a_probe_alone_counts_no_switch() -> None:
    assert alone(make_strategies()["local"], hops=20)["switches"] == 0


def test_switches_are_summed_up() -> None:
    for report in meet(make_strategies()["local"], "a", "b", "c"):
        assert report["switches"] == sum(checkpoint["switches"] for checkpoint in report["checkpoints"]) > 0


def test_turns() -> None:
    turns, alice, bob = Turns(), object(), object()
    turns.take(alice)
    assert [turns.take(actor) for actor in (alice, bob, bob, alice)] == [False, True, False, True]


class Fickle(Strategy):
    """Reads whatever it is given, in turn, as if a probe had written it; an exception is raised."""

    name = "fickle"
    role = "control"
    summary = "For this test."

    def __init__(self, *readings: Reading | Exception) -> None:
        self.readings = list(readings)
        self.steps: list[str] = []

    def write(self, field: str, value: str) -> None:
        self.steps.append(f"{field}={SEAL.take_off(value)}")

    def read(self) -> Reading:
        self.steps.append("read")
        reading = self.readings.pop(0)
        if isinstance(reading, Exception):
            raise reading
        return {field: value and SEAL.put_on(value) for field, value in reading.items()}

    def release(self) -> None:
        self.steps.append("release")

    def storage(self, greenlets: object = ()) -> Stored:
        return {}


def test_the_reply_is_what_was_read_and_not_what_was_asked() -> None:
    found: Reading = {"first": "old", "second": None}
    torn: Reading = {"first": "b", "second": "c"}
    report = alone(Fickle(found, torn), "a", hops=1)
    assert report["found"] == found
    assert report["checkpoints"][0]["read"] == torn


class FromRequest(Fickle):
    """Answers what was asked for: the nonce that it ought to hold."""

    def read(self) -> Reading:
        return dict.fromkeys(FIELDS, "a")

    def found(self) -> Reading:
        return dict.fromkeys(FIELDS)


def test_what_no_probe_has_written_is_nobodys_nonce() -> None:
    """A strategy that answers from the request looks right in every reply, but for the seal."""
    report = alone(FromRequest(), "a", hops=1)
    assert report["checkpoints"][0]["read"] == dict.fromkeys(FIELDS, f"{UNSEALED}a")


def test_it_looks_before_it_writes() -> None:
    strategy = Fickle(*[BOTH_EMPTY] * 3)
    alone(strategy, "a", hops=2)
    assert strategy.steps == ["read", "first=a", "second=a", "read", "read"]


def test_an_error_of_reading_is_reported_and_the_next_checkpoint_follows() -> None:
    own: Reading = dict.fromkeys(FIELDS, "a")
    report = alone(Fickle(BOTH_EMPTY, RuntimeError("nobody home"), own), "a", hops=2)
    broken, whole = report["checkpoints"]
    assert (broken["read"], broken["error"]) == (BOTH_EMPTY, "RuntimeError: nobody home")
    assert (whole["read"], whole["error"]) == (own, None)


def test_release_comes_last_also_after_an_error() -> None:
    strategy = Fickle(OSError("found raised"))
    with pytest.raises(OSError, match="found raised"):
        probe(strategy, "a", Switcher(), Turns(), release=True)
    assert strategy.steps == ["read", "release"]


def test_in_flight_is_the_most_that_any_step_saw() -> None:
    seen = iter([3, 9, 4])
    parameters = Parameters(nonce="a", hops=1, pause=0, release=False)
    strategy = make_strategies()["local"]
    run = Kit(Switcher(), Turns(), lambda: next(seen)).probe("local", strategy, parameters).run
    assert gevent.spawn(run).get()["in_flight"] == 9
