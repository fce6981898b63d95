"""The recorder: what each request did, and when its greenlet ran and when it was away."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from threading import get_native_id
from typing import TYPE_CHECKING, Any

import gevent
import greenlet
import pytest
from gevent.event import Event
from werkzeug.test import Client

from greenlane.app import App
from greenlane.demo.hazards import HAZARDS
from greenlane.demo.hazards.children import WORKERS
from greenlane.demo.keeper import FIELDS, Reading, greenlet_name
from greenlane.demo.probe import Probe
from greenlane.demo.probing import with_probes
from greenlane.demo.race.recorder import MOST_SWITCHES, Lane, Recorder
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


# Of real requests


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


# Of greenlets and threads


def test_what_traced_switches_before_does_so_again() -> None:
    def former(*_: Any) -> None:
        pass

    greenlet.settrace(former)
    try:
        with suppress(ZeroDivisionError), Recorder("shared-object").recording():
            assert greenlet.gettrace() is not former
            raise ZeroDivisionError
        assert greenlet.gettrace() is former
    finally:
        greenlet.settrace(None)
    with Recorder("shared-object").recording():
        assert greenlet.gettrace() is not None
    assert greenlet.gettrace() is None


def test_greenlets_of_one_address_are_told_apart(scene: "Scene") -> None:
    by_address: dict[str, set[int]] = {}
    for number in range(1_000):
        request = scene.request(str(number), "local").began().ended()
        by_address.setdefault(request.lane.greenlet, set()).add(request.lane.served_by)
        request.connection.close()
        if any(len(numbers) > 1 for numbers in by_address.values()):
            break
        del request
    assert max(len(numbers) for numbers in by_address.values()) == 2


def test_what_ended_is_not_held(scene: "Scene") -> None:
    """A greenlet that is kept would keep its stack, and its Locals' entries, as long as the race."""
    request = scene.request("a", "local").began().wrote().ended()
    assert greenlet_name(request.connection.greenlet) == request.lane.greenlet
    request.connection.close()
    assert len(scene.recorder._greenlets) == len(scene.recorder._of_probes) == 1
    del request
    assert len(scene.recorder._greenlets) == len(scene.recorder._of_probes) == 0
    assert not scene.recorder._running


def test_so_many_switches_are_recorded_and_no_more(scene: "Scene") -> None:
    a = scene.request("a", "local").began()
    for _ in range(MOST_SWITCHES):
        a.connection.do(lambda: None)
    a.wrote().read().ended()
    assert a.lane.switches == MOST_SWITCHES
    assert Counter(kinds(a.lane)) == {
        "began": 1,
        "away": MOST_SWITCHES // 2 + 1,
        "back": MOST_SWITCHES // 2,
        "wrote": 2,
        "read": 1,
        "ended": 1,
    }


def test_switches_before_the_beginning_and_after_the_end_are_nobodys(scene: "Scene") -> None:
    a = scene.request("a", "local")
    a.connection.do(lambda: None)
    a.began().ended()
    a.connection.do(lambda: None)
    assert kinds(a.lane) == ["began", "away", "back", "ended"]


# What can be asked of it


def test_the_time_begins_with_the_race(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder("shared-object")
    assert recorder.elapsed() == 0.0
    now = 50.0
    monkeypatch.setattr("greenlane.demo.race.recorder.monotonic", lambda: now)
    recorder.start()
    assert recorder.elapsed() == 0.0
    now = 52.5
    assert recorder.elapsed() == 2.5


def test_who_wrote_and_released_is_known_by_cell_and_time(scene: "Scene") -> None:
    a = scene.request("a", "local").began().wrote()  # 1, 2, 3
    b = scene.request("b", "local").began().wrote("first")  # 4, 5
    other = scene.request("c", "shared-object").began().wrote().released()  # 6, 7, 8, 9
    b.released()  # 10
    cell = "shared-object/local"

    def writers(after: float, before: float) -> list[str]:
        return [lane.nonce for lane in scene.recorder.writers(cell, after, before)]

    assert writers(0, 100) == ["a", "a", "b"]
    wrote = a.lane.at("wrote")
    assert writers(wrote[0], b.lane.at("wrote")[0]) == ["a"]
    assert writers(wrote[1], 100) == ["b"]
    assert writers(100, 200) == []
    assert scene.recorder.releasers(cell, 0, 100) == [b.lane]
    assert scene.recorder.releasers(cell, 0, b.lane.at("released")[0]) == []
    assert scene.recorder.releasers(other.lane.cell, 0, 100) == [other.lane]
    assert scene.recorder.writers("shared-object/none", 0, 100) == []


def test_who_wrote_a_nonce_is_known_from_then_on(scene: "Scene") -> None:
    a = scene.request("a", "local").began().wrote("first")
    (moment,) = a.lane.at("wrote")
    assert scene.recorder.writer("a", None, moment) is a.lane
    assert scene.recorder.writer("a", None, moment - 0.5) is None
    assert scene.recorder.writer("b", None, moment) is None
    assert scene.recorder.lane("b") is None


def test_of_two_with_one_nonce_the_one_in_the_same_place_is_meant(scene: "Scene") -> None:
    scene.request("a", "shared-object").began().wrote()
    scene.request("a", "local").began().wrote()
    here, elsewhere = scene.recorder._lanes["a"]
    assert scene.recorder.writer("a", here.keeps, 100) is here
    assert scene.recorder.writer("a", elsewhere.keeps, 100) is elsewhere
    assert scene.recorder.writer("a", "nowhere", 100) is elsewhere  # the last


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


def test_an_error_is_kept_as_one_line(scene: "Scene") -> None:
    a = scene.request("a", "local").began()
    empty: Reading = dict.fromkeys(FIELDS)
    scene.recorder.read(a.probe, empty, "ValueError: one\ntwo")
    assert a.lane.events[-1][2:] == (1, empty, "ValueError: one")


def test_a_release_of_one_that_never_began_is_nobodys(scene: "Scene") -> None:
    request = scene.request("a", "local")
    scene.recorder.released(request.probe)
    assert scene.recorder.lane("a") is None


def test_the_document_is_what_the_page_gets(scene: "Scene") -> None:
    lane = scene.request("a", "shared-object").began().wrote("first").lane
    assert lane.as_document() == {
        "id": 1,
        "cell": "shared-object/shared-object",
        "nonce": "a",
        "greenlet": lane.greenlet,
        "keeps": "the one object",
        "events": lane.events,
    }
