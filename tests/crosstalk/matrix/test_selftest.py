"""The echo, and who is tried against it: the prover's own users, and users that share a nonce."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import gevent
import pytest
from geventhttpclient import HTTPClient

from crosstalk.matrix.inprocess import serving
from crosstalk.matrix.selftest import Echo
from crosstalk.reply import parse

FLOOR = 60


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Measure the hazard, in a process of its own since Locust patches it; return the cells by name."""
    folder: Path = tmp_path_factory.mktemp("matrix")
    options = ["--only", "blind-generator", "--min-requests", str(FLOOR), "--users", "8"]
    done = subprocess.run(
        [sys.executable, "-m", "crosstalk", "matrix", *options, "--report", folder],
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((folder / "matrix.json").read_text())
    return {cell["strategy"]: cell for cell in results["cells"]}


def test_the_provers_own_users_find_nothing_where_nothing_is(cells: dict[str, Any]) -> None:
    cell = cells["fixed"]
    assert cell["outcome"] == "isolated"
    assert cell["requests"] >= FLOOR
    assert cell["failed"] == cell["cross_talk"] == 0
    assert cell["overlapped"] > 1


def test_the_provers_own_users_find_what_the_bad_echo_mixes_up(cells: dict[str, Any]) -> None:
    assert cells["known-bad"]["cross_talk"] > FLOOR / 2


def test_users_that_share_a_nonce_find_cross_talk_where_there_is_none(cells: dict[str, Any]) -> None:
    """So it is the load generator that fails: the echo is the one that the others found clean."""
    assert cells["broken"]["cross_talk"] > FLOOR / 2
    assert cells["broken"]["failed"] == 0


# The echo


def replies(echo: Echo, *paths: str) -> list[tuple[int, bytes]]:
    """Request all paths at once, each on a connection of its own."""

    def ask(base: str, path: str) -> tuple[int, bytes]:
        client = HTTPClient.from_url(base, network_timeout=20)
        with client.get(path) as response:
            came = int(response.status_code), bytes(response.read())
        client.close()
        return came

    with serving(echo) as base:
        asking = [gevent.spawn(ask, base, path) for path in paths]
        gevent.joinall(asking, timeout=20, raise_error=True)
        return [each.get() for each in asking]


@pytest.mark.parametrize("bad", [False, True])
def test_alone_both_echoes_answer_as_a_probe_does(bad: bool) -> None:
    ((status, body),) = replies(Echo(bad=bad), "/hazards/blind-generator/fixed?nonce=a&hops=4&pause=0")
    assert status == 200
    reply = parse(body, strategy="fixed", hazard="blind-generator", hops=4)
    assert [each.read for each in reply.checkpoints] == [{"first": "a", "second": "a"}] * 4
    assert (reply.in_flight, reply.switches) == (1, 0)
    ((status, body),) = replies(Echo(bad=bad), "/probe/local?nonce=a")
    assert parse(body, strategy="local", hops=1).hazard is None


def test_at_once_the_good_one_keeps_apart_what_the_bad_one_does_not() -> None:
    paths = [f"/probe/local?nonce={nonce}&hops=5&pause=5" for nonce in "abcdef"]
    for bad in (False, True):
        documents = [json.loads(body) for _status, body in replies(Echo(bad=bad), *paths)]
        read = [{*each["read"].values()} for one in documents for each in one["checkpoints"]]
        own = [{nonce} for nonce in "abcdef" for _ in range(5)]
        assert (read == own) is not bad
        assert max(one["in_flight"] for one in documents) == len(paths)
        assert any(one["switches"] for one in documents)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/", 404, b"answers below /probe/"),
        ("/probe/", 404, b"answers below /probe/"),
        ("/hazards/blind-generator?nonce=a", 404, b"answers below /probe/"),
        ("/probe/local", 400, b"nonce: is missing"),
        ("/probe/local?nonce=a&hops=65", 400, b"hops: must be a whole number up to 64"),
        ("/probe/local?nonce=a&hops=-1", 400, b"hops: must be"),
        ("/probe/local?nonce=a&pause=1001", 400, b"pause: must be a whole number up to 1000"),
        ("/probe/local?nonce=a&pause=%D9%A3", 400, b"pause: must be"),
    ],
)
def test_an_echo_refuses_what_is_no_probe(path: str, status: int, said: bytes) -> None:
    ((came, body),) = replies(Echo(bad=False), path)
    assert came == status
    assert said in body
