"""What a proof looks like."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from crosstalk.history import History
from crosstalk.proof import Part, Proof, Settings, judge
from crosstalk.reply import Reply
from crosstalk.report import document, picture, show, write
from crosstalk.site import Strategy
from crosstalk.verdict import Idle

Answer = Callable[..., Reply]


@pytest.fixture
def proof(history: History, answer: Answer) -> Proof:
    """A proof in which the control was caught 300 times and the subject held."""
    strategies = {
        "shared-object": Strategy("shared-object", "control", "One object for all.", ()),
        "local": Strategy("local", "subject", "Each its own.", ("local",)),
    }
    settings = Settings("http://127.0.0.1:8000", 10, 1.0, 100, (), 7, 2, 5)
    made = Proof(settings, "http://127.0.0.1:8000", strategies, ("local",), history)
    previous = history.issue("shared-object", 0)
    for user in range(1, 302):
        probe = history.issue("shared-object", user)
        found = previous.nonce if user == 1 else None
        history.record(probe, answer(probe, probe.nonce, previous.nonce, found=found, greenlet=user))
        previous = probe
    for user in range(100):
        probe = history.issue("local", user)
        history.record(probe, answer(probe, probe.nonce, probe.nonce))
    made.parts.append(Part("controls", ("shared-object",), 10, 1.0, 301, 43, "<html>"))
    made.parts.append(Part("subjects", ("local",), 10, 2.0, 100, 10))
    judge(made, Idle({"request": 0}, {"local": 0}))
    return made


def shown(proof: Proof, width: int = 60) -> str:
    out = io.StringIO()
    show(proof, Console(file=out, width=width))
    return out.getvalue()


def test_the_terminal_shows_the_table_the_bound_the_witness_and_the_verdict(proof: Proof) -> None:
    text = shown(proof)
    row = next(line for line in text.splitlines() if line.strip().startswith("local "))
    assert row.split() == ["local", "subject", "100", "0", "200", "0", "0", "0", "0", "2", "1", "ISOLATED"]
    assert "a rate of at most 3.000% (3/N, at 95 % confidence)" in text
    assert "301 requests in 1 s over 43 connections (7.0 requests each" in text
    assert "at checkpoint 2, after a switch by sleep" in text
    assert "written by  user 1 on greenlet 0x1" in text
    assert "verdict: ISOLATED" in text
    assert "\x1b" not in text, "colour although this is no terminal"


def test_names_are_never_cut_however_narrow_the_terminal(proof: Proof) -> None:
    assert "…" not in shown(proof, width=40)


def test_a_leak_is_shown_as_what_it_is(proof: Proof) -> None:
    judge(proof, Idle({"request": 0}, {"local": 4}))
    text = shown(proof)
    assert "verdict: LEAK" in text
    assert "4 entries left in 'local' at idle" in text


def test_the_document_has_the_same_numbers(proof: Proof) -> None:
    made = json.loads(json.dumps(document(proof)))
    assert (made["schema"], made["verdict"], made["exit_code"]) == (1, "ISOLATED", 0)
    control, subject = made["strategies"]
    assert (control["verdict"], control["requests_with_cross_talk"]) == ("CROSS-TALK", 301)
    assert control["witness"]["reader"]["user"] != control["witness"]["writer"]["user"]
    assert subject["checks"] == {"own": 200, "foreign": 0, "torn": 0, "missing": 0}
    assert subject["rate_at_most"] == pytest.approx(0.03)
    assert subject["witness"] is None


def test_an_unjudged_proof_is_not_shown(proof: Proof) -> None:
    proof.finding = None
    with pytest.raises(ValueError, match="not been judged"):
        shown(proof)
    with pytest.raises(ValueError, match="not been judged"):
        document(proof)


def test_the_files_are_whole_and_nothing_else_is_left(proof: Proof, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "report"
    files = write(proof, folder, "<svg/>")
    assert sorted(each.name for each in folder.iterdir()) == [
        "locust-controls.html",
        "report.json",
        "verdict.svg",
    ]
    assert sorted(files) == sorted(folder.iterdir())
    assert json.loads((folder / "report.json").read_text())["verdict"] == "ISOLATED"


def test_a_file_that_cannot_be_written_is_not_left_half_there(proof: Proof, tmp_path: Path) -> None:
    (tmp_path / "locust-controls.html").write_text("the old one")
    proof.parts[0].html = "begins well, but \ud800 cannot be encoded"
    with pytest.raises(UnicodeEncodeError):
        write(proof, tmp_path, "<svg/>")
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]
    assert (tmp_path / "locust-controls.html").read_text() == "the old one"


def test_subjects_by_name_change_the_roles(proof: Proof) -> None:
    proof.subjects = ("shared-object",)
    assert proof.role("shared-object") == "subject"
    assert proof.role("local") == "observed"


def test_what_a_server_says_is_shown_as_it_is(history: History, answer: Answer) -> None:
    """Also what looks like markup: an IPv6 address, a name, a value in brackets."""
    strategies = {
        "[b]s[/i]": Strategy("[b]s[/i]", "subject", "", ()),
        "[i]": Strategy("[i]", "subject", "", ()),
    }
    settings = Settings(None, 10, 1.0, 100, (), 7, 2, 5)
    proof = Proof(settings, "http://[fe80::1]:8000", strategies, tuple(strategies), history)
    for name, read in (("[b]s[/i]", "[/x]"), ("[i]", None)):
        probe = history.issue(name, 1)
        history.record(probe, answer(probe, read or probe.nonce))
    judge(proof, Idle({"request": 0}, {}))
    text = shown(proof)
    assert "crosstalk prove http://[fe80::1]:8000" in text
    assert "[b]s[/i]: foreign" in text
    assert "but it read [/x]" in text
    assert "[i]: 0 of 1 requests" in text
    assert "[b]s[/i]: 0 of" not in text, "a bound on the rate of what was seen"


def test_the_picture_shows_the_verdict_and_loads_nothing(proof: Proof) -> None:
    console = Console(file=io.StringIO(), record=True, width=60)
    show(proof, console)
    svg = picture(console)
    assert svg.startswith("<svg")
    assert "ISOLATED" in svg
    assert "url(http" not in svg
