"""What is found out before minutes of load and not after them."""

import os
import resource
from contextlib import suppress
from pathlib import Path

import click

CANNOT_RUN = 14
"""The exit code when nothing could be measured."""

SPARE_DESCRIPTORS = 300
"""Open files beside one connection for each user: Python's, Locust's, and the controls' connections."""


def check_writable(folder: Path, option: str) -> None:
    """Make ``folder``, and see that there is a place in it for what is to be written.

    Raises:
        click.BadParameter: there is none.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.BadParameter(str(error), param_hint=option) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise click.BadParameter(f"cannot write into {folder}", param_hint=option)


def check_descriptors(users: int) -> None:
    """Raise the limit of open files as far as it goes, and see that each user may have a connection.

    Raises:
        click.BadParameter: there are too many users for that.

    """
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = soft - SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and users > most:
        raise click.BadParameter(f"at most {most:,} with {soft:,} open files allowed", param_hint="--users")
