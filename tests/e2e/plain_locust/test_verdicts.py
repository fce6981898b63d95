"""Plain Locust without its web UI, end to end: alone and with workers, its verdicts and exit codes."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.plain_locust.conftest import FreePort, Run, Serve, Start

SUBJECTS = {"/probe/local", "/probe/context"}
CONTROLS = {"/probe/shared-object", "/probe/native-thread-local", "/probe/thread-ident", "/probe/id-reused"}

DistributedOver = Callable[..., "Distributed"]


def verdict(log: str) -> str:
    found = re.search(r"^verdict: (\S+)$", log, re.MULTILINE)
    assert found, log
    return found.group(1)


def test_it_proves_the_subjects_and_catches_the_controls_in_one_run(serve: "Serve", locust: "Run") -> None:
    done = locust(serve())
    assert (done.returncode, verdict(done.stderr)) == (0, "ISOLATED"), done.stderr
    for name in SUBJECTS | CONTROLS:
        assert name in done.stderr
    assert "every control was caught in the same run" in done.stderr
    for name in ("local", "context"):
        assert re.search(rf"^{name}: \d+ requests besides ended by an error", done.stderr, re.MULTILINE)
    # What is there to be caught is no failure of the server.
    assert re.search(r"Aggregated +\d+ +0\(0\.00%\)", done.stderr)


def test_cross_talk_of_a_subject_is_the_exit_code_and_a_failure(serve: "Serve", locust: "Run") -> None:
    done = locust(serve("broken_apps:plain_object"))
    assert (done.returncode, verdict(done.stderr)) == (10, "CROSS-TALK"), done.stderr
    assert "cross-talk under local: " in done.stderr


def test_with_controls_alone_their_cross_talk_is_failures_of_their_own(serve: "Serve", locust: "Run") -> None:
    done = locust(serve(), "--tags", "control")
    assert done.returncode == 10, done.stderr
    assert re.search(r"cross-talk under shared-object: .*u\d+-\d+-[0-9a-f]{16}", done.stderr)
    assert "/probe/local" not in done.stderr


def test_lost_data_is_inconclusive_and_a_failure(serve: "Serve", locust: "Run") -> None:
    done = locust(serve("broken_apps:forgets"))
    assert (done.returncode, verdict(done.stderr)) == (13, "INCONCLUSIVE"), done.stderr
    assert "missing under local: nothing of its own at checkpoint 1" in done.stderr


def test_too_few_requests_are_inconclusive(serve: "Serve", locust: "Run") -> None:
    done = locust(serve(), "--min-requests", "1000000")
    assert (done.returncode, verdict(done.stderr)) == (13, "INCONCLUSIVE")


@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["alone", "two processes"])
def test_without_a_server_it_says_so(
    processes: tuple[str, ...], locust: "Run", free_port: "FreePort"
) -> None:
    done = locust(f"http://127.0.0.1:{free_port()}", *processes)
    assert done.returncode == 14
    assert "no server answers" in done.stderr
    assert "Traceback" not in done.stderr


def test_processes_of_one_machine_come_to_one_verdict(serve: "Serve", locust: "Run") -> None:
    done = locust(serve(), "--processes", "2")
    assert (done.returncode, verdict(done.stderr)) == (0, "ISOLATED"), done.stderr
    assert done.stderr.count("verdict: ") == 1


class Distributed:
    """A master without a web UI, and two workers.

    Args:
        start: starts a process.
        port: where the master listens to its workers.
        load: further options of the load, which are the master's alone, and go to the workers.

    """

    def __init__(self, start: "Start", port: str, *load: str) -> None:
        self.master = start(
            *("--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port),
            *("--expect-workers", "2", "--headless", "--only-summary", "-u", "40", "-r", "40"),
            *load,
        )
        self.workers = [start("--worker", "--master-host", "127.0.0.1", "--master-port", port) for _ in "ab"]

    def ends(self) -> tuple[int, str]:
        return self.master.end()


@pytest.fixture
def distributed(start: "Start", free_port: "FreePort", short: tuple[str, ...]) -> DistributedOver:
    """Start a master and its workers: `distributed(host, seconds=4)`."""

    def begin(host: str, seconds: int) -> Distributed:
        return Distributed(start, str(free_port()), "-t", f"{seconds}s", "--host", host, *short)

    return begin


@pytest.mark.parametrize(
    ("app", "code", "says"), [((), 0, "ISOLATED"), (("broken_apps:plain_object",), 10, "CROSS-TALK")]
)
def test_a_master_judges_what_its_workers_have_counted(
    serve: "Serve", distributed: DistributedOver, app: tuple[str, ...], code: int, says: str
) -> None:
    running = distributed(serve(*app), seconds=4)
    ended, log = running.ends()
    assert (ended, verdict(log)) == (code, says), log
    assert [worker.end()[0] for worker in running.workers] in ([0, 0], [1, 1])  # 1: with failures
    if app:
        # Whose data it was is known across the workers: the nonces tell them apart.
        assert {"w0-u", "w1-u"} <= set(re.findall(r"w\d-u", log))


def test_a_worker_that_is_killed_leaves_the_run_without_a_proof(
    serve: "Serve", distributed: DistributedOver
) -> None:
    running = distributed(serve(), seconds=6)
    running.master.wait_for("All users spawned")
    running.workers[0].process.kill()
    code, log = running.ends()
    assert (code, verdict(log)) == (13, "INCONCLUSIVE"), log
    assert "1 of 2 workers have not told what they counted in the end" in log


def test_a_worker_that_is_told_to_stop_tells_what_it_has_counted_first(
    serve: "Serve", distributed: DistributedOver
) -> None:
    running = distributed(serve(), seconds=6)
    running.master.wait_for("All users spawned")
    running.workers[0].process.terminate()
    code, log = running.ends()
    assert (code, verdict(log)) == (0, "ISOLATED"), log
