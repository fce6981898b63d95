"""From a judged history to results: nothing but the history is asked."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from crosstalk.checker import Cell, End, Header, Left, check
from crosstalk.matrix.results import OWN_SERVER, NotAMatrix, header_settings, make

Describe = Callable[..., dict[str, Any]]

SETTINGS = {"server": OWN_SERVER, "floor": 1, "users": 2, "hops": 1, "pause_ms": 1}


@pytest.fixture
def header(describe: Describe) -> Header:
    listing = {"hazards": [describe(counts_left=True)]}
    settings = header_settings(SETTINGS, "http://127.0.0.1:1", listing, ["local", "context", "gevent-local"])
    cells = {key: Cell("variant", 1, counts_left=True) for key in ("keep-alive/local", "keep-alive/broken")}
    return Header(7, "2026-01-01T00:00:00+00:00", ("matrix",), settings, cells)


def test_only_what_was_measured_is_in_the_results(header: Header) -> None:
    found = make(
        check(lambda: [header, Left({}, {}, {"keep-alive/local": 3}), End(0, {"seconds": {"a": 1}})])
    )
    assert list(found.cells) == ["keep-alive/local", "keep-alive/broken"]
    assert [cell.left for cell in found.cells.values()] == [3, None]
    assert found.not_applicable == {"keep-alive/context": "it is no situation for it"}
    assert (found.seed, found.settings, found.seconds) == (7, SETTINGS, {"a": 1})
    assert found.environment["command"] == ["matrix"]


@pytest.mark.parametrize(
    ("server", "entries"),
    [(OWN_SERVER, {"app_stack": 1, "local": 2}), ("http://127.0.0.1:1", {"app_stack": 1})],
)
def test_entries_of_a_server_that_others_use_may_be_theirs(
    header: Header, server: str, entries: dict[str, int]
) -> None:
    settings = {**header.settings, "matrix": SETTINGS | {"server": server}}
    left = Left({"request": 0}, {"request_stack": 0, "app_stack": 1, "local": 2})
    found = make(check(lambda: [replace(header, settings=settings), left, End(0)]))
    assert (found.entries, found.contexts, found.unknown) == (entries, {}, ())


def test_a_history_that_does_not_say_what_was_left_leaves_it_open(header: Header) -> None:
    assert make(check(lambda: [header, End(0)])).unknown == ("the history does not say",)


@pytest.mark.parametrize("name", ["hazards", "strategies", "host", "matrix", "environment"])
def test_a_history_of_something_else_is_no_matrix(header: Header, name: str) -> None:
    settings = {key: value for key, value in header.settings.items() if key != name}
    broken = [settings] if name == "host" else [settings, settings | {name: 5}]
    for each in broken:
        odd = replace(header, settings=each)
        with pytest.raises(NotAMatrix):
            make(check(lambda: [odd, End(0)]))  # noqa: B023 - it is called at once
