"""What the soak judges: memory by a straight line, what must be zero at idle, and each reply."""

import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from gevent import pywsgi

from bench import soak_clients
from bench.soak import Sample, rise

MIB = 2**20


def samples(*mebibytes: float) -> list[Sample]:
    return [Sample(10.0 * number, int(size * MIB), 9, Counter()) for number, size in enumerate(mebibytes)]


def test_memory_may_grow_while_it_warms_up() -> None:
    rises, may = rise(samples(50, 60, 70, 80, 80, 81, 80, 80))
    assert rises <= 0 < may


def test_memory_that_grows_on_is_not_flat() -> None:
    rises, may = rise(samples(*range(50, 90, 2)))
    assert rises == pytest.approx(18 * MIB)
    assert rises > may


def test_one_peak_is_no_growth() -> None:
    rises, may = rise(samples(80, 80, 80, 80, 80, 88, 80, 80, 80))
    assert rises < may


def test_a_short_run_is_not_judged_by_its_memory() -> None:
    assert rise(samples(10, 90))[0] == 0


@pytest.mark.parametrize(
    ("metrics", "unfinished"),
    [
        ({}, {}),
        ({"greenlane_contexts_pushed_total": 5, "greenlane_contexts_popped_total": 5}, {}),
        ({"greenlane_contexts_pushed_total": 5, "greenlane_contexts_popped_total": 4}, {"contexts": 1}),
        ({"greenlane_local_entries": 2}, {"entries": 2}),
        ({"greenlane_requests_in_flight": 3}, {"requests in flight": 3}),
    ],
)
def test_what_is_left_at_idle_is_named(metrics: dict[str, int], unfinished: dict[str, int]) -> None:
    assert Sample(0.0, 0, 0, Counter(metrics)).unfinished() == unfinished


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], soak_clients.Target]]:
    """Start servers that answer all requests alike: `answering(body)`."""
    servers: list[pywsgi.WSGIServer] = []

    def start(body: bytes) -> soak_clients.Target:
        def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            environ["wsgi.input"].read()
            start_response("200 OK", [("Content-Length", str(len(body)))])
            return [body]

        servers.append(pywsgi.WSGIServer(("127.0.0.1", 0), app, log=None, error_log=None))
        servers[-1].start()
        port = servers[-1].server_port
        assert port is not None
        return soak_clients.Target(port)

    yield start
    for server in servers:
        server.stop(timeout=0)


@pytest.mark.parametrize("kind", soak_clients.GOOD)
def test_a_good_client_notices_a_wrong_reply(
    answering: Callable[[bytes], soak_clients.Target], kind: str
) -> None:
    visit, _ = soak_clients.GOOD[kind]
    with pytest.raises(soak_clients.Wrong):
        visit(answering(b"somebody else's"))


def test_a_good_client_is_content_with_the_right_file(
    answering: Callable[[bytes], soak_clients.Target],
) -> None:
    target = answering(b"the file")
    target.file_checksum = zlib.crc32(b"the file")
    assert soak_clients.file(target) == 1
