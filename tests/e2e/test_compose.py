"""docker-compose.yml is valid, publishes nothing beyond this machine, and holds no secret.

Needs the tool, not an engine: `make containers` is the trial with one.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Config = Callable[..., "subprocess.CompletedProcess[str]"]

ROOT = Path(__file__).parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
SECRETS = {"SECRET_KEY": "of this test", "POSTGRES_PASSWORD": "of this test too: @/$"}


def compose_command() -> list[str]:
    """Return the tool, of either generation; skip when there is none."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if shutil.which("docker"):
        done = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if done.returncode == 0:
            return ["docker", "compose"]
    pytest.skip("neither docker-compose nor docker compose is installed")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Run the tool with the given environment alone: elsewhere, to be without a `.env` of whoever tests."""
    shutil.copy(COMPOSE_FILE, tmp_path)

    def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*compose_command(), *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"} | environment,
        )

    return run


def test_the_file_is_valid_with_every_profile(config: Config) -> None:
    done = config("--profile", "prove", "config", "--quiet", **SECRETS)
    assert done.returncode == 0, done.stderr


def test_nothing_is_published_beyond_this_machine() -> None:
    text = COMPOSE_FILE.read_text()
    assert "network_mode" not in text
    blocks = re.findall(r"^    ports:\n((?:      .*\n)+)", text, re.MULTILINE)
    assert len(blocks) == text.count("ports:") == 2, "ports in a form that this test does not read"
    for line in "".join(blocks).splitlines():
        assert re.fullmatch(r' +- "127\.0\.0\.1:\$\{\w+:-\d+\}:\d+"', line), line


def test_what_may_be_many_publishes_no_port() -> None:
    """Two containers cannot have one port, so that `--scale` would fail."""
    services = re.split(r"^  (?=\w+:)", COMPOSE_FILE.read_text(), flags=re.MULTILINE)
    many = [each for each in services if each.startswith(("server:", "worker:"))]
    assert len(many) == 2
    assert not any("ports:" in each or "container_name" in each for each in many)


@pytest.mark.parametrize("name", list(SECRETS))
@pytest.mark.parametrize("given", [None, ""])
def test_without_a_secret_nothing_starts_and_the_message_says_which(
    config: Config, name: str, given: str | None
) -> None:
    environment = {key: value for key, value in SECRETS.items() if key != name}
    if given is not None:
        environment[name] = given
    done = config("config", **environment)
    assert done.returncode != 0
    assert name in done.stderr
    assert "README.md" in done.stderr
    assert "In containers" in (ROOT / "README.md").read_text()


def test_secrets_come_from_the_environment_alone() -> None:
    values = re.findall(r"^ +\w*(?:SECRET|PASSWORD)\w*: (.*)$", COMPOSE_FILE.read_text(), re.MULTILINE)
    assert len(values) == 3
    for value in values:
        assert re.match(r"\$\{(SECRET_KEY|POSTGRES_PASSWORD):\?", value), value


def test_the_image_runs_as_nobody_and_passes_signals_on() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert "USER 65532:65532" in lines
    (command,) = (line for line in lines if line.startswith("CMD "))
    assert json.loads(command.removeprefix("CMD "))[0] == "greenlane"


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed")
def test_the_balancers_configuration_is_valid() -> None:
    done = subprocess.run(
        ["haproxy", "-c", "-f", str(ROOT / "deploy" / "haproxy.cfg")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
