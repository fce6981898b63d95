"""What the documents show as Python runs, and what they refer to is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])

_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


@pytest.mark.parametrize("name", ["locals.md", "interleave.md"])
def test_the_examples_of_a_document_run_from_top_to_bottom(name: str) -> None:
    path = ROOT / "docs" / name
    blocks = _BLOCK.findall(path.read_text())
    assert blocks
    names: dict[str, object] = {"__name__": "example"}
    for block in blocks:
        exec(compile(block, str(path), "exec"), names)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in _LINK.findall(path.read_text()):
        assert (path.parent / target).exists(), f"{path.name} links to {target}, which is not there"
