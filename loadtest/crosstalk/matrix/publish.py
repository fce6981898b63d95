"""Puts a measured matrix into the README, between two marks: ``python -m crosstalk.matrix.publish``.

For maintainers: ``make pictures`` calls it with docs/matrix.json, which a report is copied to.
Nothing here imports Locust.
"""

import json
import sys
from pathlib import Path

from crosstalk.files import write_whole
from crosstalk.matrix.report import markdown
from crosstalk.matrix.results import Results

BEGIN, END = "<!-- matrix: begin -->\n", "<!-- matrix: end -->\n"


def published(readme: str, results: Results) -> str:
    """Return ``readme`` with the tables of ``results`` between the marks.

    Raises:
        ValueError: the marks are not there.

    """
    before, _begin, rest = readme.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"there is no {BEGIN.strip()} with an {END.strip()} behind it")
    return f"{before}{BEGIN}\n{markdown(results)}\n{end}{after}"


def main(readme: Path, matrix: Path) -> None:
    """Write the tables of the report ``matrix`` into ``readme``."""
    results = Results.from_document(json.loads(matrix.read_text(encoding="utf-8")))
    write_whole(readme, published(readme.read_text(encoding="utf-8"), results))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
