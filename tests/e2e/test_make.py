"""The two commands' edges: what a user sees when the machine lacks something."""

import shutil
import socket
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TARGETS = ("run", "test", "loadtest", "locust", "check", "install", "clean")

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments: str, folder: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["make", *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the Makefile and no .venv."""
    for name in ("Makefile", "pyproject.toml", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_make_alone_lists_the_targets_with_a_line_each() -> None:
    lines = make().stdout.splitlines()
    for target in TARGETS:
        assert any(line.split()[:2] == ["make", target] and len(line.split()) > 3 for line in lines), target


def test_an_old_python_gets_one_clear_line(clone: Path) -> None:
    old = clone / "python3.10"
    old.write_text('#!/bin/sh\nif [ "$1" = -V ]; then echo Python 3.10.4; else exit 1; fi\n')
    old.chmod(old.stat().st_mode | stat.S_IXUSR)
    done = make("run", f"PYTHON={old}", folder=clone)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(said) == 1
    assert "Python 3.11 or newer is needed" in said[0]
    assert "is Python 3.10.4" in said[0]
    assert not (clone / ".venv").exists()


def test_a_missing_python_gets_one_clear_line(clone: Path) -> None:
    done = make("run", "PYTHON=no-such-python", folder=clone)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert said == [
        "greenlane: no 'no-such-python' found: install Python 3.11 or newer, or name one with PYTHON="
    ]


@pytest.mark.skipif(
    not (ROOT / ".venv" / ".ready").exists(), reason="the tests do not run from make's own .venv"
)
def test_a_port_in_use_gets_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = make("run", f"PORT={port}")
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(said) == 1, said
    assert str(port) in said[0]
    assert "in use" in said[0]
