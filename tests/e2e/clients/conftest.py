"""A real server for real clients: on TCP, with TLS, and on a Unix socket; one of each for a module."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

if TYPE_CHECKING:
    from tests.e2e.conftest import Process, Run

Program = Callable[[str], str]

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the servers run: with `authority.pem`, which signed their certificate."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copy(HERE / "echoing.py", folder)
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    leaf.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    return folder


@pytest.fixture(scope="module")
def server(launch: "Run", folder: Path) -> "Process":
    """Serves `echoing` on 127.0.0.1."""
    return launch("echoing", "--access-log", "off", cwd=folder)


@pytest.fixture(scope="module")
def secure(launch: "Run", folder: Path) -> "Process":
    """The same with TLS."""
    return launch("echoing", "--access-log", "off", "--certfile", "server.pem", cwd=folder)


@pytest.fixture(scope="module")
def unix(launch: "Run", folder: Path) -> "Process":
    """The same on the Unix socket `s` in the folder."""
    return launch("echoing", "--access-log", "off", "--unix", "s", cwd=folder)


@pytest.fixture
def program() -> Program:
    """Find a program, or skip the test: `program("curl")`."""

    def find(name: str) -> str:
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"{name} is not installed")
        return found

    return find
