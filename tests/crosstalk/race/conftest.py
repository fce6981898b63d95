"""Servers to race against, and races in processes of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from crosstalk.server import started

HERE = Path(__file__).parent
TIMEOUT = 60.0

Lines = list[dict[str, Any]]


@dataclass(frozen=True)
class Raced:
    """What a race has written, line by line, and how it ended."""

    code: int
    lines: Lines
    errors: str

    @property
    def kinds(self) -> list[str]:
        return [line["kind"] for line in self.lines]

    def requests(self, cell: str) -> Lines:
        return [line for line in self.lines if line["kind"] == "request" and line["cell"] == cell]

    @property
    def verdicts(self) -> Mapping[str, Any]:
        last = self.lines[-1]
        assert last["kind"] == "end", (last, self.errors)
        verdicts: Mapping[str, Any] = last["verdicts"]
        return verdicts


Race = Callable[..., Raced]
Begin = Callable[..., "subprocess.Popen[bytes]"]
Serve = Callable[..., str]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Serve an application of this folder, or the demonstration, and return the address."""
    with ExitStack() as stack:

        def start(*application: str) -> str:
            command = [sys.executable, "-m", "greenlane", "run", *application]
            environ = os.environ | {
                "TMPDIR": str(tmp_path_factory.mktemp("server")),
                "PYTHONPATH": os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH")))),
            }
            return stack.enter_context(
                started(
                    [*command, "--port", "0", "--access-log", "off", "--drain-timeout", "0.2"],
                    environ=environ,
                )
            )

        yield start


@pytest.fixture(scope="module")
def demonstration(serve: Serve) -> str:
    return serve()


@pytest.fixture(scope="module")
def pretender(serve: Serve) -> str:
    return serve("pretending:application")


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Begin a race in lines, with pipes to it, and see that it ends."""
    races: list[subprocess.Popen[bytes]] = []

    def start(host: str, *arguments: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "crosstalk", "race", "--lines", "--host", host, *arguments]
        race = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        races.append(race)
        return race

    yield start
    for race in races:
        race.kill()
        race.wait()
        for pipe in (race.stdin, race.stdout, race.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def race(begin: Begin) -> Race:
    """Race to the end: `race(host, "shared-object/local", "--requests", "20")`."""

    def to_the_end(host: str, *arguments: str) -> Raced:
        cells = [argument for cell in arguments if "/" in cell for argument in ("--cell", cell)]
        running = begin(host, *cells, *(argument for argument in arguments if "/" not in argument))
        assert running.stdout is not None
        assert running.stderr is not None
        written = [json.loads(line) for line in running.stdout]
        code = running.wait(TIMEOUT)
        return Raced(code, written, running.stderr.read().decode())

    return to_the_end
