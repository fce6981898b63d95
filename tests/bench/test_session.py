"""What a run needs before it measures: environments, made once, open files, and clear words without them."""

import resource
import sys
from pathlib import Path

import pytest
from rich.console import Console

from bench import environments, session
from bench.refusal import CannotRun
from bench.session import Session


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Put locks and environments into the test's own folder; return the commands that would make them."""
    commands: list[list[str]] = []

    def run(name: str, command: list[str]) -> None:
        commands.append(command)
        (tmp_path / ".bench" / name).mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(environments, "ROOT", tmp_path)
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path / ".bench")
    monkeypatch.setattr(environments, "LOCKS", tmp_path)
    monkeypatch.setattr(environments, "_run", run)
    (tmp_path / "peer.txt").write_text("peer==1.0 \\\n    --hash=sha256:00\n")
    return commands


def test_an_environment_is_made_once_and_again_when_its_lock_changes(
    made: list[list[str]], tmp_path: Path
) -> None:
    said: list[str] = []
    environments.ensure("peer", said.append)
    environments.ensure("peer", said.append)
    assert said == ["installing peer into .bench/peer (once)"]
    assert [command[1:3] for command in made] == [["-m", "venv"], ["-m", "pip"]]
    assert "--require-hashes" in made[1]
    (tmp_path / "peer.txt").write_text("peer==1.1 \\\n    --hash=sha256:00\n")
    environments.ensure("peer", said.append)
    assert len(made) == 4
    assert environments.versions("peer") == {"peer": "1.1"}


def test_one_that_failed_is_made_again(made: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, _command: list[str]) -> None:
        raise CannotRun(f"{name}: could not be installed: no network")

    with monkeypatch.context() as broken:
        broken.setattr(environments, "_run", fail)
        with pytest.raises(CannotRun):
            environments.ensure("peer", lambda _: None)
    environments.ensure("peer", lambda _: None)
    assert len(made) == 2


def test_what_the_installer_said_last_is_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/sh")
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path / "bench")
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    with pytest.raises(CannotRun, match=r"^gevent: could not be installed: .*sh"):
        environments.ensure("gevent", lambda _: None)


def a_session(*parts: str, names: tuple[str, ...] = ("uwsgi", "granian")) -> Session:
    """Return a session that logs to nowhere."""
    log = Console(quiet=True)
    return Session(rounds=1, seconds=1, parts=parts, names=names, in_flight=10, nap=1, log=log)


@pytest.mark.parametrize("missing", ["uwsgi", "granian"])
def test_only_an_optional_server_is_skipped(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def ensure(name: str, _say: object) -> None:
        if name == missing:
            raise CannotRun(f"{name}: no compiler")

    monkeypatch.setattr(environments, "ensure", ensure)
    one = a_session("hello")
    if missing == "granian":
        with pytest.raises(CannotRun, match="granian: no compiler"):
            one.set_up()
    else:
        one.set_up()
        assert one.skipped == {"uwsgi": "uwsgi: no compiler"}
        assert [server.name for server in one.servers] == ["greenlane", "granian"]


def test_locals_alone_need_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    monkeypatch.setattr(environments, "ensure", lambda name, _say: names.append(name))
    a_session("locals").set_up()
    assert names == ["locals"]


def test_too_few_open_files_are_said_with_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 1_000))
    with pytest.raises(CannotRun, match=r"1,001 open files are needed, the system allows 1,000"):
        session._allow_files(1_001)


def test_the_limit_is_raised_as_far_as_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    for before in ((100, 1_000), (100, resource.RLIM_INFINITY), (900, 1_000)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, before=before: before)
        session._allow_files(800)
    assert asked == [(1_000, 1_000), (800, resource.RLIM_INFINITY)]
