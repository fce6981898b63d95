"""Every row of docs/behaviours.md has a test that names it.

Run as a program (`make behaviours`), it prints the table with the tests of each row.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
ROWS = ROOT / "docs" / "behaviours.md"
COUNT = 58

_ROW = re.compile(r"^\| (B\d+) \| ([^|]+?) \|", re.MULTILINE)
_NAMED = re.compile(r"\bB\d+\b")


def rows(text: str) -> dict[str, str]:
    """Return what each row of the table in ``text`` is about, by its name."""
    return dict(_ROW.findall(text))


def rows_named(source: str, where: str) -> Iterator[tuple[str, str]]:
    """Yield each row that a test in ``source`` names in its docstring, with the test."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            for row in sorted(set(_NAMED.findall(ast.get_docstring(node) or ""))):
                yield row, f"{where}::{node.name}"


def covered() -> Mapping[str, list[str]]:
    """Return the tests of each row."""
    found = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for row, test in rows_named(path.read_text(), str(path.relative_to(ROOT))):
            found[row].append(test)
    return found


def faults(known: Mapping[str, str], tests: Mapping[str, list[str]]) -> list[str]:
    """Return what is wrong: rows without a test, tests of rows that are not there."""
    missing = [f"{row} ({about}) has no test" for row, about in known.items() if not tests.get(row)]
    unknown = [f"{', '.join(tests[row])}: there is no row {row}" for row in tests if row not in known]
    return missing + unknown


def test_the_table_has_every_row() -> None:
    assert list(rows(ROWS.read_text())) == [f"B{number}" for number in range(1, COUNT + 1)]


def test_every_row_has_a_test_that_names_it() -> None:
    assert faults(rows(ROWS.read_text()), covered()) == []


def test_a_row_counts_only_where_a_test_names_it_in_its_docstring() -> None:
    source = '"B1"\ndef test_a():\n    "B2, B12: x"\ndef helper():\n    "B3"\n# B4\ndef test_b(): "B5"\n'
    assert list(rows_named(source, "t.py")) == [
        ("B12", "t.py::test_a"),
        ("B2", "t.py::test_a"),
        ("B5", "t.py::test_b"),
    ]


def test_a_missing_row_and_an_unknown_one_are_faults() -> None:
    found = faults({"B1": "one", "B2": "two"}, {"B1": ["t.py::test_a"], "B9": ["t.py::test_b"]})
    assert found == ["B2 (two) has no test", "t.py::test_b: there is no row B9"]


def main() -> int:
    """Print the table; return 1 when a row has no test."""
    known, tests = rows(ROWS.read_text()), covered()
    for row, about in known.items():
        click.echo(f"{row:<4} {about}")
        for test in tests.get(row, ["MISSING"]):
            click.echo(f"       {test}")
    wrong = faults(known, tests)
    for fault in wrong:
        click.echo(fault, err=True)
    click.echo(f"{len(known)} rows, named {sum(map(len, tests.values()))} times, {len(wrong)} faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
