"""A proof over two servers behind a balancer: their counts have to be those of both."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Run, WaitUntil

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CONFIGURATION = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    # Idle ones close soon: what strategies keep for a connection is left as long as that.
    upstream servers {{ {servers} keepalive 100; keepalive_timeout 1s; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://servers;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""
SHORT = ("--users", "60", "--duration", "2", "--min-requests", "150", "--hops", "4", "--pause", "20")

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


@pytest.fixture(scope="module")
def servers(launch: "Run", tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The addresses of two servers."""
    return [f"http://127.0.0.1:{launch(cwd=tmp_path_factory.mktemp('server')).port}" for _ in "ab"]


@pytest.fixture(scope="module")
def balancer(
    servers: list[str], wait_until: "WaitUntil", tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of an nginx in front of both."""
    folder = tmp_path_factory.mktemp("nginx")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    upstream = " ".join(f"server {address.removeprefix('http://')};" for address in servers)
    (folder / "nginx.conf").write_text(CONFIGURATION.format(servers=upstream, port=port))
    with (folder / "errors").open("w") as errors:
        nginx = subprocess.Popen(
            [str(NGINX), "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")], stderr=errors
        )
    try:
        wait_until(lambda: nginx.poll() is not None or _answers(port), "nginx answers")
        assert nginx.poll() is None, (folder / "errors").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        nginx.terminate()
        nginx.wait(20)


def _answers(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def prove(balancer: str) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    def run(*counts: str) -> "subprocess.CompletedProcess[str]":
        told = [argument for each in counts for argument in ("--counts", each)]
        return subprocess.run(
            [sys.executable, "-m", "crosstalk", "prove", "--host", balancer, *SHORT, *told],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


Prove = Callable[..., "subprocess.CompletedProcess[str]"]


def test_with_the_counts_of_both_servers_it_is_isolated(prove: Prove, servers: list[str]) -> None:
    done = prove(*servers)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verdict: ISOLATED" in done.stdout


def test_without_them_it_is_not_known_what_one_server_has_left(prove: Prove) -> None:
    """The counts are those of whichever server the balancer asks."""
    done = prove()
    assert done.returncode == 13, done.stdout + done.stderr
    assert "1 of 2 processes that served the requests were not counted" in done.stdout
