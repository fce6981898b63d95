"""The tour in process: every chapter's checks hold, and each kind of wrong observation is told of."""

import io
import logging
import textwrap
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from rich.console import Console

from greenlane.app import App, has_request_context
from greenlane.context import Local
from greenlane.demo.tour import CHAPTERS, ch04_local_by_hand, ch13_headline, stage
from greenlane.demo.tour.chapter import Chapter, Observed, Rule, Scene, named
from greenlane.demo.tour.guide import MOST_LINES, Guide
from greenlane.demo.tour.stage import LONGEST, Check, play

SCENES = [
    pytest.param(scene, id=f"{number}-{scene.run.__name__}")
    for number, chapter in CHAPTERS.items()
    for scene in chapter.scenes
]


def scene_of(run: Callable[[], Observed], **expected: Any) -> Scene:
    return Scene(run, why="Because.", expected=expected)


def lead(*chapters: Chapter, width: int = 80) -> tuple[bool, str]:
    """Lead through chapters; return whether all held, and what was shown."""
    shown = io.StringIO()
    held = Guide(Console(file=shown, width=width)).lead(dict(enumerate(chapters, start=1)))
    return held, shown.getvalue()


# The chapters


@pytest.mark.parametrize("scene", SCENES)
def test_what_is_observed_is_what_is_expected(scene: Scene) -> None:
    """B1, B2, B3, B4, B5, B6, B7, B13, B14, B15, B16, B19, B20, B24, B25, B35, B46, B47, B50, B52, B55."""
    played = play(scene)
    assert [check for check in played.checks if not check.holds] == []
    assert len(played.checks) == len(scene.expected) > 0
    assert played.output


@pytest.mark.parametrize("scene", SCENES)
def test_the_code_is_short_enough_to_be_read(scene: Scene) -> None:
    for source in scene.sources:
        lines = source.splitlines()
        assert len(lines) <= 25
        assert max(map(len, lines)) <= 78
        for comment in "noqa", "type: ignore":
            assert comment not in source


def test_chapters_count_from_one_and_say_what_they_are_about() -> None:
    assert list(CHAPTERS) == list(range(1, 14))
    assert len({chapter.title for chapter in CHAPTERS.values()}) == len(CHAPTERS)
    for number, chapter in CHAPTERS.items():
        assert chapter.module.rpartition(".")[2].startswith(f"ch{number:02}_")
        assert chapter.introduction
        for scene in chapter.scenes:
            assert scene.why.endswith(".")


def test_why_a_stack_and_why_two() -> None:
    """B49: chapters 9 to 11 run the reasons: nesting, a test client, several apps, offline scripts."""
    reasons = {scene.run.__name__ for number in (9, 10, 11) for scene in CHAPTERS[number].scenes}
    assert reasons >= {"a_request_in_a_request", "a_test", "two_apps", "nested_apps"}


class Plain:
    """An object in the place of a Local: one lane for everybody."""

    __storage__: dict[object, object] = {}  # noqa: RUF012 - nobody writes to it

    def __release_local__(self) -> None:
        """Nothing to release."""


def test_a_plain_object_in_the_place_of_the_local_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ch04_local_by_hand, "Local", Plain)
    wrong = [check for check in play(ch04_local_by_hand.CHAPTER.scenes[-1]).checks if not check.holds]
    assert [(check.what, check.seen) for check in wrong] == [("read from Local", "[4, 4, 4, 4, 4]")]


def test_a_server_that_runs_one_request_at_a_time_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """B55: without overlap a threading.local is right every time, and that is not what the tour expects."""

    def one_by_one(count: int, work: Callable[[int, Callable[[], None]], Any]) -> list[Any]:
        return [work(number, lambda: None) for number in range(count)]

    monkeypatch.setattr(ch13_headline, "in_greenlets", one_by_one)
    checks = play(ch13_headline.CHAPTER.scenes[0]).checks
    assert [check.what for check in checks if not check.holds] == ["replies"]


def test_storage_by_names() -> None:
    local = Local()

    def write() -> dict[str, Any]:
        local.x = 1
        return named(local.__storage__)

    greenlet = gevent.spawn(write)
    greenlet.name = "ada's"
    assert greenlet.get() == {"ada's": {"x": 1}}
    assert named({42: {"x": 1}}) == {"42": {"x": 1}}


# Running scenes


def test_a_value_that_is_not_the_expected_one() -> None:
    [check] = play(scene_of(lambda: {"sum": 5}, sum=4)).checks
    assert check == Check("sum", "4", "5", holds=False)


def test_a_rule_is_told_with_what_was_seen() -> None:
    few = Rule("fewer than 10", lambda count: bool(count < 10))
    assert play(scene_of(lambda: {"count": 9}, count=few)).checks == (
        Check("count", "fewer than 10", "9", holds=True, rule=True),
    )
    assert [check.holds for check in play(scene_of(lambda: {"count": 10}, count=few)).checks] == [False]


def test_what_was_not_observed_and_what_nobody_expected() -> None:
    checks = play(scene_of(lambda: {"b": 2}, a=1)).checks
    assert checks == (Check("a", "1", "nothing", holds=False), Check("b", "nothing", "2", holds=False))


def test_a_scene_that_raises_is_a_check_that_does_not_hold(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> Observed:
        print("so far", end="")  # noqa: T201 - what scenes do
        raise ZeroDivisionError("of a scene")

    played = play(scene_of(fail, a=1))
    assert played.output == "so far"
    assert played.checks == (
        Check("the code runs to its end", "no error", "ZeroDivisionError: of a scene", holds=False),
    )
    assert capfd.readouterr() == ("", "")


def test_what_an_app_logs_is_part_of_the_output_without_tracebacks(
    capfd: pytest.CaptureFixture[str],
) -> None:
    app = App("failing")

    @app.get("/")
    def view() -> str:
        raise ZeroDivisionError("of a view")

    handlers = list(logging.getLogger().handlers)
    played = play(scene_of(lambda: {"code": app.test_client().get("/").status_code}, code=500))
    assert played.checks[0].holds
    assert played.output == "ERROR: Exception on / [GET]: ZeroDivisionError: of a view\n"
    assert logging.getLogger().handlers == handlers
    assert capfd.readouterr() == ("", "")


def test_a_comparison_that_raises_is_one_as_well() -> None:
    unbound = Local()("nothing")
    [check] = play(scene_of(lambda: {"a": unbound}, a=1)).checks
    assert not check.holds
    assert check.seen == "RuntimeError: no object bound to 'nothing'"


def test_a_scene_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "LIMIT", 0.02)
    ended = []

    def wait() -> Observed:
        try:
            gevent.sleep(60)
        finally:
            ended.append(True)
        return {}

    [check] = play(scene_of(wait)).checks
    assert (check.seen, check.holds, ended) == ("no end within 0.02 s", False, [True])


def test_what_a_scene_leaves_in_its_lane_reaches_no_other() -> None:
    app = App("left behind")

    def leave() -> Observed:
        app.test_request_context("/").push()
        return {"current": has_request_context()}

    def look() -> Observed:
        return {"current": has_request_context()}

    assert play(scene_of(leave, current=True)).checks[0].holds
    assert play(scene_of(look, current=False)).checks[0].holds
    assert not has_request_context()


def test_a_long_value_is_shortened() -> None:
    [check] = play(scene_of(lambda: {"a": "x" * 10_000}, a="")).checks
    assert len(check.seen) == LONGEST
    assert check.seen.endswith("...")


# Showing them


@pytest.mark.parametrize("number", CHAPTERS)
def test_what_is_shown_is_what_runs(number: int) -> None:
    """The source of each function as it stands in its file, its output, the reason, and each check."""
    chapter = CHAPTERS[number]
    held, shown = lead(chapter)
    assert held
    words = " ".join(shown.split())
    for scene in chapter.scenes:
        for source in scene.sources:
            assert textwrap.indent(source, "  ") in shown
        assert f"Why: {scene.why}" in words
        for what in scene.expected:
            assert f"\n  ok     {what}: " in shown
    assert "\n  | " in shown
    assert shown.splitlines()[-1].endswith("everything came out as expected")


@pytest.mark.parametrize("width", [60, 80, 200])
def test_it_fits_80_columns_or_a_narrower_terminal(width: int) -> None:
    _, shown = lead(*CHAPTERS.values(), width=width)
    assert max(len(line) for line in shown.splitlines()) <= min(width, 80)
    assert "\x1b" not in shown


def test_a_wrong_check_is_shown_and_the_next_chapters_still_run() -> None:
    def four() -> Observed:
        print("two and two")  # noqa: T201 - what scenes do
        return {"sum": 4}

    wrong = Chapter("Wrong", (scene_of(four, sum=5),))
    held, shown = lead(wrong, CHAPTERS[1], wrong)
    assert not held
    assert shown.count("\n  WRONG  sum: expected 5, saw 4\n") == 2
    assert "1. Wrong" in shown
    assert "2. A shared object" in shown
    assert "WRONG" not in lead(CHAPTERS[1])[1]
    assert shown.splitlines()[-1] == "chapters: 3, checks: 3, WRONG: 2, in chapter 1, 3"


def test_more_output_than_anybody_reads_is_cut_off() -> None:
    def chatter() -> Observed:
        for number in range(2000):
            print(f"line {number}")  # noqa: T201 - what scenes do
        return {"a": 1}

    _, shown = lead(Chapter("Chatter", (scene_of(chatter, a=1),)))
    assert f"| line {MOST_LINES - 1}\n" in shown
    assert f"  | ... and {2000 - MOST_LINES} more lines\n" in shown
    assert len(shown.splitlines()) < 80


def test_markup_in_what_is_shown_is_shown_as_it_is() -> None:
    def brackets() -> Observed:
        print("[bold]not bold[/bold]")  # noqa: T201 - what scenes do
        return {"[red]": "[/red]"}

    held, shown = lead(Chapter("Brackets", (Scene(brackets, "[b]Because.", {"[red]": "[/red]"}),)))
    assert held
    for text in "| [bold]not bold[/bold]", "ok     [red]: '[/red]'", "Why: [b]Because.":
        assert text in shown
