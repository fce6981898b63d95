"""The notes, end to end: hundreds of visitors at once over real sockets, on real databases, with Locust."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener, urlopen

import pytest

HERE = Path(__file__).parent
LOCUSTFILE = HERE.parents[1] / "loadtest" / "notes.py"

Serve = Callable[..., "Server"]


class Server:
    """A running ``greenlane run``, whose temporary files are in a folder of its own."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "greenlane", "run", "--port", "0", "--access-log", "off", *arguments],
            cwd=HERE,
            env={name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
            | {"TMPDIR": str(folder)}
            | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        match = re.search(r"http://\S+", self.process.stdout.readline())
        assert match, "the server did not say where it serves"
        self.address = match.group()

    def metrics(self) -> dict[str, float]:
        with urlopen(f"{self.address}/metrics", timeout=20) as reply:
            lines = reply.read().decode().splitlines()
        return {
            name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")
        }

    def stop(self) -> tuple[int, str]:
        """End it, and return its exit code and what it said on stderr."""
        self.process.send_signal(signal.SIGTERM)
        _out, errors = self.process.communicate(timeout=40)
        return self.process.returncode, errors


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    servers: list[Server] = []

    def start(*arguments: str, **environment: str) -> Server:
        servers.append(Server(tmp_path, *arguments, **environment))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()


def visit(host: str, users: int = 300, seconds: int = 4) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [
            *(sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--host", host),
            *("-u", str(users), "-r", str(users), "-t", f"{seconds}s", "--stop-timeout", "30"),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_hundreds_of_visitors_at_once_read_exactly_their_own_rows(serve: Serve) -> None:
    """B50: every reply of every visitor, while hundreds are in flight on one native thread."""
    server = serve()
    done = visit(server.address)
    assert done.returncode == 0, done.stderr
    found = re.search(
        r"notes: ([\d,]+) replies \(([\d,]+) own\), 0 failed, ([\d,]+) with .* at most ([\d,]+) in flight",
        done.stderr,
    )
    assert found, done.stderr
    replies, own, overlapped, in_flight = (int(number.replace(",", "")) for number in found.groups())
    assert replies == own > 600
    assert overlapped > replies / 2
    assert in_flight > 100
    assert "notes: ISOLATED" in done.stderr
    metrics = server.metrics()
    assert metrics["greenlane_requests_in_flight"] == 0
    for kind in ("request", "application"):
        pushed = metrics[f'greenlane_contexts_pushed_total{{kind="{kind}"}}']
        assert pushed == metrics[f'greenlane_contexts_popped_total{{kind="{kind}"}}'] >= replies
    assert list(server.folder.glob("greenlane-*/notes.db"))
    assert server.stop() == (
        0,
        "greenlane: stopping: 0 requests to finish, within 30 s (once more: at once)\ngreenlane: stopped\n",
    )
    assert not list(server.folder.iterdir()), "the temporary database was left"


def test_one_current_visitor_for_all_is_cross_talk(serve: Serve) -> None:
    """The same visitors, against a server whose `g` is one object for all requests."""
    done = visit(serve("broken_apps:one_visitor").address, users=50, seconds=3)
    assert done.returncode == 10, done.stderr
    assert "notes: CROSS-TALK" in done.stderr
    assert re.search(r"foreign rows: visitor \d+ read 'visitor \d+, note", done.stderr)


def test_one_visitor_alone_proves_nothing(serve: Serve) -> None:
    done = visit(serve().address, users=1, seconds=1)
    assert done.returncode == 13, done.stderr
    assert "notes: INCONCLUSIVE: no overlap" in done.stderr


def test_without_notes_nothing_is_proven(serve: Serve) -> None:
    done = visit(serve("wsgiref.simple_server:demo_app").address, users=3, seconds=1)
    assert done.returncode == 13, done.stderr
    assert re.search(r"notes: INCONCLUSIVE: (there was no reply|[\d,]+ requests failed)", done.stderr)


def test_notes_outlive_the_server_where_they_are_told_to(serve: Serve, tmp_path: Path) -> None:
    """By DATABASE_URL the rows stay, by SECRET_KEY the session does."""
    browser = build_opener(ProxyHandler({}), HTTPCookieProcessor())

    def notes(server: Server, form: dict[str, str] | None = None) -> dict[str, Any]:
        body = None if form is None else urlencode(form).encode()
        with browser.open(f"{server.address}/notes.json", body, timeout=20) as reply:
            document: dict[str, Any] = json.load(reply)
            return document

    environment = {"DATABASE_URL": f"sqlite:///{tmp_path / 'kept.db'}", "SECRET_KEY": "for this test"}
    server = serve(**environment)
    notes(server, {"token": notes(server)["token"], "text": "still here"})
    assert server.stop()[0] == 0
    assert [note["text"] for note in notes(serve(**environment))["notes"]] == ["still here"]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "DATABASE_URL cannot be used: it is no database URL"),
        ("sqlite:////no/such/folder/notes.db", "the database cannot be used: unable to open database file"),
        ("postgres://user:secret@127.0.0.1:{port}/notes", "the database cannot be used: connection failed"),
    ],
)
def test_a_bad_database_url_is_one_clear_line(url: str, says: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        done = subprocess.run(
            [sys.executable, "-m", "greenlane", "run", "--port", "0"],
            env=os.environ | {"DATABASE_URL": url.format(port=free.getsockname()[1])},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"greenlane: {says}")
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr
