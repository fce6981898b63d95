"""Servers for the hazards that need one beside the demonstration: started for a block, ended with it.

Processes of their own are told by their command alone: nothing here imports ``greenlane``.
"""

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from crosstalk.matrix import raw
from crosstalk.matrix.caching_proxy import caching
from crosstalk.matrix.inprocess import serving
from crosstalk.matrix.selftest import Echo
from crosstalk.server import STARTING, started
from crosstalk.site import CannotRun

PROGRAM = "greenlane.demo.hazards.late_patch:app"

ProxyKind = Literal["own", "nginx"]


@contextmanager
def late_patch(variant: str) -> Iterator[str]:
    """Run gunicorn with one gevent worker, and give its address.

    Args:
        variant: ``broken``: with ``--preload``, which imports the program before the worker
            patches; ``fixed``: without.

    Raises:
        CannotRun: it did not start; the message has what it said.

    """
    command = [
        # Not what stands in ./gunicorn.conf.py, which may patch, or not.
        *(sys.executable, "-m", "gunicorn", "--config", os.devnull, "--bind", "127.0.0.1:0"),
        *("--worker-class", "gevent", "--workers", "1", "--worker-connections", "4000"),
        *("--keep-alive", "60", "--graceful-timeout", "5", "--no-control-socket"),
        *(["--preload"] if variant == "broken" else []),
        PROGRAM,
    ]
    environ = {name: value for name, value in os.environ.items() if name != "GUNICORN_CMD_ARGS"}
    with started(command, environ=environ) as address:
        _wait_for_the_worker(address)
        yield address


def _wait_for_the_worker(address: str) -> None:
    """Ask for anything: gunicorn listens before its worker has booted, or has failed to."""
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or 80
    try:
        raw.pipelined(host, port, [raw.get(host, "/", "")], timeout=STARTING)
    except (OSError, raw.BrokenOff) as error:
        raise CannotRun(f"gunicorn's worker does not answer: {error}") from None


@contextmanager
def desync(variant: str) -> Iterator[str]:
    """Run a server that leaves bodies unread (``broken``), or Greenlane's (``fixed``), and give its address.

    Raises:
        CannotRun: it did not start; the message has what it said.

    """
    with started([sys.executable, "-m", "greenlane.demo.hazards.desync_server", variant]) as address:
        yield address


@contextmanager
def caching_proxy(upstream: str, kind: ProxyKind = "own") -> Iterator[str]:
    """Put a caching proxy before ``upstream``, and give the proxy's address.

    Args:
        upstream: a server's address, such as ``http://127.0.0.1:8000``.
        kind: the proxy of this package, or nginx where it is installed.

    Raises:
        CannotRun: nginx is not installed, or did not start.

    """
    with _nginx(upstream) if kind == "nginx" else caching(upstream) as address:
        yield address


@contextmanager
def echo(kind: Literal["good", "bad"]) -> Iterator[str]:
    """Serve an echo in this process, and give its address: the good one mixes up nothing, the bad one all."""
    with serving(Echo(bad=kind == "bad")) as address:
        yield address


def nginx() -> str | None:
    """Return where the program is; None when nginx is not installed."""
    return shutil.which("nginx")


_NGINX = """
daemon off;
pid {folder}/pid;
error_log stderr warn;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  proxy_cache_path {folder}/cache keys_zone=pages:1m;
  upstream demonstration {{ server {upstream}; keepalive 64; }}
  server {{
    listen {address};
    location / {{
      proxy_pass http://demonstration;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_cache pages;
      add_header X-Cache $upstream_cache_status;
    }}
  }}
}}
"""


@contextmanager
def _nginx(upstream: str) -> Iterator[str]:
    program = nginx()
    if program is None:
        raise CannotRun("nginx is not installed")
    with tempfile.TemporaryDirectory(prefix="crosstalk-nginx-", ignore_cleanup_errors=True) as folder:
        with socket.create_server(("127.0.0.1", 0)) as free:  # nginx takes no port 0
            address = f"127.0.0.1:{free.getsockname()[1]}"
        config = Path(folder, "nginx.conf")
        config.write_text(
            # Started by root, its worker would be another user, for whom the folder is closed.
            ("user root;" if os.geteuid() == 0 else "")
            + _NGINX.format(folder=folder, address=address, upstream=upstream.removeprefix("http://"))
        )
        with started([program, "-p", folder, "-c", str(config), "-e", "stderr"], f"http://{address}"):
            yield f"http://{address}"
