"""A virtual environment for each peer, from a lock with hashes: made once, and again when the lock changes.

Rule: nothing of a peer reaches the repository's `.venv`, and nothing of Greenlane a peer's environment.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench.refusal import CannotRun
from bench.servers import ENVIRONMENTS, ROOT

LOCKS = Path(__file__).with_name("locks")

_INSTALLING = 900.0
"""Seconds that an installation may take: one of them compiles."""


def ensure(name: str, say: Callable[[str], None]) -> None:
    """Make the environment ``name``, unless it is there and as its lock says.

    Args:
        name: of the lock, and of the folder.
        say: gets a line before something that takes long.

    Raises:
        CannotRun: it could not be made; the message ends with what the installer said last.

    """
    lock, folder = LOCKS / f"{name}.txt", ENVIRONMENTS / name
    stamp = folder / ".ready"
    wanted = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    say(f"installing {name} into {folder.relative_to(ROOT)} (once)")
    shutil.rmtree(folder, ignore_errors=True)
    _run(name, [sys.executable, "-m", "venv", str(folder)])
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    _run(name, [*pip, "--no-deps", "--require-hashes", "-r", str(lock)])
    stamp.write_text(wanted)


def _run(name: str, command: list[str]) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, and the one it made
            command, capture_output=True, text=True, check=False, timeout=_INSTALLING
        )
    except subprocess.TimeoutExpired as error:
        raise CannotRun(f"{name}: not installed within {_INSTALLING:g} s") from error
    if done.returncode:
        last = ([line.strip() for line in done.stderr.splitlines() if line.strip()] or ["no reason given"])[
            -1
        ]
        raise CannotRun(f"{name}: could not be installed: {last}")


def versions(name: str) -> dict[str, str]:
    """Return the pinned version of each package in the lock ``name``."""
    pins = {}
    for line in (LOCKS / f"{name}.txt").read_text().splitlines():
        if line[:1].isalnum() and "==" in line:
            package, _, rest = line.partition("==")
            pins[package] = rest.split()[0]
    return pins


def renew(say: Callable[[str], None]) -> None:
    """Write all locks anew, held to the versions of the repository's own where both have a package.

    Raises:
        CannotRun: `uv` is not in the repository's environment, or found no solution.

    """
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        raise CannotRun("the locks are made by uv, which is not in .venv: `make lock` installs it")
    for source in sorted(LOCKS.glob("*.in")):
        say(f"locking {source.stem}")
        command = [
            *(str(uv), "pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes"),
            *("--no-emit-index-url", "--quiet", "--upgrade", "--custom-compile-command"),
            *("make bench ARGS=--lock", "--constraints", "../../../requirements-dev.txt"),
            *(source.name, "--output-file", f"{source.stem}.txt"),
        ]
        done = subprocess.run(  # noqa: S603 - the program of our own environment
            command, cwd=LOCKS, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CannotRun(f"{source.stem}: no lock: {done.stderr.strip()}")
