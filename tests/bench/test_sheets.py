"""The tables: the same in a terminal and in Markdown, and pasted between their marks only."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from bench import sheets
from bench.figures import Report, Round

ROOT = Path(__file__).parents[2]


def shown(report: Report, *, width: int = 200) -> str:
    """Return what a person without colours sees."""
    console = Console(file=io.StringIO(), width=width)
    sheets.show(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_both_ways_say_the_same(report: Report) -> None:
    table, markdown = shown(report), sheets.as_markdown(report)
    for sheet in sheets.sheets(report):
        for row in sheet.rows:
            assert _line_with(table, row), row
            assert "| " + " | ".join(row) + " |" in markdown


def _line_with(text: str, values: list[str]) -> bool:
    return any(all(value in line for value in values) for line in text.splitlines())


def test_what_they_say(report: Report) -> None:
    text = shown(report)
    assert _line_with(text, ["gunicorn gevent", "1,000 to 2,000", "4.00 x (4.00 to 5.00)"])
    assert _line_with(text, ["gunicorn gevent, Flask", "3.00 x"])
    assert _line_with(text, ["hello: times gunicorn-gevent", "4.00", "3.5: reached", "5.0: NOT reached"])
    assert _line_with(text, ["Greenlane", "4 of 4", "10.0"])
    assert _line_with(text, ["threading", "55 (0.50)"])
    assert _line_with(text, ["uWSGI gevent", "skipped", "no compiler"])
    assert "a fast one" in text
    assert "\x1b" not in text


def test_a_server_that_cannot_is_told_from_one_that_failed(report: Report) -> None:
    report.asked.append("pywsgi")
    cell = report.cell("hello", "gunicorn-gevent")
    assert cell is not None
    cell.workload = "close"
    cell.rounds[0] = Round(failures={"timeout": 2})
    text = shown(report)
    assert _line_with(text, ["gunicorn gevent", "invalid: failed: 2 timeout"])
    assert _line_with(text, ["gevent.pywsgi", "not measured"])
    assert "Not measured: it closes without saying so" in text


def test_a_narrow_terminal_gets_whole_names_and_figures(report: Report) -> None:
    text = shown(report, width=80)
    assert _line_with(text, ["gunicorn gevent, Flask", "1,000", "3.00 x"])
    assert "…" not in text


@pytest.mark.parametrize(("load", "told"), [("0.21", False), ("0.50", True), ("4.00", True)])
def test_a_crowded_machine_is_said(report: Report, load: str, told: bool) -> None:
    report.machine["load before"] = load
    assert ("Other programs ran at the same time" in shown(report)) == told
    assert ("Other programs ran at the same time" in sheets.as_markdown(report)) == told


def test_only_what_stands_between_the_marks_changes(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"before\n{sheets.BEGIN}\nold\n{sheets.END}\nafter\n")
    for _ in range(2):  # the second time over what the first one wrote
        sheets.paste(report, path)
        made = path.read_text()
        assert made == f"before\n{sheets.BEGIN}\n\n{sheets.as_markdown(report)}\n{sheets.END}\nafter\n"


@pytest.mark.parametrize(
    "text",
    ["", f"{sheets.BEGIN}", f"{sheets.END}\n{sheets.BEGIN}", f"{sheets.BEGIN}{sheets.END}{sheets.END}"],
)
def test_a_document_without_its_marks_is_left_alone(report: Report, tmp_path: Path, text: str) -> None:
    path = tmp_path / "page.md"
    path.write_text(text)
    with pytest.raises(ValueError, match="once each"):
        sheets.paste(report, path)
    assert path.read_text() == text


def test_the_document_has_its_marks() -> None:
    text = (ROOT / "docs" / "performance.md").read_text()
    assert text.count(sheets.BEGIN) == text.count(sheets.END) == 1
    assert text.index(sheets.BEGIN) < text.index(sheets.END)
