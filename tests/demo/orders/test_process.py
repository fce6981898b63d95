"""The process that runs the orders: once for all who ask, and bounded in time, whoever still waits for it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent.subprocess
import pytest
from gevent.event import Event

from greenlane.demo.orders import process
from greenlane.demo.orders.process import Documents, NotComputed


@dataclass
class Started:
    """Every process that was started, and whether there is any."""

    processes: list[Any] = field(default_factory=list)
    any: Event = field(default_factory=Event)

    @property
    def ends(self) -> list[int | None]:
        return [each.returncode for each in self.processes]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    noted = Started()
    real: Any = gevent.subprocess.Popen

    def note(*args: Any, **options: Any) -> Any:
        noted.processes.append(real(*args, **options))
        noted.any.set()
        return noted.processes[-1]

    monkeypatch.setattr(process, "Popen", note)
    return noted


def python(code: str) -> Callable[[str], Sequence[str]]:
    return lambda program: [sys.executable, "-c", code, program]


PRINTS = "import sys; print('{\"program\": \"' + sys.argv[1] + '\"}')"


def test_one_run_serves_all_who_ask(tmp_path: Path, started: Started) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    documents = Documents(python(f"open({str(gate)!r}).read(); {PRINTS}"))
    askers = [gevent.spawn(documents.of, "two") for _ in range(10)]
    gevent.sleep(0)  # all have asked, and wait
    assert not any(asker.ready() for asker in askers)
    gevent.get_hub().threadpool.apply(gate.write_text, ("open",))
    assert {asker.get(timeout=20) for asker in askers} == {b'{"program": "two"}\n'}
    assert documents.of("two") == b'{"program": "two"}\n'
    assert len(started.processes) == 1


def test_each_program_has_a_run_of_its_own(started: Started) -> None:
    documents = Documents(python(PRINTS))
    assert json.loads(documents.of("two")) == {"program": "two"}
    assert json.loads(documents.of("three")) == {"program": "three"}
    assert len(started.processes) == 2


def test_it_is_killed_when_it_takes_too_long(started: Started) -> None:
    documents = Documents(python("import threading; threading.Event().wait()"), longest=0.1)
    with pytest.raises(NotComputed, match=r"took more than 0\.1 seconds"):
        documents.of("two")
    assert started.ends == [-9]


def test_who_waits_for_a_failing_run_is_told_too(started: Started) -> None:
    documents = Documents(python("import threading; threading.Event().wait()"), longest=0.1)

    def ask() -> str:
        try:
            return documents.of("two").decode()
        except NotComputed as error:
            return str(error)

    askers = [gevent.spawn(ask) for _ in range(3)]
    assert {asker.get(timeout=20) for asker in askers} == {"Running the orders took more than 0.1 seconds."}
    assert len(started.processes) == 1


def test_a_failure_is_not_kept(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    code = f"import pathlib; assert pathlib.Path({str(flag)!r}).exists(), 'a secret'; {PRINTS}"
    documents = Documents(python(code))
    with pytest.raises(NotComputed):
        documents.of("two")
    flag.touch()
    assert json.loads(documents.of("two")) == {"program": "two"}


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "print('no JSON')", "print(1)", "pass"])
def test_what_is_no_document_is_none(code: str) -> None:
    with pytest.raises(NotComputed, match="the server's log has the reason"):
        Documents(python(code)).of("two")


def test_what_it_said_is_for_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(NotComputed) as caught:
        Documents(python("raise ValueError('a secret')")).of("two")
    assert "a secret" not in str(caught.value)
    assert "a secret" in caplog.text


def test_it_cannot_be_started() -> None:
    with pytest.raises(NotComputed, match="did not start: No such file or directory"):
        Documents(lambda program: ["/nowhere/python", program]).of("two")


@pytest.mark.parametrize("begun", [True, False])
def test_a_run_that_is_killed_takes_its_process_along(begun: bool, started: Started) -> None:
    """Whoever waits is told, and the next one who asks starts anew."""
    commands = iter([python("import threading; threading.Event().wait()"), python(PRINTS)])
    documents = Documents(lambda program: next(commands)(program))
    asker = gevent.spawn(documents.of, "two")
    gevent.sleep(0)  # it has asked
    if begun:
        assert started.any.wait(20)
    else:
        next(commands)
        commands = iter([python(PRINTS)])
    (making,) = vars(documents)["_making"].values()
    making.kill()
    with pytest.raises(NotComputed, match="was ended"):
        asker.get(timeout=20)
    assert started.ends == ([-9] if begun else [])
    assert json.loads(documents.of("two")) == {"program": "two"}


ENDLESS = """
from greenlane.demo.orders import document, process
from greenlane.demo.orders.__main__ import main
process.LONGEST = 1
document.document = lambda _program: __import__("time").sleep(60)
main(["two"])
"""


def test_it_does_not_go_on_for_nobody() -> None:
    """Whoever started it kills it when it takes too long, unless they have gone."""
    assert subprocess.run([sys.executable, "-c", ENDLESS], timeout=20).returncode == -signal.SIGALRM
