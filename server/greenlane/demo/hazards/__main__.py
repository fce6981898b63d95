"""``python -m greenlane.demo.hazards DOCS`` writes the page about the hazards into that folder."""

import sys
from pathlib import Path

from greenlane.demo.hazards.document import write

if __name__ == "__main__":
    write(Path(sys.argv[1]))
