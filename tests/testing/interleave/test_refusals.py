"""What the explorer does not control is refused, also when the program swallows the error."""

import _thread
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gevent
import pytest
from gevent import socket as cooperative
from gevent.event import Event
from gevent.threadpool import ThreadPool

from greenlane.testing.interleave import UnsupportedError, explore
from greenlane.testing.interleave.refusals import guard

USES: list[tuple[Callable[[], object], str]] = [
    (socket.socket, "a real socket"),
    (lambda: socket.getaddrinfo("localhost", 80), "a name look-up"),
    (cooperative.socket, "a real socket"),
    (lambda: cooperative.wait_read(0), "a real socket or file descriptor"),
    (lambda: threading.Thread(target=print).start(), "a native thread"),
    (lambda: _thread.start_new_thread(print, ()), "a native thread"),
    (lambda: ThreadPool(1).spawn(print), "native threads"),
    (lambda: gevent.get_hub().threadpool.apply(print), "native threads"),
    (lambda: cooperative.gethostbyname("example.invalid"), "native threads|a name look-up"),
    (lambda: subprocess.run([sys.executable, "-c", ""], check=True), "a child process"),
    (lambda: os.system("true"), "a child process"),
    (os.fork, "a child process"),
    (lambda: os.posix_spawn("/bin/true", ["true"], {}), "a child process"),
    (lambda: gevent.signal_handler(15, print), "signals"),
    (lambda: gevent.get_hub().loop.stat("/"), "a watch on a file"),
    (lambda: gevent.get_hub().loop.child(1), "a child process"),
    (lambda: gevent.get_hub().loop.prepare(), "a watcher of the event loop's own turns"),
    (lambda: gevent.get_hub().loop.run_callback_threadsafe(print), "from several native threads"),
]


@pytest.mark.parametrize(("use", "what"), USES)
def test_it_is_refused_wherever_it_is_used(use: Callable[[], object], what: str) -> None:
    def swallowing() -> None:
        with suppress(BaseException):
            use()

    def in_the_set_up() -> Any:
        swallowing()
        yield [lambda: None]

    def in_the_check() -> Any:
        yield [lambda: None]
        swallowing()

    def in_a_child() -> Any:
        yield [lambda: gevent.spawn(swallowing)]

    for program in ([use], [swallowing], in_the_set_up, in_the_check, in_a_child):
        with pytest.raises(UnsupportedError, match=f"The program uses .*({what}).* cannot be explored"):
            explore(program)
        assert guard.owner is None
    assert explore([lambda: None]).covered


def test_it_is_refused_when_what_is_left_of_a_run_cleans_up() -> None:
    def program() -> Any:
        def waiting() -> None:
            try:
                Event().wait()
            finally:
                with suppress(UnsupportedError):
                    socket.socket()

        yield [lambda: gevent.spawn(waiting)]

    with pytest.raises(UnsupportedError, match="a real socket"):
        explore(program)


def test_a_program_cannot_explore_another() -> None:
    with pytest.raises(UnsupportedError, match="cannot explore another one"):
        explore([lambda: explore([lambda: None])])
    assert explore([lambda: None]).covered


def test_other_native_threads_may_do_what_they_like_meanwhile() -> None:
    done: list[object] = []
    go, finished = threading.Event(), threading.Event()

    def elsewhere() -> None:
        go.wait(10)
        with socket.socket() as connection:
            done.append(connection.fileno() >= 0)
        try:
            explore([lambda: None])
        except UnsupportedError as error:
            done.append(str(error))
        finished.set()

    thread = threading.Thread(target=elsewhere)
    thread.start()

    def program() -> Any:
        go.set()
        assert finished.wait(10)
        yield [lambda: None]

    assert explore(program).covered
    thread.join(10)
    assert done == [True, "A program cannot explore another one, nor two threads at once."]


def test_it_is_all_allowed_again_afterwards() -> None:
    explore([lambda: gevent.sleep(0)])
    with socket.socket() as connection:
        assert connection.fileno() >= 0
    with cooperative.socket() as another:
        assert another.fileno() >= 0
    assert gevent.get_hub().threadpool.apply(lambda: 7) == 7
    gevent.get_hub().threadpool.kill()
