"""What stays of a request: records are counted without being kept, and the showcase of a leak has an end."""

import gevent
import pytest
from greenlet import getcurrent

from greenlane.demo.hazards import storage
from greenlane.demo.hazards.hazard import Cell
from greenlane.demo.hazards.storage import ByGreenlet, ByLocal, Record
from greenlane.demo.probe import Kit, Turns
from greenlane.demo.switching import Switcher

CELL = Cell("unreleased", "for this test", Kit(Switcher(), Turns(), lambda: 1))


def visit(variant: ByGreenlet | ByLocal) -> int:
    """Write as a connection's greenlet does, watched by the monitoring; return what is left meanwhile."""
    variant.recent.append(getcurrent())
    for field in ("first", "second"):
        variant.write(field, "a")
    assert variant.read() == {"first": "a", "second": "a"}
    return variant.left()


@pytest.mark.parametrize(("kind", "kept"), [(ByGreenlet, 5), (ByLocal, 0)])
def test_a_watched_greenlet_keeps_its_record_only_in_the_dict(
    kind: type[ByGreenlet] | type[ByLocal], kept: int
) -> None:
    """B53: the monitoring refers to all five when they are dead; a Local has dropped their data then."""
    variant = kind(CELL)
    for number in range(5):
        assert gevent.spawn(visit, variant).get(timeout=20) == (number + 1 if kept else 1)
    gevent.sleep(0)
    assert len(variant.recent) == 5
    assert all(greenlet.dead for greenlet in variant.recent)
    assert variant.left() == kept


def test_a_record_is_counted_and_not_kept() -> None:
    variant = ByGreenlet(CELL)
    gevent.spawn(visit, variant).get(timeout=20)
    assert variant.left() == 1
    variant.records.clear()
    assert variant.left() == 0


def test_the_leak_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MOST_RECORDS", 3)
    variant = ByGreenlet(CELL)
    for _ in range(7):
        gevent.spawn(visit, variant).get(timeout=20)
    assert variant.left() == 3


def test_a_record_starts_empty() -> None:
    assert (Record().first, Record().second) == (None, None)
