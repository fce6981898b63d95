"""Applications that know nothing of Greenlane, each in a process of its own, and a client to drive them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the servers run: with copies of the applications in this folder."""
    folder = tmp_path_factory.mktemp("applications")
    for path in HERE.glob("*_app.py"):
        shutil.copy(path, folder)
    return folder


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A browser of sorts: it keeps cookies and its connection, and knows no proxies."""
    with requests.Session() as session:
        session.trust_env = False
        yield session
