"""Options that more than one command has, each told once."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import click

Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]


def host_option(help: str) -> Decorator:  # noqa: A002 - click's word
    """Return the option for the server that is given, told by ``help``; otherwise one is started."""
    return click.option(
        "--host",
        metavar="URL",
        help=f"{help} By default one is started on a free port and stopped again.",
    )


def users_option(least: int, most: int | None, default: int, help: str) -> Decorator:  # noqa: A002 - likewise
    """Return the option for how many users there are at once, between two bounds."""
    return click.option(
        "--users", type=click.IntRange(least, most), default=default, show_default=True, help=help
    )


def floor_option(default: int, of: str) -> Decorator:
    """Return the option for the least number of complete requests for each ``of``."""
    return click.option(
        "--min-requests",
        "floor",
        type=click.IntRange(1),
        default=default,
        show_default=True,
        help=f"The floor: complete requests for each {of}.",
    )


counts_option: Decorator = click.option(
    "--counts",
    multiple=True,
    metavar="URL",
    help="Where the servers behind a balancer are counted, such as http://server:8000: each address that "
    "the name has is one server (may be repeated). By default --host.",
)

seed_option: Decorator = click.option(
    "--seed",
    type=click.IntRange(0),
    default=lambda: secrets.randbits(32),
    help="Makes nonces and draws repeatable. By default a random one.",
)


def hops_option(default: int, most: int = 64) -> Decorator:
    """Return the option for the switches in a request, which may be up to ``most``."""
    return click.option(
        "--hops",
        type=click.IntRange(1, most),
        default=default,
        show_default=True,
        help="Switches in each request, each followed by a checkpoint.",
    )


def pause_option(default: int, least: int = 0) -> Decorator:
    """Return the option for the length of a switch, which may be as short as ``least``."""
    return click.option(
        "--pause",
        type=click.IntRange(least, 1000),
        default=default,
        show_default=True,
        metavar="MS",
        help="How long each switch waits, in milliseconds.",
    )


def report_option(writes: str) -> Decorator:
    """Return the option for the report's folder, which ``writes`` are written into."""
    return click.option(
        "--report",
        "folder",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help=f"Write {writes} into DIR.",
    )
