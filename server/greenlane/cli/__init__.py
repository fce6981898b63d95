"""The command line: `greenlane run` and `greenlane tour`.

Rule: whatever goes wrong is one clear line on stderr and an exit code (1 when
it could not run, 2 when it was asked for wrongly), never a traceback of ours.
Imported by `greenlane.__main__` only, after monkey-patching.
"""

import click

from greenlane import __version__
from greenlane.cli.run import run
from greenlane.cli.tour import tour

__all__ = ["cli"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="greenlane")
def cli() -> None:
    """Greenlane: a gevent WSGI server that keeps every request in its own lane."""


cli.add_command(run)
cli.add_command(tour)
