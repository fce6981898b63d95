"""What a server says commands no terminal, and breaks no document."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as some

from crosstalk.text import printable, printable_all


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("caf\u00e9 \u2713", "caf\u00e9 \u2713"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("two\nlines", "two\\x0alines"),
        ("half \ud800", "half \\ud800"),
        ("back\u202ewards", "back\\u202ewards"),
    ],
)
def test_what_is_not_to_be_shown_is_told_by_its_code(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(some.text(alphabet=some.characters(exclude_categories=())))
def test_any_text_goes_into_a_file_a_line_and_xml(text: str) -> None:
    shown = printable(text)
    assert len(shown.encode().splitlines()) <= 1
    element = ElementTree.Element("a", b=shown)
    element.text = shown
    back = ElementTree.fromstring(ElementTree.tostring(element))
    assert (back.text or "", back.get("b")) == (shown, shown)


def test_every_text_of_a_document_is_made_printable() -> None:
    document = {"a\n": ["\x00", ("\x01", 1, None, 2.5, True)]}
    assert printable_all(document) == {"a\\x0a": ["\\x00", ("\\x01", 1, None, 2.5, True)]}
