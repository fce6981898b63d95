"""docs/hazards.md is what the hazards, their source and the last measurement make of it."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from greenlane.demo.hazards import HAZARDS
from greenlane.demo.hazards.document import MEASURED, PAGE, measured_in, page
from greenlane.demo.strategies import STRATEGIES

DOCS = Path(__file__).parents[3] / "docs"


def measured(**changed: Any) -> dict[str, Any]:
    """Make the document of a matrix with one cell, keep-alive/broken, which is ``changed``."""
    cell = {
        "hazard": "keep-alive",
        "strategy": "broken",
        "outcome": "cross-talk",
        "requests": 1234,
        "cross_talk": 617,
        "rate": 0.5,
        "at_most": None,
        "left": None,
        "anomalies": {},
    }
    return {
        "settings": {"users": 7, "hops": 3},
        "environment": {"python": "3.11.4", "cores": 2},
        "cells": [cell | changed],
    }


def test_the_document_is_up_to_date() -> None:
    assert page(measured_in(DOCS)) == (DOCS / PAGE).read_text(encoding="utf-8"), "make pictures"


def test_each_hazard_has_its_cause_its_incidents_and_its_code() -> None:
    document = page(None)
    for hazard in HAZARDS:
        section = document.partition(f"\n## {hazard.name}\n")[2].partition("\n## ")[0]
        assert hazard.cause in section
        assert hazard.summary in section
        for incident in hazard.incidents:
            assert incident in section
        for what in hazard.variants().values():
            assert what.replace("``", "`") in section
        for variant in (hazard.broken, hazard.fixed, *hazard.shown):
            if variant is not None:
                assert f"class {variant.__name__}" in section
        for broken in hazard.breaks.values():
            assert broken.why in section
        for reason in hazard.not_applicable.values():
            assert reason in section


def test_the_tables_are_whole() -> None:
    """Each row has as many cells as its head."""
    for table in re.findall(r"(?:^\|.*\|\n)+", page(measured()), re.MULTILINE):
        widths = {line.count(" | ") for line in table.splitlines()}
        assert len(widths) == 1, table


def test_every_strategy_has_a_column_and_every_situation_a_row() -> None:
    document = page(None)
    head = next(line for line in document.splitlines() if line.startswith("| hazard |"))
    assert [name.strip() for name in head.strip("|").split("|")[1:]] == [each.name for each in STRATEGIES]
    row = next(line for line in document.splitlines() if line.startswith("| [lost-in-spawn]"))
    assert [cell.strip() for cell in row.strip("|").split("|")[1:]] == [
        *["holds"] * 2,
        *["*missing*"] * 3,
        *["**cross-talk**"] * 3,
        "*missing*",
    ]
    row = next(line for line in document.splitlines() if line.startswith("| [abandoned-stream]"))
    assert row.endswith("| · |")
    assert "| [native-thread-local](#native-thread-local) | holds" not in document, "it is no situation"


@pytest.mark.parametrize(
    ("changed", "row"),
    [
        ({}, "| broken | **cross-talk** | 1,234 | 50.0 % |  |"),
        (
            {"outcome": "isolated", "cross_talk": 0, "at_most": 0.0024},
            "| broken | holds | 1,234 | none, under 0.24 % |  |",
        ),
        (
            {"outcome": "leak", "cross_talk": 0, "at_most": 0.0024, "left": 9},
            "| broken | **leak** | 1,234 | none, under 0.24 % | 9 |",
        ),
        (
            {"outcome": "missing", "cross_talk": 0, "at_most": 0.0024, "anomalies": {"missing": 1000}},
            "| broken | *missing* | 1,234 | nothing read in 1,000 |  |",
        ),
        (
            {"outcome": "no-overlap", "cross_talk": 0, "at_most": 0.0024},
            "| broken | *no overlap* | 1,234 | nothing proven |  |",
        ),
        (
            {"outcome": "inconclusive", "cross_talk": 0, "at_most": 0.0024},
            "| broken | *inconclusive* | 1,234 | nothing proven |  |",
        ),
    ],
)
def test_what_was_measured_is_told(changed: dict[str, Any], row: str) -> None:
    assert f"| [keep-alive](#keep-alive) {row}\n" in page(measured(**changed))


def test_an_outcome_that_nobody_knows_is_not_taken_for_a_good_one() -> None:
    with pytest.raises(KeyError):
        page(measured(outcome="something new"))


def test_a_strategy_is_shown_as_measured_even_where_another_outcome_was_said() -> None:
    document = page(measured(strategy="local"))
    row = next(line for line in document.splitlines() if line.startswith("| [keep-alive](#keep-alive) |"))
    assert row.startswith("| [keep-alive](#keep-alive) | **cross-talk** 50.0 % | holds |")


def test_the_command_writes_it_with_what_was_measured_beside_it(tmp_path: Path) -> None:
    (tmp_path / MEASURED).write_text(json.dumps(measured()))
    subprocess.run([sys.executable, "-m", "greenlane.demo.hazards", str(tmp_path)], check=True, timeout=60)
    assert (tmp_path / PAGE).read_text(encoding="utf-8") == page(measured())
