"""The server that the prover starts: told when it cannot start, read whatever it says, stopped at the end."""

import os
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from crosstalk import server
from crosstalk.server import running_server
from crosstalk.site import CannotRun

Pretend = Callable[[str], None]


@pytest.fixture
def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Have the prover start this program in the place of Python."""

    def put(program: str) -> None:
        file = tmp_path / "program"
        file.write_text(f"#!{sys.executable}\n{program}")
        file.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(file))

    return put


def test_a_server_that_writes_much_and_no_text_is_not_held_up(pretend: Pretend, tmp_path: Path) -> None:
    """More than a pipe holds, and bytes that are not UTF-8: it must come to the end of its writing."""
    done = tmp_path / "done"
    os.mkfifo(done)
    reading = os.open(done, os.O_RDONLY | os.O_NONBLOCK)
    pretend(f"""
import signal, sys
print("serving on http://127.0.0.1:1/", flush=True)
for _ in range(100):
    sys.stderr.buffer.write(b"\\xff" * 10_000 + b"\\n")
    sys.stdout.buffer.write(b"\\xff" * 10_000 + b"\\n")
sys.stderr.flush(), sys.stdout.flush()
open({str(done)!r}, "w").write("done")
signal.pause()
""")
    with running_server(10) as address:
        assert address == "http://127.0.0.1:1"
        assert select.select([reading], [], [], 20)[0], "the server is held up"
    os.close(reading)


def test_a_server_that_does_not_start_is_told_with_what_it_said(pretend: Pretend) -> None:
    pretend("import sys; sys.exit('no port is free')")
    with pytest.raises(CannotRun, match="did not start: no port is free"), running_server(10):
        pass


def test_a_server_that_ends_without_a_word_is_told_by_its_code(pretend: Pretend) -> None:
    pretend("import sys; sys.exit(3)")
    with pytest.raises(CannotRun, match="it ended with code 3"), running_server(10):
        pass


def test_a_server_that_never_says_where_it_serves_is_not_waited_for_long(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "STARTING", 0.2)
    pretend("import signal; signal.pause()")
    with pytest.raises(CannotRun, match="it ended with code -9"), running_server(10):
        pass


def test_a_server_is_asked_to_stop_and_may_finish(pretend: Pretend, tmp_path: Path) -> None:
    pretend(f"""
import pathlib, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(pathlib.Path({str(tmp_path)!r}, "drained").touch()))
print("serving on http://127.0.0.1:1/", flush=True)
while True:
    signal.pause()
""")
    with running_server(10):
        pass
    assert (tmp_path / "drained").exists()


def test_a_server_that_does_not_stop_is_killed(pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STOPPING", 0.2)
    pretend("""
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("serving on http://127.0.0.1:1/", flush=True)
while True:
    signal.pause()
""")
    with running_server(10):
        pass  # leaving waits for its end


@pytest.mark.skipif(sys.platform != "linux", reason="needs prctl(2)")
def test_a_server_ends_with_a_prover_that_is_killed() -> None:
    """SIGKILL leaves nobody to stop it: the kernel does."""
    program = """
import signal, subprocess
from crosstalk import server
started = subprocess.Popen
def popen(*args, **options):
    process = started(*args, **options)
    print(process.pid, flush=True)
    return process
subprocess.Popen = popen
with server.running_server(10):
    print("it serves", flush=True)
    signal.pause()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as prover:
        assert prover.stdout is not None
        pid = int(prover.stdout.readline())
        assert prover.stdout.readline() == "it serves\n"
        running = os.pidfd_open(pid)
        prover.kill()
        prover.wait()
        assert select.select([running], [], [], 20)[0], "the server goes on"
        os.close(running)
