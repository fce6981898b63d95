"""How `greenlane run` stops: every request that has begun is finished, unless time or patience is over."""

import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import gevent
import pytest
from gevent import socket
from gevent.pool import Pool

if TYPE_CHECKING:
    from tests.e2e.conftest import Run, WaitUntil

TIMEOUT = 20.0

APPS = '''
"""Applications for the tests of the end."""
import atexit
import sys

import gevent

begun = 0


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello"]


app = hello


def counting(environ, start_response):
    """Takes a while, in several pieces, and counts how often it was called."""
    global begun
    begun += 1
    environ["wsgi.input"].read()
    gevent.sleep(0.002 * (begun % 7))
    start_response("200 OK", [])
    if begun % 2:
        return [b"x" * 1000]
    return iter([b"x" * 500, b"x" * 500])


@atexit.register
def tell():
    if begun:
        with open("begun", "w") as file:
            file.write(str(begun))


def hanging(environ, start_response):
    print("inside", flush=True)
    gevent.sleep(60)


def ending(environ, start_response):
    """Lets a native thread end the process: the signal is its own, so the sleeping loop is not disturbed."""
    import signal
    from gevent.monkey import get_original

    def end():
        get_original("time", "sleep")(0.3)
        signal.pthread_kill(get_original("threading", "get_ident")(), signal.SIGTERM)

    get_original("_thread", "start_new_thread")(end, ())
    return hello(environ, start_response)


def blocking(environ, start_response):
    print("inside", flush=True)
    while True:  # the loop never turns again
        pass


def deaf(environ, start_response):
    """Hangs with a stdout that nobody reads any more."""
    print("inside", flush=True)

    class Deaf:
        def flush(self):
            raise BrokenPipeError

    sys.stdout = Deaf()
    gevent.sleep(60)
'''


@pytest.fixture(autouse=True)
def apps(tmp_path: Path) -> Path:
    """A folder with the module `apps`, where the servers run."""
    (tmp_path / "apps.py").write_text(APPS)
    return tmp_path


def test_a_signal_that_the_sleeping_loop_does_not_feel_is_heard(run: "Run", apps: Path) -> None:
    """B45: Python notes it, and runs its handler only when the loop wakes. An idle server's may never do."""
    process = run("apps:ending")
    process.get("/", {"Connection": "close"})
    assert process.exit_code() == 0


def test_no_request_is_lost_when_it_stops_under_load(run: "Run", wait_until: "WaitUntil", apps: Path) -> None:
    """B45: as many complete replies as calls of the application, and a clean exit."""
    process = run("apps:counting", "--access-log", "off")
    complete = 0

    def is_whole(received: bytes) -> bool:
        if b"chunked" in received:
            return received.endswith(b"\r\n0\r\n\r\n")
        return received.count(b"x") == 1000

    def one_reply(sock: socket.socket, number: int) -> bool:
        """Send a request in two pieces, now and then; whether a whole reply came."""
        if number % 3:
            request = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
        else:
            request = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nHello"
        half = len(request) // 2 if number % 2 else len(request)
        sock.sendall(request[:half])
        if half < len(request):
            gevent.sleep(0.001)  # a pause in the load, as slow clients make it: nothing is awaited
            sock.sendall(request[half:])
        received = b""
        while not is_whole(received):
            data = sock.recv(4096)
            if not data:
                return False
            received += data
        return True

    def user() -> None:
        nonlocal complete
        with process.connect() as sock:
            for number in range(1_000_000):
                try:
                    if not one_reply(sock, number):
                        return
                except ConnectionError:
                    return
                complete += 1

    users = Pool()
    for _ in range(100):
        users.spawn(user)
    wait_until(lambda: complete >= 1000, "1000 replies are complete")
    process.tell(signal.SIGTERM)
    users.join(timeout=TIMEOUT)
    assert len(users) == 0
    assert process.exit_code() == 0
    assert complete == int((apps / "begun").read_text())


def test_a_request_that_has_begun_is_finished_and_health_is_503(run: "Run") -> None:
    """B45."""
    process = run("apps:hello", "--ops")
    with process.connect() as begun, process.connect() as probe, process.connect() as idle:
        begun.sendall(b"GET / HT")
        probe.sendall(b"GET /healthz HT")
        process.get()  # accepted after the others, so those were read
        process.tell(signal.SIGTERM)
        assert idle.recv(1) == b""
        process.wait_until_closed()
        for sock, status in ((begun, b"200 OK"), (probe, b"503 Service Unavailable")):
            sock.sendall(b"TP/1.1\r\nHost: test\r\n\r\n")
            reply = b"".join(iter(partial(sock.recv, 4096), b""))
            assert reply.startswith(b"HTTP/1.1 " + status)
            assert b"\r\nConnection: close\r\n" in reply
    assert process.exit_code() == 0


def test_the_limit_cuts_off_what_hangs(run: "Run") -> None:
    """B45."""
    process = run("apps:hanging", "--drain-timeout", "0.1")
    with process.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert process.next_line() == "inside\n"
        process.tell(signal.SIGTERM)
        assert client.recv(1) == b""
    assert process.exit_code() == 1
    assert "1 requests to finish, within 0.1 s" in process.errors()
    assert "cut off" in process.errors()


@pytest.mark.parametrize("app", ["hanging", "blocking", "deaf"])
def test_a_second_signal_stops_at_once(run: "Run", app: str) -> None:
    """B45: also when the loop is blocked and nothing else would ever run again, or nobody reads stdout."""
    process = run(f"apps:{app}")
    with process.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert process.next_line() == "inside\n"
        process.tell(signal.SIGTERM)
        process.tell(signal.SIGINT)
        assert process.exit_code() == 130


def test_a_second_signal_stops_at_once_until_the_very_end(
    run: "Run", wait_until: "WaitUntil", apps: Path
) -> None:
    """B45: also when the drain is over and only a thread of the application goes on."""
    (apps / "lingering.py").write_text(
        "import threading\nimport time\nfrom apps import app\n\n"
        "threading.Thread(target=time.sleep, args=(60,)).start()\n"
    )
    process = run("lingering")
    process.tell(signal.SIGTERM)
    wait_until(lambda: "greenlane: stopped" in process.errors(), "the drain is over")
    process.tell(signal.SIGTERM)
    assert process.exit_code() == 130
