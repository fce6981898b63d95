"""Chromium, without a window: a page whose script sends sixty requests at once and checks each answer."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Process

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture
def browser() -> str:
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return found
    pytest.skip(f"none of these is installed: {', '.join(NAMES)}")


def test_a_page_whose_requests_run_at_once(browser: str, server: "Process", tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--disable-quic", "--disable-background-networking", "--disable-component-update"),
            *("--disable-sync", "--no-first-run", "--no-proxy-server"),
            f"--user-data-dir={tmp_path / 'profile'}",
            # Time stands still while something is loaded, so this is no time to wait for.
            *("--virtual-time-budget=20000", "--dump-dom", f"{server.where}/page"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = re.search(r'<p id="said">(.*?)</p>', done.stdout)
    assert said, (done.stdout, done.stderr[-2000:])
    assert said[1] == "right: 60"
