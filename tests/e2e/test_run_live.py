"""`greenlane run --ops`: `/live` of a real server, from its first snapshot to its end."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from tests.e2e.conftest import Run

APPS = '''
"""An application that keeps a request until another comes."""
from gevent.event import Event

go = Event()


def app(environ, start_response):
    if environ["PATH_INFO"] == "/go":
        go.set()
    else:
        go.wait(20)
    start_response("200 OK", [("Content-Length", "5")])
    return [b"Hello"]
'''


def snapshot_with(stream: BinaryIO, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Read events up to a snapshot that fulfils `condition`: one of the next sixty, which come in 20 s."""
    for _ in range(60):
        while (line := stream.readline()) != b"event: snapshot\n":
            assert line, "the stream ended"
        snapshot: dict[str, Any] = json.loads(stream.readline().removeprefix(b"data: "))
        if condition(snapshot):
            return snapshot
    raise AssertionError("no such snapshot in 20 s")


def test_a_request_is_a_lane_while_it_lasts_and_a_drain_does_not_wait(run: "Run", tmp_path: Path) -> None:
    (tmp_path / "apps.py").write_text(APPS)
    process = run("apps:app", "--ops", "--access-log", "off")
    with process.connect() as watching, process.connect() as slow:
        watching.sendall(b"GET /live HTTP/1.0\r\n\r\n")
        stream = watching.makefile("rb")
        snapshot_with(stream, lambda snapshot: snapshot["lanes"] == [])
        slow.sendall(b"GET /slow?token=secret HTTP/1.1\r\nHost: test\r\n\r\n")
        busy = snapshot_with(stream, lambda snapshot: snapshot["lanes"])
        assert [lane[:2] for lane in busy["lanes"]] == [[1, "GET /slow"]]
        process.get("/go", {"Connection": "close"})
        idle = snapshot_with(stream, lambda snapshot: not snapshot["lanes"])
        assert (idle["in_flight"], idle["requests"], idle["native_threads"]) == (0, 2, 1)
        measured = snapshot_with(stream, lambda snapshot: snapshot["switches_per_second"] is not None)
        assert measured["loop_delay_ms"] >= 0
        process.tell(signal.SIGTERM)
        assert stream.read().endswith(b"event: end\ndata: draining\n\n")
    assert process.exit_code() == 0
