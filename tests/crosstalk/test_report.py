"""What a judged history looks like."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from crosstalk.checker import Checked, End, Left, Probe, Record, Verdict, check
from crosstalk.proof import Part, Settings, facts, header, parts_of, role_of
from crosstalk.report import document, picture, show, write
from crosstalk.site import Strategy

MakeProbe = Callable[..., Probe]

STRATEGIES = {
    "shared-object": Strategy("shared-object", "control", "One object for all.", ()),
    "local": Strategy("local", "subject", "Each its own.", ("local",)),
}
SETTINGS = Settings("http://127.0.0.1:8000", 10, 1.0, 100, (), 7, 2, 5)
LEFT = Left({"request": 0}, {"local": 0})


@pytest.fixture
def records(probe: MakeProbe) -> list[Record]:
    """A history in which the control was caught 287 times of 300 and the subject held."""
    parts = [
        Part("controls", ("shared-object",), 10, 1.0, 300, 43),
        Part("subjects", ("local",), 10, 2.0, 100, 10),
    ]
    shared = [
        probe(
            f"s{user}",
            f"s{user}",
            f"s{user - 1}" if 1 <= user <= 287 else f"s{user}",
            cell="shared-object",
            user=user,
            found="s0" if user == 200 else None,
            greenlet=user,
        )
        for user in range(300)
    ]
    own = [probe(f"o{user}", f"o{user}", f"o{user}", user=user) for user in range(100)]
    return [
        header(SETTINGS, "http://127.0.0.1:8000", STRATEGIES, ("local",)),
        *shared,
        *own,
        LEFT,
        End(400, facts(parts, None)),
    ]


@pytest.fixture
def checked(records: list[Record]) -> Checked:
    return check(lambda: records)


def shown(checked: Checked, width: int = 60) -> str:
    out = io.StringIO()
    show(checked, Console(file=out, width=width))
    return out.getvalue()


def test_the_terminal_shows_the_table_the_bound_the_witness_and_the_verdict(checked: Checked) -> None:
    text = shown(checked)
    row = next(line for line in text.splitlines() if line.strip().startswith("local "))
    assert row.split() == ["local", "subject", "100", "0", "200", "0", "0", "0", "0", "2", "1", "ISOLATED"]
    assert "a rate of at most 3.000% (3/N, at 95 % confidence; exactly 2.9513%)" in text
    assert "300 requests in 1 s over 43 connections (7.0 requests each" in text
    assert "verdict: ISOLATED" in text
    assert "\x1b" not in text, "colour although this is no terminal"


def test_each_control_tells_how_likely_a_fault_like_it_goes_unseen(checked: Checked) -> None:
    assert (
        "shared-object: caught in 287 of 300 requests (95.7%, at least 92.7%): a fault like it stays unseen"
        " in a run of 100 with a chance of 2e-114"
    ) in shown(checked).splitlines()


def test_a_witness_is_told_step_by_step(checked: Checked) -> None:
    lines = shown(checked).splitlines()
    start = lines.index("shared-object: stale")
    assert [line.rstrip() for line in lines[start : start + 9]] == [
        "shared-object: stale",
        "  read by     user 200 on greenlet 0xc8, before writing anything",
        "  whose own   s200",
        "  but it read s0",
        "  written by  user 0 on greenlet 0x0",
        "      0.000 ms  reader looked before writing",
        "   1000.000 ms  writer wrote first",
        "   2000.000 ms  writer wrote second",
        "",
    ]


def test_a_witness_whose_writer_never_replied_says_so(records: list[Record], probe: MakeProbe) -> None:
    doomed = probe("gone", cell="local", fate="kill", user=7)
    found = probe("late", "late", found="gone", user=8)
    text = shown(check(lambda: [records[0], doomed, found]))
    assert "written by  user 7 on an unknown greenlet (no reply)" in text
    assert "at some time  writer wrote first" in text


def test_a_value_that_nobody_wrote_says_so(records: list[Record], probe: MakeProbe) -> None:
    text = shown(check(lambda: [records[0], probe("late", "half \ud800", user=8)]))
    assert "written by  nobody in this run" in text
    assert "but it read half \\ud800" in text


def test_replies_off_by_one_are_told_in_a_line(records: list[Record], probe: MakeProbe) -> None:
    shifted = [probe(f"n{n}", f"n{n - 1}", connection=3, began=10.0 * n) for n in range(5)]
    text = shown(check(lambda: [records[0], *shifted]))
    assert "local: off by 1 on connection 3: 5 requests in a row each read what was written 1 before" in text


def test_names_are_never_cut_however_narrow_the_terminal(checked: Checked) -> None:
    assert "…" not in shown(checked, width=40)


def test_a_leak_is_shown_as_what_it_is(records: list[Record]) -> None:
    leaking = replace(LEFT, entries={"local": 4})
    text = shown(check(lambda: [leaking if each is LEFT else each for each in records]))
    assert "verdict: LEAK" in text
    assert "4 entries left in 'local' at idle" in text


def test_the_document_has_the_same_numbers(checked: Checked) -> None:
    made = json.loads(json.dumps(document(checked)))
    assert (made["schema"], made["verdict"], made["exit_code"]) == (1, "ISOLATED", 0)
    assert made["settings"] == {
        "users": 10,
        "duration_s": 1.0,
        "min_requests": 100,
        "hops": 2,
        "pause_ms": 5,
    }
    assert [part["name"] for part in made["parts"]] == ["controls", "subjects"]
    control, subject = made["strategies"]
    assert (control["verdict"], control["requests_with_cross_talk"]) == ("CROSS-TALK", 287)
    assert control["anomalies"]["foreign"] == 287
    assert control["statistics"]["interval"] == [
        pytest.approx(0.92704, abs=1e-5),
        pytest.approx(0.97673, abs=1e-5),
    ]
    assert control["statistics"]["unseen_chance_log10"] == pytest.approx(-113.7, abs=0.1)
    assert control["witness"]["reader"]["user"] != control["witness"]["writer"]["user"]
    assert control["witness"]["timeline"][-1]["by"] == "writer"
    assert subject["checks"] == {"own": 200, "foreign": 0, "torn": 0, "missing": 0}
    assert subject["rate_at_most"] == pytest.approx(0.03)
    assert subject["statistics"]["exact_bound"] == pytest.approx(0.02951, abs=1e-5)
    assert subject["witness"] is None


def test_a_history_that_is_cut_off_is_shown_without_what_it_lacks(records: list[Record]) -> None:
    cut = check(lambda: records[:-2])
    assert "cut off" in shown(cut)
    made = document(cut)
    assert (made["cut_off"], made["parts"], made["server"]) == ("it has no end", [], None)


def test_a_server_that_died_left_no_counts(records: list[Record]) -> None:
    end = End(400, facts([Part("subjects", ("local",), 10)], None))
    assert "subjects: the server's counts could not be read" in shown(check(lambda: [*records[:-1], end]))


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"parts": 3},
        {"parts": [3]},
        {"parts": [{"name": "x"}]},
        {
            "parts": [
                {
                    "name": "x",
                    "strategies": [],
                    "users": "many",
                    "seconds": 1,
                    "requests": 1,
                    "connections": 1,
                }
            ]
        },
    ],
)
def test_an_end_of_another_program_has_no_parts(facts: dict[str, object]) -> None:
    assert parts_of(facts) == []


def test_the_files_are_whole_and_nothing_else_is_left(checked: Checked, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "report"
    files = write(checked, {"controls": "<html>"}, folder, "<svg/>")
    assert sorted(each.name for each in folder.iterdir()) == [
        "locust-controls.html",
        "report.json",
        "verdict.svg",
    ]
    assert sorted(files) == sorted(folder.iterdir())
    assert json.loads((folder / "report.json").read_text())["verdict"] == "ISOLATED"


def test_a_file_that_cannot_be_written_is_not_left_half_there(checked: Checked, tmp_path: Path) -> None:
    (tmp_path / "locust-controls.html").write_text("the old one")
    with pytest.raises(UnicodeEncodeError):
        write(checked, {"controls": "begins well, but \ud800 cannot be encoded"}, tmp_path, "<svg/>")
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]
    assert (tmp_path / "locust-controls.html").read_text() == "the old one"


def test_subjects_by_name_change_the_roles() -> None:
    subjects = ("shared-object",)
    assert role_of("shared-object", STRATEGIES, subjects) == "subject"
    assert role_of("local", STRATEGIES, subjects) == "observed"
    cells = header(SETTINGS, "http://h", STRATEGIES, subjects).cells
    assert (cells["shared-object"].floor, cells["local"].floor) == (100, 300)
    assert cells["local"].locals == ("local",)


def test_what_a_server_says_is_shown_as_it_is(probe: MakeProbe) -> None:
    """Also what looks like markup: an IPv6 address, a name, a value in brackets."""
    strategies = {
        "[b]s[/i]": Strategy("[b]s[/i]", "subject", "", ()),
        "[i]": Strategy("[i]", "subject", "", ()),
    }
    first = header(SETTINGS, "http://[fe80::1]:8000", strategies, tuple(strategies))
    checked = check(
        lambda: [first, probe("a", "[/x]", cell="[b]s[/i]"), probe("b", "b", cell="[i]"), LEFT, End(2)]
    )
    text = shown(checked)
    assert checked.finding.verdict is Verdict.CROSS_TALK
    assert "crosstalk prove http://[fe80::1]:8000" in text
    assert "[b]s[/i]: foreign" in text
    assert "but it read [/x]" in text
    assert "[i]: 0 of 1 requests" in text
    assert "[b]s[/i]: 0 of" not in text, "a bound on the rate of what was seen"


def test_what_a_server_says_commands_no_terminal(probe: MakeProbe) -> None:
    name = "a\x1b[2Jb\ud800"
    first = header(SETTINGS, f"http://{name}", {name: Strategy(name, "subject", "", ())}, (name,))
    text = shown(check(lambda: [first, probe(f"x{name}", f"y{name}", cell=name), LEFT, End(1)]))
    assert "\x1b" not in text
    assert r"but it read ya\x1b[2Jb\ud800" in text


def test_the_picture_shows_the_verdict_and_loads_nothing(checked: Checked) -> None:
    console = Console(file=io.StringIO(), record=True, width=60)
    show(checked, console)
    svg = picture(console)
    assert svg.startswith("<svg")
    assert "ISOLATED" in svg
    assert "url(http" not in svg
