"""Which proxies `greenlane run` stands behind, and what they are believed.

Rule: see the package. What is done with it stands in `greenlane.ops.proxies`.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from greenlane.ops.proxies import FORWARDED, TrustedProxies

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--trusted-proxy",
        "trusted_proxies",
        metavar="ADDRESS[/BITS]|unix",
        multiple=True,
        help="Believe this proxy's X-Forwarded headers; may be repeated. From others they are removed.",
    ),
    click.option(
        "--forwarded",
        metavar="NAME[=N]",
        multiple=True,
        help=f"A header that the trusted proxies set ({', '.join(FORWARDED)}), and how many in a row do; "
        "may be repeated.  [default: for=1, proto=1]",
    ),
)


def proxy_options(command: _Command) -> _Command:
    """Give `command` the options `trusted_proxies` and `forwarded`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def behind(
    application: "WSGIApplication", trusted_proxies: Sequence[str], forwarded: Sequence[str]
) -> "WSGIApplication":
    """Let the named proxies, and nobody else, say whom they speak for.

    Raises:
        click.UsageError: what was given is no address, or no header's name and count.

    """
    if forwarded and not trusted_proxies:
        raise click.UsageError("--forwarded needs --trusted-proxy.")
    counts = dict(map(_count, forwarded)) or None
    try:
        return TrustedProxies(application, trusted=trusted_proxies, counts=counts)
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="'--trusted-proxy'") from None


def _count(forwarded: str) -> tuple[str, int]:
    name, equals, number = forwarded.partition("=")
    if name not in FORWARDED or (equals and not (number.isascii() and number.isdigit() and len(number) < 4)):
        raise click.BadParameter(
            f"{forwarded!r} is not NAME[=N], where NAME is one of {', '.join(FORWARDED)}.",
            param_hint="'--forwarded'",
        )
    return name, int(number) if equals else 1
