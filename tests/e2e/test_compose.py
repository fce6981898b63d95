"""docker-compose.yml is valid and publishes nothing beyond this machine. Needs the tool, not an engine."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


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
    config("config", "--quiet")
    text = (ROOT / "docker-compose.yml").read_text()
    published = [
        line.strip() for line in text.splitlines() if line.strip().startswith('- "') and ":80" in line
    ]
    assert len(published) == 2
    assert all(line.startswith('- "127.0.0.1:') for line in published)


def test_the_secret_comes_from_the_environment() -> None:
    assert "of this test" in config("config", SECRET_KEY="of this test")
    assert "SECRET_KEY=" not in (ROOT / "docker-compose.yml").read_text()


def test_the_image_runs_as_nobody_and_passes_signals_on() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert "USER 65532:65532" in lines
    (command,) = (line for line in lines if line.startswith("CMD "))
    assert json.loads(command.removeprefix("CMD "))[0] == "greenlane"
