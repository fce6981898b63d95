"""docker-compose.yml is valid and publishes nothing beyond this machine. Needs the tool, not an engine."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"


def compose_command() -> list[str]:
    """Return the tool, of either generation; skip when there is none."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if shutil.which("docker"):
        done = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if done.returncode == 0:
            return ["docker", "compose"]
    pytest.skip("neither docker-compose nor docker compose is installed")


def config(*arguments: str, **environment: str) -> str:
    return subprocess.run(
        [*compose_command(), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"} | environment,
    ).stdout


def test_the_file_is_valid_with_every_profile() -> None:
    config("--profile", "prove", "--profile", "locust", "config", "--quiet")


def test_nothing_is_published_beyond_this_machine() -> None:
    text = COMPOSE_FILE.read_text()
    assert "network_mode" not in text
    blocks = re.findall(r"^    ports:\n((?:      .*\n)+)", text, re.MULTILINE)
    assert len(blocks) == text.count("ports:") == 2, "ports in a form that this test does not read"
    for line in "".join(blocks).splitlines():
        assert re.fullmatch(r' +- "127\.0\.0\.1:\$\{\w+:-\d+\}:\d+"', line), line


def test_the_secret_comes_from_the_environment_alone() -> None:
    assert "of this test" in config("config", SECRET_KEY="of this test")
    lines = [line.strip() for line in COMPOSE_FILE.read_text().splitlines() if "SECRET" in line]
    assert [line for line in lines if not line.startswith("#")] == ["- SECRET_KEY"]


def test_the_image_runs_as_nobody_and_passes_signals_on() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert "USER 65532:65532" in lines
    (command,) = (line for line in lines if line.startswith("CMD "))
    assert json.loads(command.removeprefix("CMD "))[0] == "greenlane"
