"""`greenlane tour` as a learner meets it: a process, its output, its signals and its exit code."""

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenlane.demo.tour import CHAPTERS

ROOT = Path(__file__).parents[2]
GREENLANE = str(Path(sys.executable).with_name("greenlane"))
ALLOWED = 60.0
"""Seconds that the whole tour may take; it takes about one."""

COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-7]|38|9[0-7])[;m]")
PLAIN = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
HEADING = re.compile(r"^(\d+)\. .* ─+$", re.MULTILINE)

ENDLESS = '''
"""A chapter that waits."""
import sys
import gevent
from greenlane.demo.tour.chapter import Chapter, Scene


def wait():
    """Wait for a minute."""
    try:
        sys.__stdout__.write("inside\\n")
        sys.__stdout__.flush()
        gevent.sleep(60)
    finally:
        sys.__stdout__.write("cleaned up\\n")


CHAPTER = Chapter("Endless", (Scene(wait, "Because.", {}),))
'''

VISIT_ENDLESS = """
from gevent import monkey
monkey.patch_all()
import sys
from endless import CHAPTER
from greenlane.demo.tour import visit
sys.exit(visit({1: CHAPTER}))
"""

WITHOUT_LOCAL = """
from gevent import monkey
monkey.patch_all()
from types import SimpleNamespace
from greenlane.cli import cli
from greenlane.demo.tour import ch04_local_by_hand, ch06_proxies, ch13_headline
for module in ch04_local_by_hand, ch06_proxies, ch13_headline:
    module.Local = SimpleNamespace
cli(["tour"])
"""

BROKEN_LOCAL = """
from gevent import monkey
monkey.patch_all()
from greenlane.cli import cli
from greenlane.context import Local
from greenlane.demo.tour import ch04_local_by_hand, ch13_headline
class OneLane(Local):
    def __init__(self):
        super().__init__()
        object.__setattr__(self, "__ident_func__", lambda: "everybody")
for module in ch04_local_by_hand, ch13_headline:
    module.Local = OneLane
cli(["tour", "--chapter", "4", "--chapter", "13", "--chapter", "1"])
"""


INTERRUPTED_IMPORT = """
import sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            raise KeyboardInterrupt
wanted = sys.argv.pop()
sys.meta_path.insert(0, Interrupt())
from greenlane.__main__ import main
main()
"""


def tour(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [GREENLANE, "tour", *arguments], capture_output=True, text=True, timeout=ALLOWED, check=False
    )


def run(program: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=ALLOWED, check=False
    )


def in_terminal(**environment: str) -> str:
    """Take chapter 1 in a terminal of 80 columns, and return all that was written to it."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [GREENLANE, "tour", "--chapter", "1"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**PLAIN, "TERM": "xterm-256color", "COLUMNS": "80", **environment},
        )
        os.close(theirs)
        shown = b"".join(iter(lambda: _read(ours), b""))
        assert process.wait(ALLOWED) == 0
    finally:
        os.close(ours)
    return shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # how Linux tells that nobody has the other end any more
        return b""


def test_the_whole_tour_in_a_pipe() -> None:
    """B55: all chapters in order, no colour codes, 80 columns, nothing on stderr, well within a minute."""
    done = tour()
    assert (done.returncode, done.stderr) == (0, "")
    assert HEADING.findall(done.stdout) == [str(number) for number in CHAPTERS]
    assert "WRONG" not in done.stdout
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert re.search(
        r"^chapters: 13, checks: \d+; everything came out as expected$", done.stdout, re.MULTILINE
    )


def test_in_a_terminal_it_is_in_colour() -> None:
    shown = in_terminal()
    assert "everything came out as expected" in shown
    assert COLOUR.search(shown)


def test_a_terminal_without_colour() -> None:
    shown = in_terminal(NO_COLOR="1")
    assert "everything came out as expected" in shown
    assert not COLOUR.search(shown)


def test_the_list() -> None:
    done = tour("--list")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{number:3}  {each.title}" for number, each in CHAPTERS.items()]


def test_chosen_chapters_come_in_the_tours_order_and_once() -> None:
    done = tour("--chapter", "11", "--chapter", "1", "--chapter", "11")
    assert (done.returncode, done.stderr) == (0, "")
    assert HEADING.findall(done.stdout) == ["1", "11"]
    assert done.stdout.splitlines()[-1].startswith("chapters: 2, ")


@pytest.mark.parametrize("number", ["0", "-1", "14", "99999999999999999999"])
def test_an_unknown_chapter_is_a_usage_error_that_lists_them(number: str) -> None:
    done = tour("--chapter", "1", "--chapter", number)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"There is no chapter {number}." in done.stderr
    for chapter in CHAPTERS.values():
        assert chapter.title in done.stderr


@pytest.mark.parametrize("arguments", [("--chapter", "one"), ("--chapter",), ("--chapters",), ("1",)])
def test_what_is_no_option_or_number_is_a_usage_error(arguments: tuple[str, ...]) -> None:
    done = tour(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_without_a_local_its_chapters_fail_and_the_others_are_shown() -> None:
    done = run(WITHOUT_LOCAL)
    assert (done.returncode, done.stderr) == (1, "")
    assert HEADING.findall(done.stdout) == [str(number) for number in CHAPTERS]
    assert re.search(r"^  WRONG  the code runs to its end: expected no error, saw", done.stdout, re.MULTILINE)
    assert "Traceback" not in done.stdout
    assert done.stdout.splitlines()[-1].endswith(", in chapter 4, 6, 13")


def test_a_local_that_keeps_nobody_apart_fails_by_what_it_did() -> None:
    """B55: the Local has one lane, so the last writer's data is read by all, and the tour says so."""
    done = run(BROKEN_LOCAL)
    assert (done.returncode, done.stderr) == (1, "")
    words = " ".join(done.stdout.split())
    assert "WRONG read from Local: expected [0, 1, 2, 3, 4], saw [4, 4, 4, 4, 4]" in words
    assert "saw {('200 OK', False, False): 1, ('500 INTERNAL SERVER ERROR'," in words
    assert "| ERROR: Exception on /1 [GET]: AttributeError: " in words
    assert "Traceback" not in done.stdout
    assert done.stdout.splitlines()[-1].endswith(", in chapter 4, 13")


def test_a_reader_that_has_seen_enough() -> None:
    """As `head` does: it takes a line and closes the pipe."""
    with subprocess.Popen([GREENLANE, "tour"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"1. A shared object")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(ALLOWED) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
@pytest.mark.parametrize("argument", ["--chapter=1", "--list"])
def test_a_full_disk_gets_one_clear_line(argument: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [GREENLANE, "tour", argument],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=ALLOWED,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "greenlane: cannot write: No space left on device\n")


@pytest.fixture
def endless(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A tour whose only scene has begun, and waits."""
    (tmp_path / "endless.py").write_text(ENDLESS)
    with subprocess.Popen(
        [sys.executable, "-c", VISIT_ENDLESS],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert "inside\n" in iter(process.stdout.readline, "")
            yield process
        finally:
            process.kill()


def test_ctrl_c_ends_it_quietly_and_lets_the_scene_clean_up(endless: "subprocess.Popen[str]") -> None:
    endless.send_signal(signal.SIGINT)
    output, errors = endless.communicate(timeout=ALLOWED)
    assert (endless.returncode, output, errors) == (130, "cleaned up\n", "")


@pytest.mark.parametrize("module", ["gevent", "greenlane.cli", "greenlane.demo.tour"])
def test_ctrl_c_while_it_is_imported_is_quiet_too(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IMPORT, "tour", module],
        capture_output=True,
        text=True,
        timeout=ALLOWED,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.skipif(
    shutil.which("make") is None or not (ROOT / ".venv" / ".ready").exists(),
    reason="the tests do not run from make's own .venv",
)
def test_make_tour_takes_arguments() -> None:
    done = subprocess.run(
        ["make", "tour", "ARGS=--list"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=ALLOWED,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "A shared object" in done.stdout
