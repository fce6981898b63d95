"""Servers for a block: that they start, say why when they do not, and leave no process and no file."""

import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest
from geventhttpclient import HTTPClient

from crosstalk import server
from crosstalk.matrix import servers
from crosstalk.matrix.inprocess import serving
from crosstalk.matrix.selftest import Echo
from crosstalk.site import CannotRun

Pretend = Callable[[str], None]


def status(base: str, path: str) -> int:
    client = HTTPClient.from_url(base, network_timeout=20)
    with client.get(path) as response:
        response.read()
    client.close()
    return int(response.status_code)


def processes() -> set[int]:
    return {each.pid for each in psutil.Process().children(recursive=True)}


@pytest.fixture
def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Start this program in the place of Python."""

    def put(program: str) -> None:
        file = tmp_path / "program"
        file.write_text(f"#!{sys.executable}\n{program}")
        file.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(file))

    return put


@pytest.mark.parametrize(
    ("start", "path"),
    [
        (lambda: servers.late_patch("broken"), "/hazards/late-patch/broken"),
        (lambda: servers.desync("broken"), "/hazards/desync/broken"),
    ],
    ids=["late-patch", "desync"],
)
def test_a_hazards_own_server_serves_its_variant_and_ends_with_the_block(
    start: Callable[[], AbstractContextManager[str]], path: str
) -> None:
    before = processes()
    with start() as base:
        assert processes() > before
        assert status(base, f"{path}?nonce=a&pause=0") == 200
        assert status(base, path) == 400
        assert status(base, f"{path}-and-more?nonce=a") == 404
    assert processes() == before


def test_a_server_whose_worker_does_not_boot_is_told(pretend: Pretend) -> None:
    pretend("""
import signal, socket
listener = socket.create_server(("127.0.0.1", 0))
print(f"Listening at: http://127.0.0.1:{listener.getsockname()[1]} (1)", flush=True)
listener.accept()[0].close()
signal.pause()
""")
    with pytest.raises(CannotRun, match="gunicorn's worker does not answer"), servers.late_patch("fixed"):
        pass


def test_a_variant_that_there_is_not_is_told() -> None:
    with (
        pytest.raises(CannotRun, match=r"did not start: usage: .* broken\|fixed"),
        servers.desync("mended"),
    ):
        pass


@pytest.mark.parametrize("kind", ["own", "nginx"])
def test_a_proxy_passes_on_and_leaves_no_file(
    kind: servers.ProxyKind, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if kind == "nginx" and servers.nginx() is None:
        pytest.skip("nginx is not installed: only the proxy of this package is tried")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = processes()
    with serving(Echo(bad=False)) as behind, servers.caching_proxy(behind, kind) as base:
        assert base != behind
        assert status(base, "/probe/any?nonce=a") == 200
        assert status(base, "/other") == 404
    assert processes() == before
    assert list(tmp_path.iterdir()) == []


def test_nginx_where_there_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert servers.nginx() is None
    with (
        pytest.raises(CannotRun, match="nginx is not installed"),
        servers.caching_proxy("http://127.0.0.1:1", "nginx"),
    ):
        pass


def test_nginx_that_does_not_start_is_told_with_what_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    if servers.nginx() is None:
        pytest.skip("nginx is not installed")
    monkeypatch.setattr(servers, "_NGINX", "nonsense;")
    with (
        pytest.raises(CannotRun, match=r"did not start: .*unknown directive \"nonsense\""),
        servers.caching_proxy("http://127.0.0.1:1", "nginx"),
    ):
        pass


def test_a_server_of_a_known_place_that_never_listens_is_not_waited_for_long(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "STARTING", 0.2)
    pretend("import signal; signal.pause()")
    with (
        pytest.raises(CannotRun, match="it ended with code -9"),
        server.started([sys.executable], "http://127.0.0.1:1"),
    ):
        pass
