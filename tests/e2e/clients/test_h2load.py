"""h2load in HTTP/1.1: thousands of requests, also pipelined and over TLS, each answered with success."""

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.clients.conftest import Program
    from tests.e2e.conftest import Process

REQUESTS = 3000


@pytest.mark.parametrize("at_once", [1, 8], ids=["one by one", "pipelined"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_every_request_succeeds(
    program: "Program", server: "Process", secure: "Process", tls: bool, at_once: int
) -> None:
    done = subprocess.run(
        [
            *(program("h2load"), "--h1", "-n", str(REQUESTS), "-c", "50", "-m", str(at_once)),
            f"{(secure if tls else server).where}/echo?nonce=1",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    requests = re.search(r"^requests: (.*)$", done.stdout, re.MULTILINE)
    statuses = re.search(r"^status codes: (.*)$", done.stdout, re.MULTILINE)
    assert requests, done.stdout
    assert f"{REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout" in requests[1]
    assert statuses, done.stdout
    assert statuses[1] == f"{REQUESTS} 2xx, 0 3xx, 0 4xx, 0 5xx"
