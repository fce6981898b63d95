"""The explorer's benchmark: its programs accuse nobody who holds, and its table says what was counted."""

from typing import Any

import pytest
from click.testing import CliRunner

from bench import interleave as benchmark
from greenlane.demo.strategies import make_strategies
from greenlane.testing import interleave

MAKERS = [make for _words, make, _names in benchmark.CASES]


@pytest.mark.parametrize("make", MAKERS)
def test_a_strategy_that_holds_is_not_accused(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs of connections release nothing, so there the strategy does so before each write."""

    def releasing() -> Any:
        made = make_strategies()
        local = made["local"]
        monkeypatch.setattr(local, "found", lambda: local.release() or type(local).found(local))
        return made

    monkeypatch.setattr(benchmark, "make_strategies", releasing)
    found = interleave.explore(make("local"), interleave.pct(1, 3, 200)).check()
    assert found.schedules == 200


@pytest.mark.parametrize(("_words", "make", "names"), benchmark.CASES)
def test_each_broken_strategy_is_caught(_words: str, make: Any, names: tuple[str, ...]) -> None:
    for name in names:
        count = benchmark.orders_until(make(name), interleave.pct(0, 3, 2_000))
        assert count is not None, f"{name} was not caught"


def test_a_program_that_fails_otherwise_is_no_catch() -> None:
    def program() -> Any:
        yield [lambda: 1 / 0]

    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        benchmark.orders_until(program, interleave.exhaustive())


def test_the_shares_of_the_seeds() -> None:
    until = benchmark.Until([*range(1, 20), None])
    assert [until.at(share) for share in (0.5, 0.95, 1.0)] == [10, 19, None]
    assert until.in_words(2_000) == "10 / 19 / > 2,000"


def test_the_requests_of_the_benchmark_overlap() -> None:
    found = interleave.explore(benchmark.three_requests(), max_schedules=50).check()
    assert found.estimate is not None
    assert abs(found.estimate - benchmark.THREE_OF_FOUR) < benchmark.THREE_OF_FOUR / 4


def test_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "CASES", benchmark.CASES[:1])
    done = CliRunner().invoke(benchmark.main, ["--seeds", "2", "--no-all-orders"])
    assert done.exit_code == 0
    assert "two requests of 4 steps" in done.output
    assert "shared-object" in done.output
    assert "at once" in done.output
