"""Where `greenlane run` listens, and whether it speaks TLS there.

Rule: see the package. The options are read here; the sockets and contexts are
made in `greenlane.wsgi.listeners` and `greenlane.wsgi.tls`.
"""

import errno
import ipaddress
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from greenlane.cli.refusal import Refusal
from greenlane.wsgi.listeners import (
    CannotListenError,
    activated,
    describe,
    inherited,
    listen_tcp,
    listening_unix,
)
from greenlane.wsgi.tls import TLSFilesError, server_context

if TYPE_CHECKING:
    from gevent import socket, ssl

_Command = TypeVar("_Command", bound=Callable[..., Any])

PASSWORD_VARIABLE = "KEYFILE_PASSWORD"  # noqa: S105 - the name of one
"""Where the password of an encrypted key is read: a command line is shown to every user of a machine."""

_HINTS = {
    errno.EADDRINUSE: ": choose another with --port, or --port 0 for a free one",
    errno.EACCES: ": choose one from 1024 up with --port",
}

_WAYS = (("--host", "host"), ("--port", "port")), (("--unix", "unix"),), (("--fd", "fd"),)
"""The three ways to name a place: each excludes the others."""


class _Mode(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """Permissions, as chmod takes them: 660."""

    name = "mode"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if not re.fullmatch(r"0?[0-7]{3}", value, re.ASCII):
            self.fail(f"{value!r} is not a mode such as 660.", param, ctx)
        return int(value, 8)


class _Descriptor(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """The number of an open descriptor, or `systemd`."""

    name = "descriptor"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if value == "systemd":
            return "systemd"
        if not re.fullmatch(r"\d{1,9}", str(value), re.ASCII):
            self.fail(f"{value!r} is neither a descriptor's number nor systemd.", param, ctx)
        return int(value)


_OPTIONS = (
    click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
    click.option(
        "--port",
        type=click.IntRange(0, 65_535),
        default=8000,
        show_default=True,
        help="Port; 0 takes a free one.",
    ),
    click.option("--unix", metavar="PATH", help="Listen on a Unix socket instead."),
    click.option(
        "--unix-mode",
        type=_Mode(),
        default=0o660,
        help="Permissions of the Unix socket: who may connect.  [default: 660]",
    ),
    click.option(
        "--fd",
        type=_Descriptor(),
        metavar="N|systemd",
        help="Take over a socket that listens: a descriptor's number, or what a systemd socket unit passes.",
    ),
    click.option(
        "--certfile", metavar="PATH", help="Serve TLS with this certificate (PEM, its issuers behind it)."
    ),
    click.option(
        "--keyfile",
        metavar="PATH",
        help=f"The certificate's key (PEM), unless it is in CERTFILE; its password is ${PASSWORD_VARIABLE}.",
    ),
)


def place_options(command: _Command) -> _Command:
    """Give `command` the options that a `Place` is made of."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, kw_only=True)
class Place:
    """What the options say, once they are known not to contradict each other.

    Raises:
        click.UsageError: they do.

    """

    host: str
    port: int
    unix: str | None
    unix_mode: int
    fd: int | str | None
    certfile: str | None
    keyfile: str | None

    def __post_init__(self) -> None:
        context = click.get_current_context()

        def given(name: str) -> bool:
            return context.get_parameter_source(name) is ParameterSource.COMMANDLINE

        ways = [[flag for flag, name in way if given(name)] for way in _WAYS]
        chosen = [way[0] for way in ways if way]
        if len(chosen) > 1:
            raise click.UsageError(f"{' and '.join(chosen)} exclude each other: they are places to listen.")
        if given("unix_mode") and self.unix is None:
            raise click.UsageError("--unix-mode needs --unix.")
        if self.keyfile is not None and self.certfile is None:
            raise click.UsageError("--keyfile needs --certfile.")

    @property
    def known_to_be_remote(self) -> bool:
        """Whether the options alone say that others than this machine can connect."""
        return self.unix is None and self.fd is None and not _is_loopback(self.host)

    def context(self) -> "ssl.SSLContext | None":
        """The TLS context; None without a certificate.

        Raises:
            Refusal: the files cannot be used.

        """
        if self.certfile is None:
            return None
        try:
            return server_context(self.certfile, self.keyfile, password=os.environ.get(PASSWORD_VARIABLE))
        except TLSFilesError as error:
            missing = f" in {PASSWORD_VARIABLE}" if PASSWORD_VARIABLE not in os.environ else ""
            hint = missing if str(error).endswith("no password was given") else ""
            raise Refusal(f"{error}{hint}", exit_code=1) from None

    @contextmanager
    def listening(self, backlog: int) -> "Iterator[socket.socket]":
        """Listen there; a Unix socket is removed at the end.

        Raises:
            Refusal: it is not possible.

        """
        with ExitStack() as stack:
            try:
                listener = stack.enter_context(self._listener(backlog))
            except CannotListenError as error:
                by_address = self.unix is None and self.fd is None
                hint = _HINTS.get(error.errno or 0, "") if by_address else ""
                raise Refusal(f"{error}{hint}", exit_code=1) from None
            yield listener

    def say(self, listener: "socket.socket") -> str:
        """Where it serves, as a user may reach it."""
        return describe(
            listener, host=self.host if self.fd is None else None, secure=self.certfile is not None
        )

    def _listener(self, backlog: int) -> "AbstractContextManager[socket.socket]":
        if self.unix is not None:
            return listening_unix(self.unix, mode=self.unix_mode, backlog=backlog)
        if self.fd is None:
            return closing(listen_tcp(self.host, self.port, backlog=backlog))
        return closing(activated() if self.fd == "systemd" else inherited(int(self.fd)))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
