"""A matrix in files: a page that needs nothing else, JSON with a schema, Markdown, and JUnit's XML for CI."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateError

from crosstalk.checker import Finding, Outcome
from crosstalk.files import write_whole
from crosstalk.matrix.listing import VARIANTS
from crosstalk.matrix.results import NotAMatrix, Results
from crosstalk.matrix.show import mark
from crosstalk.matrix.timeline import draw, in_words
from crosstalk.matrix.verdict import judge

JSON = "matrix.json"

_PAGES = Environment(
    loader=PackageLoader("crosstalk.matrix"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def document(results: Results, finding: Finding) -> dict[str, Any]:
    """Return the JSON report: docs/matrix.schema.json tells what is in it."""
    return {
        "verdict": finding.verdict.value,
        "exit_code": finding.verdict.exit_code,
        "reasons": list(finding.reasons),
        **results.as_document(),
    }


def page(results: Results, finding: Finding) -> str:
    """Return the page."""
    return _PAGES.get_template("matrix.html").render(
        results=results,
        finding=finding,
        requests=sum(cell.requests for cell in results.cells.values()),
        mark=mark,
        draw=draw,
        in_words=in_words,
    )


def markdown(results: Results) -> str:
    """Return the two tables in Markdown, for a README or the summary of a CI run."""
    strategies = [
        [name, *(_word(results, f"{name}/{strategy}") for strategy in results.strategies)]
        for name, hazard in results.hazards.items()
        if hazard["strategies"]
    ]
    variants = [
        [
            name,
            *(_word(results, f"{name}/{variant}") for variant in VARIANTS),
            str(results.hazards[name]["shows"]),
        ]
        for name in results.hazards
    ]
    return "\n".join(
        (
            *_rows(["hazard", *results.strategies], strategies),
            "",
            *_rows(["hazard", *VARIANTS, "shows"], variants),
            "",
        )
    )


def _word(results: Results, key: str) -> str:
    cell = results.cells.get(key)
    if cell is None:
        return "n/a" if key in results.not_applicable else ""
    word = mark(cell)
    if cell.surprising:
        return f"**{word}** (not as expected)"
    return word if cell.outcome == Outcome.ISOLATED.value else f"**{word}**"


def _rows(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in (headings, ["---"] * len(headings), *rows):
        yield f"| {' | '.join(text.replace('|', chr(92) + '|') for text in row)} |"


def junit(results: Results) -> str:
    """Return the cells as JUnit's test cases: a suite for each hazard, a failure for each surprise."""
    suites = ElementTree.Element("testsuites", name="crosstalk matrix")
    for hazard in results.hazards:
        cells = [cell for cell in results.cells.values() if cell.hazard == hazard]
        skipped = {key: why for key, why in results.not_applicable.items() if key.partition("/")[0] == hazard}
        suite = ElementTree.SubElement(
            suites,
            "testsuite",
            name=hazard,
            tests=str(len(cells) + len(skipped)),
            failures=str(sum(cell.surprising for cell in cells)),
            skipped=str(len(skipped)),
            errors="0",
            time=str(results.seconds.get(hazard, 0)),
        )
        for cell in cells:
            case = ElementTree.SubElement(suite, "testcase", classname=hazard, name=cell.strategy)
            if cell.surprising:
                message = f"{cell.outcome}, not {' or '.join(cell.expected)}"
                ElementTree.SubElement(case, "failure", message=message).text = "\n".join(cell.reasons)
        for key, reason in skipped.items():
            case = ElementTree.SubElement(suite, "testcase", classname=hazard, name=key.partition("/")[2])
            ElementTree.SubElement(case, "skipped", message=reason)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def read(folder: Path) -> Results | None:
    """Return the results of the report that is in ``folder``; None when there is none.

    Raises:
        NotAMatrix: there is a file of that name, but no report.
        OSError: it cannot be read.

    """
    try:
        text = (folder / JSON).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        found = Results.from_document(json.loads(text))
        _texts(found, judge(found))  # what can be written once more has no field of another kind
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, TemplateError) as error:
        raise NotAMatrix(f"it is no report: {error}") from None
    return found


def _texts(results: Results, finding: Finding) -> dict[str, str]:
    return {
        JSON: json.dumps(document(results, finding), indent=2) + "\n",
        "matrix.html": page(results, finding),
        "matrix.md": markdown(results),
        "matrix.junit.xml": junit(results),
    }


def write(results: Results, finding: Finding, folder: Path) -> list[Path]:
    """Write the files into ``folder`` and return them; none is ever half there.

    Raises:
        OSError: the folder cannot be made or written.

    """
    folder.mkdir(parents=True, exist_ok=True)
    return [write_whole(folder / name, text) for name, text in _texts(results, finding).items()]
