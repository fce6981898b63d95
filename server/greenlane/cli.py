"""The command line: `greenlane run` and `greenlane tour`.

Rule: whatever goes wrong is one clear line on stderr and an exit code (1 when
it could not run, 2 when it was asked for wrongly), never a traceback of ours.
Imported by `greenlane.__main__` only, after monkey-patching.
"""

import errno
import importlib
import ipaddress
import math
import os
import resource
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import click

from greenlane import __version__
from greenlane.ops import Ops
from greenlane.wsgi import Settings, WSGIServer, serve_until_signal

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

_DEFAULTS = Settings()

_SPARE_DESCRIPTORS = 128
"""Descriptors kept for what is no connection: the loop, the listener, files, an application's own sockets."""

_NEXT_STEPS = """\

  the page         {url}/
  one request      curl '{url}/probe/local?nonce=a&hops=3'
  the strategies   curl {url}/probe/
  your own rows    {url}/notes
  the figures      curl {url}/metrics
  the proof        make loadtest, in another terminal
  the end          Ctrl-C: finishes the requests that have begun, and stops"""


class _Refusal(click.ClickException):
    """One line on stderr and an exit code, without click's usage lines before it."""

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click has one for each class

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"greenlane: {self.format_message()}", file=file or sys.stderr)


class _Seconds(click.FloatRange):
    """A time; "nan" and "inf" are numbers too, and no time to wait."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return seconds


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="greenlane")
def cli() -> None:
    """Greenlane: a gevent WSGI server that keeps every request in its own lane."""


@cli.command(short_help="Serve the demonstration, or any WSGI application.")
@click.argument("target", metavar="[MODULE:APP]", required=False)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8000,
    show_default=True,
    help="Port; 0 takes a free one.",
)
@click.option("--ops", "with_ops", is_flag=True, help="Answer /metrics and /healthz in front of MODULE:APP.")
@click.option("--allow-remote", is_flag=True, help="Let the demonstration listen beyond this machine.")
@click.option(
    "--access-log/--no-access-log",
    default=None,
    help="A line for each request on stderr.  [default: on for MODULE:APP, off for the demonstration]",
)
@click.option(
    "--max-connections",
    type=click.IntRange(min=1),
    default=_DEFAULTS.max_connections,
    show_default=True,
    help="Connections served at once; more wait.",
)
@click.option(
    "--backlog",
    type=click.IntRange(min=1),
    default=_DEFAULTS.backlog,
    show_default=True,
    help="Connections the kernel may hold until they are accepted.",
)
@click.option(
    "--keep-alive",
    type=_Seconds(min=0, min_open=True),
    default=_DEFAULTS.keep_alive,
    show_default=True,
    help="Seconds a connection may be idle.",
)
@click.option(
    "--drain-timeout",
    type=_Seconds(min=0),
    default=_DEFAULTS.drain_timeout,
    show_default=True,
    help="Seconds that requests may take to finish after SIGTERM or Ctrl-C.",
)
def run(
    target: str | None,
    host: str,
    port: int,
    with_ops: bool,
    allow_remote: bool,
    access_log: bool | None,
    max_connections: int,
    backlog: int,
    keep_alive: float,
    drain_timeout: float,
) -> None:
    """Serve MODULE:APP, or the demonstration when there is none.

    MODULE:APP names any WSGI application, such as "myapp:app"; "myapp" alone means its
    "app" or its "application". The current directory is searched first. The standard
    library is monkey-patched before MODULE is imported.

    SIGTERM and Ctrl-C drain: no new connections, idle ones close, and every request whose
    first byte was read is finished. The exit code is 0 when all of them were, 1 when
    --drain-timeout cut some off; a second signal stops at once with 130.
    """
    if target is None and not (allow_remote or _is_loopback(host)):
        raise _Refusal(
            f"the demonstration holds strategies that are broken on purpose: "
            f"it listens on {host} only with --allow-remote",
            exit_code=2,
        )
    settings = Settings(
        max_connections=_room_for(max_connections),
        backlog=backlog,
        keep_alive=keep_alive,
        drain_timeout=drain_timeout,
        access_log=target is not None if access_log is None else access_log,
    )
    application = _demonstration() if target is None else _load(target)
    if with_ops and target is not None:
        application = Ops(application)
    server = WSGIServer((host, port), application, settings=settings)
    if isinstance(application, Ops):
        application.attach(server)
    _start(server, host, port)
    code = serve_until_signal(
        server,
        on_ready=lambda: _say_ready(server, host, target),
        on_drain=lambda: _say_draining(server),
    )
    with suppress(OSError):
        click.echo("greenlane: stopped" + (", and cut off what had not finished" if code else ""), err=True)
    sys.exit(code)


@cli.command(short_help="See why request data gets mixed up, and what keeps it apart.")
@click.option(
    "--chapter", "numbers", type=int, multiple=True, metavar="N", help="Only this one; may be repeated."
)
@click.option("--list", "only_list", is_flag=True, help="List the chapters, and run none.")
def tour(numbers: tuple[int, ...], only_list: bool) -> None:
    """See why request data gets mixed up, and what keeps it apart.

    Each chapter shows a piece of code, runs it, and shows what came out and why. The exit
    code is 0 when everything came out as expected, 1 when something did not, and 130
    after Ctrl-C.
    """
    try:
        # Not at the top: the server needs none of it.
        from greenlane.demo.tour import CHAPTERS, visit

        listed = "\n".join(f"{number:3}  {chapter.title}" for number, chapter in CHAPTERS.items())
        for number in numbers:
            if number not in CHAPTERS:
                raise click.UsageError(f"There is no chapter {number}. There are:\n{listed}")
        if only_list:
            click.echo(listed)
        else:
            sys.exit(visit({number: CHAPTERS[number] for number in sorted(set(numbers) or CHAPTERS)}))
    except KeyboardInterrupt:  # importing takes long enough to change one's mind
        sys.exit(130)
    except OSError as error:
        raise _Refusal(f"cannot write: {error.strerror or error}", exit_code=1) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _room_for(connections: int) -> int:
    """How many of `connections` the process may open, once its limit of open files is raised as needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _SPARE_DESCRIPTORS
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    goal = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with suppress(OSError, ValueError):  # macOS has a lower limit of its own behind "unlimited"
        resource.setrlimit(resource.RLIMIT_NOFILE, (goal, hard))
        soft = goal
    room = max(1, min(connections, soft - _SPARE_DESCRIPTORS))
    if room < connections:
        click.echo(f"greenlane: at most {room} connections: the limit of open files is {soft}", err=True)
    return room


def _demonstration() -> Ops:
    # Not at the top: another application does not need it.
    from greenlane.demo import NoDatabase, create_demo

    try:
        return create_demo()
    except NoDatabase as error:
        raise _Refusal(str(error), exit_code=1) from None


def _load(target: str) -> "WSGIApplication":
    """Import MODULE and find APP in it."""
    module_name, colon, attribute = target.partition(":")
    if not all(part.isidentifier() for part in module_name.split(".")) or (colon and not attribute):
        raise _Refusal(f"{target!r} is not MODULE:APP, such as myapp:app", exit_code=2)
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}."):
            raise _Refusal(f"there is no module {error.name!r} here or installed", exit_code=2) from None
        _print_cause(error)
        raise _Refusal(
            f"importing {module_name!r} failed: {type(error).__name__}: {error}", exit_code=1
        ) from None
    names = (attribute,) if colon else ("app", "application")
    for name in names:
        application = getattr(module, name, None)
        if callable(application):
            return cast("WSGIApplication", application)
        if application is not None:
            raise _Refusal(f"{module_name}:{name} cannot be called: {application!r}", exit_code=2)
    raise _Refusal(f"the module {module_name!r} has no {' or '.join(map(repr, names))}", exit_code=2)


def _print_cause(error: Exception) -> None:
    """Show the traceback from the developer's own code on, without ours and the import system's."""
    frames = error.__traceback__
    while frames is not None and _is_machinery(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    traceback.print_exception(type(error), error, frames)


def _is_machinery(filename: str) -> bool:
    return filename in (__file__, importlib.__file__) or filename.startswith("<frozen importlib")


def _start(server: WSGIServer, host: str, port: int) -> None:
    try:
        server.start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = (
                f"port {port} is in use on {host}: choose another with --port, or --port 0 for a free one"
            )
        elif error.errno == errno.EACCES:
            reason = f"port {port} needs privileges: choose one from 1024 up with --port"
        else:
            reason = f"cannot listen on {host}, port {port}: {error.strerror or error}"
        raise _Refusal(reason, exit_code=1) from None


def _say_ready(server: WSGIServer, host: str, target: str | None) -> None:
    url = f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}"
    click.echo(f"Greenlane serves {target or 'the demonstration'} on {url}")
    if target is None:
        click.echo(_NEXT_STEPS.format(url=url))
        if "SECRET_KEY" not in os.environ:
            click.echo("SECRET_KEY is not set: a random one signs the sessions, and ends with this process.")
        if not os.environ.get("DATABASE_URL"):
            click.echo("DATABASE_URL is not set: a temporary file keeps the notes, until this process ends.")
    sys.stdout.flush()


def _say_draining(server: WSGIServer) -> None:
    with suppress(OSError):  # nobody reads stderr any more: no reason to lose a request
        click.echo(
            f"greenlane: stopping: {server.busy} requests to finish, "
            f"within {server.settings.drain_timeout:g} s (once more: at once)",
            err=True,
        )
