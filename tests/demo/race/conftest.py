"""Scenes: a few requests that are played step by step, with real strategies, probes and greenlets.

What happens is real, switches included; only when it happens is said by the test: each
step takes a millisecond of a clock of the scene's own.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import pytest
from greenlet import getcurrent, greenlet

from greenlane.demo.keeper import FIELDS, Keeper
from greenlane.demo.parameters import Parameters
from greenlane.demo.probe import Kit, Probe, Turns
from greenlane.demo.race import recorder as recorder_module
from greenlane.demo.race.recorder import Lane, Recorder
from greenlane.demo.race.story import Story, tell
from greenlane.demo.strategies import make_strategies
from greenlane.demo.switching import Switcher

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

HAZARD = "shared-object"


class Connection:
    """A greenlet that does what it is told, a step at a time, and waits in between."""

    def __init__(self) -> None:
        self.greenlet = greenlet(self._serve)
        self.greenlet.switch()

    def do(self, step: Callable[[], Any]) -> Any:
        """Have it do a step."""
        return self.greenlet.switch(step)

    def close(self) -> None:
        """Let the greenlet end."""
        if not self.greenlet.dead:
            self.greenlet.throw()

    def _serve(self) -> None:
        home = getcurrent().parent
        assert home is not None
        done = None
        while True:
            done = home.switch(done)()


class Told(Story):
    """A story, as a test reads it."""

    @property
    def said(self) -> str:
        """The words, with its nonce for each request."""
        return "".join(word.nonce if isinstance(word, Lane) else word for word in self.words)

    @property
    def shown(self) -> list[str]:
        """The nonces of the lanes that are shown."""
        return [lane.nonce for lane in self.lanes]


class Requested:
    """One request: it does what a probe does, when the test says so."""

    def __init__(self, scene: "Scene", connection: Connection, probe: Probe) -> None:
        self.connection = connection
        self.probe = probe
        self._scene = scene

    def began(self) -> "Requested":
        """Look at what is there."""
        return self._step(lambda: self._scene.recorder.began(self.probe, self.probe.keeper.found()))

    def wrote(self, *fields: str) -> "Requested":
        """Write fields, or both."""
        for field in fields or FIELDS:
            self._step(partial(self._write, field))
        return self

    def read(self) -> "Requested":
        """Read back."""
        return self._step(self._read)

    def released(self) -> "Requested":
        """Drop what is held for it."""
        return self._step(self._release)

    def ended(self) -> "Requested":
        """Be answered, and the response closed."""
        return self._step(self._end)

    @property
    def lane(self) -> Lane:
        """What was recorded of it."""
        lane = self._scene.recorder.lane(self.probe.nonce)
        assert lane is not None
        return lane

    def story(self, judged: str) -> Told:
        """Tell what it met."""
        story = tell(self.lane, judged, self._scene.recorder)
        return Told(story.lanes, story.checkpoint, story.words)

    def _step(self, step: Callable[[], None]) -> "Requested":
        self._scene.now += 0.001
        self.connection.do(step)
        return self

    def _write(self, field: str) -> None:
        self.probe.keeper.write(field, self.probe.nonce)
        self._scene.recorder.wrote(self.probe, field)

    def _read(self) -> None:
        try:
            read, error = self.probe.keeper.read(), None
        except Exception as raised:
            read, error = dict.fromkeys(FIELDS), f"{type(raised).__name__}: {raised}"
        self._scene.recorder.read(self.probe, read, error)

    def _release(self) -> None:
        self.probe.keeper.release()
        self._scene.recorder.released(self.probe)

    def _end(self) -> None:
        response = self._scene.recorder.following(_nothing)({}, _start)
        response.close()  # type: ignore[attr-defined]  # it has one


class Scene:
    """Requests of one race, and what was recorded of them.

    Attributes:
        now: the time, in seconds; the race began at 1,000.
        recorder: what recorded them.

    """

    def __init__(self) -> None:
        self.now = 1_000.0
        self.recorder = Recorder(HAZARD)
        self.keepers: dict[str, Keeper] = dict(make_strategies())
        self._kit = Kit(Switcher(), Turns(), in_flight=lambda: 0, watch=self.recorder)
        self._connections: WeakSet[Connection] = WeakSet()

    def request(self, nonce: str, strategy: str, on: Connection | None = None) -> Requested:
        """Have a request come, on a connection of its own unless it is said which."""
        if on is None:
            on = Connection()
            self._connections.add(on)
        parameters = Parameters(nonce, hops=1, pause=0.0, release=False)
        return Requested(self, on, self._kit.probe(strategy, self.keepers[strategy], parameters))

    def close(self) -> None:
        """Let all greenlets end."""
        for connection in list(self._connections):
            connection.close()


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A race of which the test plays the requests: `scene.request("a", "local").began().wrote()`."""
    playing = Scene()
    monkeypatch.setattr(recorder_module, "monotonic", lambda: playing.now)
    playing.recorder.start()
    with ExitStack() as stack:
        stack.callback(playing.close)
        stack.enter_context(playing.recorder.recording())
        yield playing


def _nothing(_environ: "WSGIEnvironment", _start_response: "StartResponse") -> list[bytes]:
    return []


def _start(_status: str, _headers: object, _error: object = None) -> Callable[[bytes], object]:
    return lambda _data: None
