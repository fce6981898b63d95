"""How the command line says no.

Rule: see the package. Imports nothing of ours.
"""

import sys
from typing import IO, Any

import click


class Refusal(click.ClickException):
    """One line on stderr and an exit code, without click's usage lines before it.

    Args:
        message: what is wrong, and where it can be said what to do.
        exit_code: 1 when it could not run, 2 when it was asked for wrongly.

    """

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click has one for each class

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the line."""
        click.echo(f"greenlane: {self.format_message()}", file=file or sys.stderr)
