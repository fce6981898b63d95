"""A history that is being written, or the reason why there can be none."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crosstalk.checker import Header
from crosstalk.history import HistoryFile
from crosstalk.site import CannotRun


@contextmanager
def writing(path: Path, header: Header) -> Iterator[HistoryFile]:
    """Write a history to ``path`` while the block runs.

    Raises:
        CannotRun: the file cannot be made.

    """
    try:
        file = HistoryFile(path, header)
    except OSError as error:
        raise CannotRun(f"the history cannot be written: {error}") from None
    with file:
        yield file


def check_written(file: HistoryFile) -> None:
    """See that all has been written so far: what is judged is what is in the file.

    Raises:
        CannotRun: it was not.

    """
    if file.error is not None:
        raise CannotRun(f"the history cannot be written: {file.error}")
