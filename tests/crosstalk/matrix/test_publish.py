"""The README shows the matrix that docs/matrix.json has, and nothing else of it changes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from crosstalk.matrix.publish import BEGIN, END, published
from crosstalk.matrix.report import markdown
from crosstalk.matrix.results import Results

ROOT = Path(__file__).parents[3]

MakeResults = Callable[..., Results]


def test_the_tables_go_between_the_marks(results: MakeResults) -> None:
    made = results()
    text = published(f"before\n{BEGIN}old\n{END}after\n", made)
    assert text == f"before\n{BEGIN}\n{markdown(made)}\n{END}after\n"
    assert published(text, made) == text


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}{BEGIN}"])
def test_without_marks_nothing_is_published(results: MakeResults, text: str) -> None:
    with pytest.raises(ValueError, match="there is no"):
        published(text, results())


def test_the_readme_shows_the_matrix_that_was_measured() -> None:
    measured = Results.from_document(json.loads((ROOT / "docs" / "matrix.json").read_text()))
    readme = (ROOT / "README.md").read_text()
    assert published(readme, measured) == readme, "make pictures puts docs/matrix.json into README.md"
    assert not [cell.key for cell in measured.cells.values() if cell.surprising]
