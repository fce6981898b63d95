"""What is recorded of real requests: what each did, and when its greenlet ran and when it was away."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from threading import get_native_id
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent.event import Event
from werkzeug.test import Client

from greenlane.app import App
from greenlane.demo.hazards import HAZARDS
from greenlane.demo.hazards.children import WORKERS
from greenlane.demo.keeper import FIELDS
from greenlane.demo.probe import Probe
from greenlane.demo.probing import with_probes
from greenlane.demo.race.recorder import Lane, Recorder
from greenlane.demo.strategies import STRATEGIES
from greenlane.ops import Ops

if TYPE_CHECKING:
    from tests.demo.race.conftest import Scene

TIMEOUT = 20.0
NAMES = [strategy.name for strategy in STRATEGIES]


class Arena(Recorder):
    """A hazard's arena that records; sets an event at each step of a kind that a test waits for."""

    def __init__(self, hazard: str) -> None:
        super().__init__(hazard)
        self.hazard = hazard
        self.written: dict[str, Event] = {}
        self.ops: Ops = with_probes(
            App(__name__), [each for each in HAZARDS if each.name == hazard], self
        ).ops
        self.app = self.following(self.ops)
        self.start()

    def wrote(self, probe: Probe, field: str) -> None:
        super().wrote(probe, field)
        if probe.nonce in self.written:
            self.written[probe.nonce].set()

    def ask(self, strategy: str, *nonces: str, **query: object) -> list[Any]:
        """Ask in the current greenlet, one after another, as on a kept-alive connection."""
        client, answers = Client(self.app), []
        for nonce in nonces:
            parameters = {"nonce": nonce, "hops": 3, "pause": 2, **query}
            response = client.get(
                f"/hazards/{self.hazard}/{strategy}", query_string=parameters, buffered=True
            )
            answers.append(response.get_json())
        return answers

    def ask_at_once(self, strategy: str, *nonces: str, **query: object) -> dict[str, Any]:
        """Ask in a greenlet for each nonce; return the reports by nonce."""
        asking = {nonce: gevent.spawn(self.ask, strategy, nonce, **query) for nonce in nonces}
        gevent.joinall(list(asking.values()), timeout=TIMEOUT, raise_error=True)
        return {nonce: each.get(block=False)[0] for nonce, each in asking.items()}

    def of(self, nonce: str) -> Lane:
        """Return a lane that there must be."""
        lane = self.lane(nonce)
        assert lane is not None
        return lane


@pytest.fixture
def arena() -> Iterator[Arena]:
    """Requests under ``shared-object``, recorded."""
    with Arena("shared-object").recording() as recording:
        assert isinstance(recording, Arena)
        yield recording


def kinds(lane: Lane) -> list[str]:
    return [event[1] for event in lane.events]


def steps(lane: Lane) -> list[str]:
    """What it did itself."""
    return [kind for kind in kinds(lane) if kind not in ("away", "back")]


def must_be_whole(lane: Lane) -> None:
    """Began first, ended last and once; away and back in turns; the time never goes back."""
    found = kinds(lane)
    assert (found[0], found[-1]) == ("began", "ended")
    assert Counter(found)["began"] == Counter(found)["ended"] == 1
    turns = [kind for kind in found if kind in ("away", "back")]
    assert turns == ["away", "back"] * (len(turns) // 2)
    times = [event[0] for event in lane.events]
    assert times == sorted(times)
    assert times[0] > 0
    assert all(time == round(time, 3) for time in times)


@pytest.mark.parametrize("strategy", [*NAMES, "broken", "fixed"])
def test_two_that_overlap_are_recorded_from_their_beginning_to_their_end(arena: Arena, strategy: str) -> None:
    reports = arena.ask_at_once(strategy, "a", "b")
    for nonce, report in reports.items():
        lane = arena.of(nonce)
        must_be_whole(lane)
        released = ["released"] if strategy in NAMES else []  # the hazard asks strategies to
        assert steps(lane) == ["began", "wrote", "wrote", *["read"] * 3, *released, "ended"]
        assert (lane.cell, lane.nonce) == (f"shared-object/{strategy}", nonce)
        assert lane.events[0][2] == report["found"]
        assert [event[2] for event in lane.events if event[1] == "wrote"] == list(FIELDS)
        assert [event[2:] for event in lane.events if event[1] == "read"] == [
            (number, checkpoint["read"], checkpoint["error"])
            for number, checkpoint in enumerate(report["checkpoints"], 1)
        ]
        assert lane.switches == kinds(lane).count("away") + kinds(lane).count("back")
        assert int(lane.greenlet.removeprefix("greenlet "), 16) == report["greenlet"]
    assert [arena.of(nonce).id for nonce in "ab"] == [1, 2]


def test_between_its_steps_a_request_was_away_and_the_other_acted(arena: Arena) -> None:
    """Each step of a probe waits for a switch: one that is not recorded is a gap in the timeline."""
    arena.ask_at_once("shared-object", "a", "b")
    for lane, other in ((arena.of("a"), arena.of("b")), (arena.of("b"), arena.of("a"))):
        found = kinds(lane)
        own = [place for place, kind in enumerate(found) if kind in ("wrote", "read")]
        for one, following in pairwise(own):
            assert found[one + 1 : following].count("away") >= 1
        first, *_, last = lane.at("wrote") + lane.at("read")
        assert any(first < moment < last for moment in other.at("wrote"))


def test_while_one_runs_the_others_are_away(arena: Arena) -> None:
    """One native thread: the stretches in which lanes run do not overlap, but at their very ends."""
    arena.ask_at_once("local", *"abcde")
    assert arena.threads == {get_native_id()}
    stretches = sorted(stretch for nonce in "abcde" for stretch in _running(arena.of(nonce)))
    assert len(stretches) >= 5 * 5  # to its first write, to its second, and to each of three checkpoints
    for (_, end), (begin, _) in pairwise(stretches):
        assert end <= begin


def _running(lane: Lane) -> Iterator[tuple[float, float]]:
    begin = lane.events[0][0]
    for event in lane.events:
        if event[1] == "back":
            begin = event[0]
        elif event[1] in ("away", "ended"):
            yield begin, event[0]


@pytest.mark.parametrize("strategy", ["shared-object", "broken", "native-thread-local", "thread-ident"])
def test_where_all_share_a_place_each_names_the_same(arena: Arena, strategy: str) -> None:
    arena.ask_at_once(strategy, "a", "b")
    assert arena.of("a").keeps == arena.of("b").keeps is not None


@pytest.mark.parametrize("strategy", ["local", "fixed", "gevent-local", "contextvar", "context", "id-reused"])
def test_where_each_has_a_place_each_names_its_own(arena: Arena, strategy: str) -> None:
    arena.ask_at_once(strategy, "a", "b")
    for nonce in "ab":
        keeps = arena.of(nonce).keeps
        assert keeps is not None
        address = arena.of(nonce).greenlet.removeprefix("greenlet ")
        assert keeps.endswith(address)
    assert arena.of("a").keeps != arena.of("b").keeps


def test_on_one_connection_one_greenlet_serves_one_after_the_other(arena: Arena) -> None:
    gevent.spawn(arena.ask, "gevent-local", "a", "b", hops=1).get(timeout=TIMEOUT)
    a, b = arena.of("a"), arena.of("b")
    assert (a.greenlet, a.served_by) == (b.greenlet, b.served_by)
    assert a.events[-1][0] <= b.events[0][0]
    for lane in (a, b):
        must_be_whole(lane)


@pytest.mark.parametrize(("hazard", "fate"), [("raise-early", "raise"), ("killed-midway", "kill")])
def test_a_request_that_ends_as_it_announced_ends_its_lane(hazard: str, fate: str) -> None:
    with Arena(hazard).recording() as arena:
        assert isinstance(arena, Arena)
        ended = arena.ask_at_once("local", "a", fate=fate, pause=20)
        assert ended["a"] == {"doomed": fate}
        must_be_whole(arena.of("a"))
        assert len(steps(arena.of("a"))) < 6


def test_a_request_that_is_killed_ends_its_lane_and_the_connection_its_greenlet(arena: Arena) -> None:
    arena.written["a"] = Event()
    asking = gevent.spawn(arena.ask, "local", "a", pause=1_000)
    assert arena.written["a"].wait(TIMEOUT)
    asking.kill(timeout=TIMEOUT)
    must_be_whole(arena.of("a"))
    assert steps(arena.of("a")) == ["began", "wrote", "released", "ended"]


def test_an_error_of_the_application_ends_the_lane_and_goes_on(scene: "Scene") -> None:
    def broken(_environ: Any, _start_response: Any) -> list[bytes]:
        raise ZeroDivisionError

    def be_asked() -> None:
        with pytest.raises(ZeroDivisionError):
            scene.recorder.following(broken)({}, lambda *_: lambda _: None)

    a = scene.request("a", "local").began()
    a.connection.do(be_asked)
    assert steps(a.lane) == ["began", "ended"]


def test_a_lane_on_a_pools_worker_ends_there_and_has_its_own_switches() -> None:
    """The request waits on its own greenlet; a worker, which serves many, does the work."""
    with Arena("pool-residue").recording() as recording:
        assert isinstance(recording, Arena)
        first = recording.ask_at_once("local", *"abcd")
        second = recording.ask_at_once("local", *"efghijkl")
        for nonce, report in (first | second).items():
            lane = recording.of(nonce)
            must_be_whole(lane)
            assert lane.greenlet == f"greenlet {report['greenlet']:#x}"
        assert len({recording.of(nonce).served_by for nonce in first | second}) == WORKERS  # some served two


def test_a_request_within_a_request_has_a_lane_and_the_switches_are_the_outer_ones() -> None:
    with Arena("nested-same-app").recording() as arena:
        assert isinstance(arena, Arena)
        arena.ask_at_once("fixed", "a", hops=2)
        outer, inner = arena.of("a"), arena.of("inner")
        must_be_whole(outer)
        assert outer.greenlet == inner.greenlet
        assert outer.keeps == inner.keeps
        assert inner.switches == 0
        # The inner one's whole life lies between the outer one's writes and its reads.
        assert outer.at("wrote")[-1] <= inner.at("began")[0]
        assert inner.at("read")[-1] <= outer.at("read")[0]


def test_a_request_that_comes_before_the_loads_word_has_its_times_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = iter(range(100, 200))
    monkeypatch.setattr("greenlane.demo.race.recorder.monotonic", lambda: next(now))
    with Arena("shared-object").recording() as recording:
        assert isinstance(recording, Arena)
        recording._began = 0.0
        recording.ask("local", "a")
        began, last = (recording.of("a").events[at][0] for at in (0, -1))
        assert 0 < began < last
        recording.start()
        assert recording.elapsed() * 1000 > last
