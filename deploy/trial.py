"""Tries docker-compose.yml for real: builds, serves, proves, loses a server in mid-run, and leaves nothing.

    python3 deploy/trial.py                 `make containers`
    python3 deploy/trial.py --help

It uses the Docker engine that runs. Where none does, and it is root, it starts one of its own in a
temporary folder; where no image can be pulled, it makes stand-ins of the official ones from Debian's
packages (debootstrap). Whatever it made is gone at its end: containers, networks, images, the engine,
its rules of the firewall.

Needs Python's standard library alone, docker, and `docker compose` or docker-compose.
"""

import argparse
import contextlib
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from engine import Failed, Tools, own_engine, say
from standins import make_stand_ins, pulls
from steps import Stack, check_notes, check_places, check_processes, locust_run, prove, prove_with_a_loss

ROOT = Path(__file__).resolve().parents[1]
PULLED = "python:3.13-slim"


def main() -> int:
    """Run the trial and return its exit code: 0 when everything was as it must be."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is taken down then, too
    if shutil.which("docker") is None:
        say("FAILED: docker is not installed")
        return 1
    try:
        with tempfile.TemporaryDirectory(prefix="greenlane-trial-") as folder, _engine(Path(folder)) as tools:
            _try(tools, Path(folder), options)
    except Failed as error:
        say(f"FAILED: {error}")
        return 1
    say("everything was as it must be, and nothing is left")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--servers", type=int, default=3, help="servers behind the balancer (default: 3)")
    parser.add_argument("--workers", type=int, default=2, help="workers of Locust (default: 2)")
    parser.add_argument("--users", type=int, default=600, help="users at once (default: 600)")
    parser.add_argument("--seconds", type=int, default=20, help="of load, each time (default: 20)")
    return parser.parse_args()


@contextlib.contextmanager
def _engine(folder: Path) -> "Iterator[Tools]":
    running = Tools({})
    if running.answers():
        say("the engine that runs here is used")
        yield running
    else:
        with own_engine(folder) as tools:
            yield tools


def _try(tools: Tools, folder: Path, options: argparse.Namespace) -> None:
    environment = {
        "SECRET_KEY": secrets.token_hex(32),
        "POSTGRES_PASSWORD": secrets.token_urlsafe(12) + "@:/ %",
        "GREENLANE_IMAGE": f"greenlane-trial-{secrets.token_hex(3)}",
        "PORT": "18000",
        "LOCUST_PORT": "18089",
    }
    files = ["-f", str(ROOT / "docker-compose.yml")]
    if "BASE" not in os.environ and not pulls(tools, PULLED):
        environment |= make_stand_ins(tools, folder)
        override = folder / "override.yml"
        override.write_text("services:\n  server:\n    build:\n      network: host\n")
        files += ["-f", str(override)]
    stack = Stack(tools.plus(environment), environment["GREENLANE_IMAGE"], files, options)
    try:
        stack.up()
        check_places(stack)
        check_processes(stack)
        check_notes(stack)
        prove(stack)
        locust_run(stack)
        prove_with_a_loss(stack)
    except Failed:
        stack.show_logs()
        raise
    finally:
        stack.down()


if __name__ == "__main__":
    sys.exit(main())
