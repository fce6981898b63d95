"""The feed of a race: who reads it, who leaves, and who does neither."""

from collections.abc import Callable, Generator
from itertools import count

import gevent
import pytest
from gevent.event import Event

from greenlane.demo.race import feed as module
from greenlane.demo.race.feed import NOT_READ, ROOM, Feed
from greenlane.demo.race.load import Line


class Source:
    """Lines without end, or as many as there are to be; knows whether they were closed."""

    def __init__(self, most: int | None = None) -> None:
        self.made = 0
        self.closed = Event()
        self.lines = self._lines(most)

    def _lines(self, most: int | None) -> Generator[Line, None, None]:
        try:
            for number in count() if most is None else range(most):
                self.made += 1
                yield {"kind": "tick", "number": number}
        finally:
            gevent.sleep(0)  # what has to be tidied up may wait
            self.closed.set()


def test_a_reader_gets_all_lines_in_their_order() -> None:
    source = Source(ROOM * 2)
    feed = Feed(source.lines)
    assert [line["number"] for line in feed] == list(range(ROOM * 2))
    assert source.closed.is_set()
    assert feed.over


def test_it_goes_on_before_anybody_reads() -> None:
    source = Source(3)
    feed = Feed(source.lines)
    assert source.closed.wait(5)
    assert len(list(feed)) == 3


def test_whoever_leaves_ends_it() -> None:
    source = Source()
    feed = Feed(source.lines)
    next(iter(feed))
    assert not feed.over
    feed.close()
    assert feed.over
    assert source.closed.is_set()


@pytest.mark.parametrize("act", [lambda _feed: None, Feed.close])
def test_one_that_was_never_read_holds_nothing_once_it_is_closed(act: Callable[[Feed], None]) -> None:
    source = Source(1)
    feed = Feed(source.lines)
    feed.close()
    act(feed)  # twice is once
    assert feed.over
    assert source.made == 0


def test_who_reads_nothing_for_a_while_loses_it_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    source = Source()
    feed = Feed(source.lines)
    assert source.closed.wait(5)
    assert source.made == ROOM + 1
    assert list(feed) == [{"kind": "error", "message": NOT_READ}]
    assert feed.over
