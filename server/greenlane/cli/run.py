"""`greenlane run`: serve the demonstration, or any WSGI application.

Rule: see the package. What an option means is decided here and in the modules
that this one imports; what comes of it, in `greenlane.wsgi` and `greenlane.ops`.
"""

import gc
import os
import resource
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, get_args

import click

from greenlane.cli.behind import behind, proxy_options
from greenlane.cli.limits import limit_options
from greenlane.cli.loading import load
from greenlane.cli.place import Place, place_options
from greenlane.cli.refusal import Refusal
from greenlane.ops import Ops
from greenlane.wsgi import Settings, WSGIServer, serve_until_signal
from greenlane.wsgi.listeners import is_local
from greenlane.wsgi.settings import AccessLog

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

_SPARE_DESCRIPTORS = 128
"""Descriptors kept for what is no connection: the loop, the listener, files, an application's own sockets."""

_FOR_PROBES = 640
"""Likewise for the demonstration, whose probes open pairs of sockets too."""

_COLLECT_AFTER = (50_000, 20, 100)
"""When the garbage collector looks at each generation; Python's own are 700 (2,000), 10 and 10.

It looks at all that is alive, and with thousands of requests in flight that is millions of
objects, none of them garbage: with 11,000 in flight it took two fifths of the server's time.
"""

_NEXT_STEPS = """\

  the page         {url}/
  one request      curl '{url}/probe/local?nonce=a&hops=3'
  the strategies   curl {url}/probe/
  your own rows    {url}/notes
  the figures      curl {url}/metrics
  the proof        make loadtest, in another terminal
  the end          Ctrl-C: finishes the requests that have begun, and stops"""


@click.command(short_help="Serve the demonstration, or any WSGI application.")
@click.argument("target", metavar="[MODULE:APP]", required=False)
@place_options
@proxy_options
@click.option(
    "--ops", "with_ops", is_flag=True, help="Answer /metrics, /healthz and /live before MODULE:APP."
)
@click.option("--allow-remote", is_flag=True, help="Let the demonstration listen beyond this machine.")
@click.option(
    "--access-log",
    type=click.Choice(get_args(AccessLog)),
    help="A line for each request on stderr.  [default: common for MODULE:APP, off for the demonstration]",
)
@limit_options
def run(
    target: str | None,
    with_ops: bool,
    allow_remote: bool,
    access_log: AccessLog | None,
    trusted_proxies: tuple[str, ...],
    forwarded: tuple[str, ...],
    max_connections: int,
    **options: Any,
) -> None:
    """Serve MODULE:APP, or the demonstration when there is none.

    MODULE:APP names any WSGI application, such as "myapp:app"; "myapp" alone means its
    "app" or its "application". The current directory is searched first. The standard
    library is monkey-patched before MODULE is imported.

    Times are in seconds; sizes in bytes, or as 64K, 10M, 1G.

    SIGTERM and Ctrl-C drain: no new connections, idle ones close, and every request whose
    first byte was read is finished. The exit code is 0 when all of them were, 1 when
    --drain-timeout cut some off; a second signal stops at once with 130.
    """
    place = Place(**{name: options.pop(name) for name in Place.__dataclass_fields__})
    may_be_remote = target is not None or allow_remote
    if place.known_to_be_remote and not may_be_remote:
        raise _demonstration_stays_here(place.host)
    settings = Settings(
        max_connections=_room_for(max_connections, _SPARE_DESCRIPTORS if target else _FOR_PROBES),
        access_log=access_log or ("off" if target is None else "common"),
        **options,
    )
    tls = place.context()
    inner = _demonstration() if target is None else load(target)
    if with_ops and target is not None:
        inner = Ops(inner)
    application = behind(inner, trusted_proxies, forwarded)
    with place.listening(settings.backlog) as listener:
        if not (may_be_remote or is_local(listener)):  # an inherited one
            raise _demonstration_stays_here(place.say(listener))
        server = WSGIServer(listener, application, settings=settings, tls=tls)
        if isinstance(inner, Ops):
            inner.attach(server)
        _settle_the_collector()
        server.start()
        where = place.say(listener)
        code = serve_until_signal(
            server,
            on_ready=lambda: _say_ready(where, target),
            on_drain=lambda: _say_draining(server),
        )
    with suppress(OSError):
        click.echo("greenlane: stopped" + (", and cut off what had not finished" if code else ""), err=True)
    sys.exit(code)


def _demonstration_stays_here(where: str) -> Refusal:
    return Refusal(
        f"the demonstration holds strategies that are broken on purpose: "
        f"it listens on {where} only with --allow-remote",
        exit_code=2,
    )


def _settle_the_collector() -> None:
    """Have the garbage collector leave alone what start-up has made, which stays, and look less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


def _room_for(connections: int, spare: int) -> int:
    """How many of `connections` the process may open, once its limit of open files is raised as needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + spare
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    goal = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with suppress(OSError, ValueError):  # macOS has a lower limit of its own behind "unlimited"
        resource.setrlimit(resource.RLIMIT_NOFILE, (goal, hard))
        soft = goal
    room = max(1, min(connections, soft - spare))
    if room < connections:
        click.echo(f"greenlane: at most {room} connections: the limit of open files is {soft}", err=True)
    return room


def _demonstration() -> "WSGIApplication":
    # Not at the top: another application does not need it.
    from greenlane.demo import NoDatabase, create_demo

    try:
        return create_demo()
    except NoDatabase as error:
        raise Refusal(str(error), exit_code=1) from None


def _say_ready(where: str, target: str | None) -> None:
    click.echo(f"Greenlane serves {target or 'the demonstration'} on {where}")
    if target is None:
        if where.startswith("http"):
            click.echo(_NEXT_STEPS.format(url=where))
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
