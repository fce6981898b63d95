"""A program that gunicorn imports before it patches, and after."""

from typing import Any

from crosstalk.matrix import servers


def test_with_preload_a_threading_local_is_everybodys(drive: Any) -> None:
    with servers.late_patch("broken") as base:
        seen = drive(base, "late-patch/broken")
    seen.must_be_whole()
    assert seen.cross_talk + seen.checks["missing"] > seen.checks["own"]
    assert seen.cross_talk >= 10
    assert len({report["thread"] for report in seen.reports.values()}) == 1


def test_without_it_the_same_program_keeps_requests_apart(drive: Any) -> None:
    with servers.late_patch("fixed") as base:
        seen = drive(base, "late-patch/fixed")
    seen.must_be_clean()
    assert len({report["thread"] for report in seen.reports.values()}) == 1
