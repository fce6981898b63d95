"""The source that stands beside a race: what the files have, from the classes that run."""

import inspect
from pathlib import Path

import pytest

import greenlane
from greenlane.demo.hazards import HAZARDS
from greenlane.demo.hazards.hazard import Hazard
from greenlane.demo.race.settings import choices
from greenlane.demo.race.source import source_of
from greenlane.demo.strategies import STRATEGIES

ROOT = Path(greenlane.__file__).parent.parent
SHARED = next(hazard for hazard in HAZARDS if hazard.name == "shared-object")
HERE = [hazard for hazard in HAZARDS if hazard.own_server is None]


@pytest.mark.parametrize("hazard", HERE, ids=lambda hazard: str(hazard.name))
def test_all_that_can_be_raced_is_shown_as_the_files_have_it(hazard: Hazard) -> None:
    kinds = {strategy.name: strategy.__name__ for strategy in STRATEGIES}
    kinds |= {name: getattr(hazard, name).__name__ for name in ("broken", "fixed")}
    for name in choices(hazard):
        pieces = source_of(hazard, name)
        assert pieces[0].text.startswith(f"class {kinds[name]}")
        for piece in pieces:
            lines = (ROOT / piece.file).read_text().splitlines(keepends=True)
            own = piece.text.splitlines(keepends=True)
            assert lines[piece.line - 1 : piece.line - 1 + len(own)] == own
            # All of the class, and nothing after it.
            assert all(line.startswith((" ", "\n")) for line in own[1:])
            following = "".join(lines[piece.line - 1 + len(own) :]).lstrip("\n")
            assert not following.startswith(" ")


def test_what_is_inherited_is_shown_after_it() -> None:
    names = [piece.text.partition(":")[0] for piece in source_of(SHARED, "local")]
    assert names == ["class ReleasedLocal(KeptInLocal)", "class KeptInLocal(Strategy)"]
    variant = [piece.text.partition(":")[0] for piece in source_of(SHARED, "broken")]
    assert variant == ["class OneObject(InAttributes)", "class InAttributes(Kept)"]


def test_it_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """To look for a class in a file takes long, and all other requests wait."""
    first = source_of(SHARED, "local")
    monkeypatch.setattr(inspect, "getsourcelines", None)
    assert source_of(SHARED, "local") == first
