"""What is written of a matrix: the tables, the page, the timelines, JSON by its schema, JUnit's XML."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from rich.console import Console

from crosstalk.checker import Verdict
from crosstalk.matrix import report
from crosstalk.matrix.results import CellResult, NotAMatrix, Results
from crosstalk.matrix.show import share, show
from crosstalk.matrix.timeline import draw, in_words
from crosstalk.matrix.verdict import judge

Result = Callable[..., CellResult]
MakeResults = Callable[..., Results]

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "matrix.schema.json").read_text())

HOSTILE = "<script>alert('x')</script>&\"[red]"


def shown(results: Results) -> str:
    console = Console(file=StringIO(), width=200)
    show(results, judge(results), console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_the_json_report_keeps_to_its_schema_and_comes_back_as_it_was(results: MakeResults) -> None:
    made = results()
    text = json.dumps(report.document(made, judge(made)))
    jsonschema.validate(json.loads(text), SCHEMA)
    back = Results.from_document(json.loads(text))
    assert json.loads(json.dumps(back.as_document())) == json.loads(json.dumps(made.as_document()))


@pytest.mark.parametrize("name", ["verdict", "cells", "hazards", "not_applicable", "seed"])
def test_the_schema_asks_for_what_it_documents(results: MakeResults, name: str) -> None:
    document = json.loads(json.dumps(report.document(results(), judge(results()))))
    del document[name]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)


def test_files_are_written_and_read_back(results: MakeResults, tmp_path: Path) -> None:
    made = results()
    files = report.write(made, judge(made), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "matrix.html",
        "matrix.json",
        "matrix.junit.xml",
        "matrix.md",
    ]
    assert {path.name for path in files} == {path.name for path in tmp_path.iterdir()}
    assert report.read(tmp_path) is not None
    assert report.read(tmp_path / "elsewhere") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 99}', '{"schema": 1}', "null", "{"])
def test_another_file_of_that_name_is_no_matrix(tmp_path: Path, text: str) -> None:
    (tmp_path / report.JSON).write_text(text)
    with pytest.raises(NotAMatrix):
        report.read(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("outcome", "<img src=x>"),
        ("requests", "many"),
        ("rate", None),
        ("witness", {"kind": 3}),
        ("interval", 5),
        ("reasons", 5),
    ],
)
def test_a_report_with_a_field_of_another_kind_is_none(
    results: MakeResults, tmp_path: Path, name: str, value: object
) -> None:
    made = results()
    document = json.loads(json.dumps(report.document(made, judge(made))))
    document["cells"][1][name] = value
    (tmp_path / report.JSON).write_text(json.dumps(document))
    with pytest.raises(NotAMatrix):
        report.read(tmp_path)


def test_a_later_run_replaces_the_cells_that_it_measured_and_keeps_the_others(
    results: MakeResults, cell: Result, caught: Result
) -> None:
    earlier = results(cell(), caught(), cell(strategy="fixed", outcome="leak"))
    merged = results(cell(strategy="fixed", requests=900), seconds={}).on_top_of(earlier)
    assert list(merged.cells) == ["keep-alive/local", "keep-alive/broken", "keep-alive/fixed"]
    assert merged.cells["keep-alive/fixed"].requests == 900
    assert merged.cells["keep-alive/local"].requests == 400
    assert merged.seconds == {"keep-alive": 2.5}


def test_what_an_earlier_run_left_is_not_forgotten(results: MakeResults) -> None:
    """Contexts belong to no one cell: measuring another one does not make a leak good."""
    earlier = results(contexts={"request": 7}, entries={"app_stack": 1}, unknown=("it had gone",))
    merged = results(contexts={"request": 1, "application": 2}).on_top_of(earlier)
    assert merged.contexts == {"request": 8, "application": 2}
    assert merged.entries == {"app_stack": 1}
    assert merged.unknown == ("it had gone",)
    assert merged.histories == ("history.jsonl.gz", "history.jsonl.gz")
    assert judge(merged).verdict is Verdict.LEAK


@pytest.mark.parametrize(
    "change", [{"settings": {"server": "its own", "floor": 1}}, {"strategies": ("local",)}, {"hazards": {}}]
)
def test_runs_that_were_made_otherwise_are_no_one_matrix(
    results: MakeResults, change: dict[str, object]
) -> None:
    with pytest.raises(NotAMatrix):
        results().on_top_of(results(**change))


def test_the_tables_say_what_came_of_each_cell(results: MakeResults, cell: Result, caught: Result) -> None:
    text = shown(results(cell(), caught(), cell(strategy="fixed", outcome="leak")))
    rows = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if "keep-alive" in line]
    assert rows[0] == ["keep-alive", "holds", "·"]
    assert rows[1][:5] == ["keep-alive", "95 %", "400", "leaks !", "400"]
    assert "verdict: LEAK" in text


def test_a_rate_is_never_rounded_to_none_or_to_all() -> None:
    assert [share(rate) for rate in (0.001, 0.01, 0.5, 0.99, 0.995, 1.0)] == [
        "< 1 %",
        "1 %",
        "50 %",
        "99 %",
        "> 99 %",
        "100 %",
    ]


def test_junit_has_a_case_for_each_cell_and_fails_the_surprises(
    results: MakeResults, cell: Result, caught: Result
) -> None:
    suites = ElementTree.fromstring(report.junit(results(cell(), caught(outcome="isolated"))))
    (suite,) = suites
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    skipped = [case.get("name") for case in suite if case.find("skipped") is not None]
    assert (failed, skipped) == (["broken"], ["context"])


def test_markdown_has_both_tables(results: MakeResults, cell: Result, caught: Result) -> None:
    text = report.markdown(results(cell(), caught(), cell(strategy="fixed", outcome="leak")))
    assert text.splitlines() == [
        "| hazard | local | context | gevent-local |",
        "| --- | --- | --- | --- |",
        "| keep-alive | holds | n/a |  |",
        "",
        "| hazard | broken | fixed | shows |",
        "| --- | --- | --- | --- |",
        "| keep-alive | **95 %** | **leaks** (not as expected) | in what is read |",
    ]


class _Page(HTMLParser):
    """Collects what a page would load, and its scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "data")]


def test_the_page_needs_nothing_else_and_escapes_what_a_server_says(
    results: MakeResults, cell: Result, caught: Result
) -> None:
    hostile = results(
        cell(reasons=(HOSTILE,), outcome="missing"), caught(reasons=(HOSTILE,)), host=f"http://{HOSTILE}"
    )
    text = report.page(hostile, judge(hostile))
    page = _Page()
    page.feed(text)
    assert page.loads == []
    assert "script" not in page.tags
    assert "svg" in page.tags
    assert HOSTILE not in text
    assert "not as expected" in text


def test_a_witness_is_drawn_with_both_lanes_and_every_step(caught: Result) -> None:
    witness = caught().witness
    assert witness is not None
    svg = ElementTree.fromstring(draw(witness, "keep-alive/broken"))
    texts = [each.text for each in svg.iter() if each.text]
    for wanted in ("reader: user 1", "writer: user 2", "wrote first", "switched by sleep", "read", "1.25 ms"):
        assert wanted in texts, wanted
    crossing = [each.tag.rpartition("}")[2] for each in svg.iter() if each.get("class") == "crossing"]
    assert crossing == ["line", "polygon"]


def test_a_witness_is_told_in_a_sentence(caught: Result) -> None:
    witness = dict(caught().witness or {})
    assert in_words(witness) == (
        "User 1 read at checkpoint 1, after it had switched away by sleep, and got u2-7-b,"
        " written by user 2; its own value is u1-3-a."
    )
    assert "nobody in this run" in in_words(witness | {"writer": None})
    assert "before it wrote anything" in in_words(witness | {"checkpoint": 0})
    missing = witness | {"kind": "missing", "value": None, "writer": None}
    assert "got nothing" in in_words(missing)
    assert "an error, RuntimeError: no" in in_words(missing | {"error": "RuntimeError: no"})
    ElementTree.fromstring(draw(missing, "x"))


def test_the_verdict_is_in_the_json_report(results: MakeResults, cell: Result) -> None:
    made = results(cell(outcome="cross-talk"))
    document = report.document(made, judge(made))
    assert (document["verdict"], document["exit_code"]) == (Verdict.CROSS_TALK.value, 10)
