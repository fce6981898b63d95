"""How a command ends that cannot go on: in a line and an exit code, and never in a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from crosstalk.interrupts import INTERRUPTED
from crosstalk.preflight import CANNOT_RUN


@contextmanager
def told_in_a_line(*errors: type[Exception]) -> Iterator[None]:
    """End the program with a line on standard error where the block is interrupted or raises ``errors``.

    Args:
        errors: those whose message is for people: nothing could be measured.

    """
    try:
        yield
    except errors as error:
        click.secho(f"crosstalk: {error}", fg="red", err=True)
        sys.exit(CANNOT_RUN)
    except KeyboardInterrupt:
        click.echo("crosstalk: interrupted, no verdict", err=True)
        sys.exit(INTERRUPTED)
