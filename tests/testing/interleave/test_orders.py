"""The helper for pytest: passing, failing with a readable message, fixtures and parameters."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import gevent
import pytest

from greenlane.testing.interleave import InterleavingError, explore, orders, pct


@orders()
def test_a_test_that_holds_in_every_order() -> Any:
    log: list[str] = []

    def function(name: str) -> None:
        log.append(name)
        gevent.sleep(0)
        log.append(name)

    yield [lambda: function("a"), lambda: function("b")]
    assert sorted(log) == ["a", "a", "b", "b"]


@pytest.mark.parametrize("steps", [1, 2])
@orders(pct(1, 2, 20), max_steps=100)
def test_fixtures_and_parameters_are_given(tmp_path: Path, steps: int) -> Any:
    assert tmp_path.is_dir()
    assert steps in (1, 2)
    yield [lambda: gevent.sleep(0)] * steps


def test_it_keeps_the_name_and_the_words_of_the_test() -> None:
    @orders()
    def check_something() -> Any:
        """B0: words."""
        yield [lambda: None]

    assert check_something.__name__ == "check_something"
    assert check_something.__doc__ == "B0: words."
    check_something()


def test_it_takes_the_options_of_explore() -> None:
    @orders(expected=(KeyError,), max_schedules=1)
    def raising() -> Any:
        def function() -> None:
            raise KeyError

        yield [function, function]

    raising()
    with pytest.raises(TypeError, match="no_option"):
        orders(no_option=1)(raising.__wrapped__)()  # type: ignore[attr-defined]


def test_forgotten_parentheses_are_told_where_they_are_forgotten() -> None:
    """Otherwise pytest looks for a fixture of the name of a parameter of the decorator."""

    def check_something() -> Any:
        yield [lambda: None]

    with pytest.raises(TypeError, match=r"^Write @orders\(\), with parentheses"):
        orders(check_something)  # type: ignore[arg-type]


TESTS = """import gevent
import pytest
from greenlane.testing.interleave import orders


class Account:
    def __init__(self, balance):
        self.balance = balance

    def withdraw(self, amount):
        before = self.balance
        gevent.sleep(0)
        self.balance = before - amount


@pytest.fixture
def amount():
    return 30


@pytest.mark.parametrize("balance", [100, 200])
@orders()
def test_withdrawing_twice(balance, amount):
    account = Account(balance)
    yield [lambda: account.withdraw(amount)] * 2
    assert account.balance == balance - 2 * amount


@orders()
def test_refused():
    import socket
    yield [socket.socket]


@orders()
def test_broken_set_up():
    raise KeyError("set-up")
    yield []


class TestInAClass:
    @orders()
    def test_holds(self):
        yield [lambda: gevent.sleep(0)]
"""


def test_pytest_shows_what_matters_and_nothing_of_the_explorer(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
    )
    text = done.stdout
    assert done.returncode == 1
    assert "4 failed, 1 passed" in text
    # What pytest explains of the assertion, and then the order in which it fails.
    assert "E        +  where 70 = <test_it.Account object at" in text
    shown = text[text.index("InterleavingError: ") :].splitlines()[:7]
    assert shown == [
        "InterleavingError: a check failed: AssertionError: assert 70 == (100 - (2 * 30))",
        "      at test_it.py:26 in test_withdrawing_twice: assert account.balance == balance - 2 * amount",
        "      found after 2 orders; replay('1:1') shows it again",
        "      2 switches (no order with fewer fails):",
        "          1  function-1  to test_it.py:12 in withdraw: gevent.sleep(0)",
        "          3  function-2  ends",
        "          4  function-1  ends",
    ]
    assert "UnsupportedError: The program uses a real socket" in text
    assert "KeyError: 'set-up'" in text
    assert "testing/interleave/" not in text


def test_the_cause_is_the_exception_of_the_program() -> None:
    def program() -> Any:
        yield [lambda: None]
        raise KeyError("mine")

    with pytest.raises(InterleavingError) as caught:
        explore(program).check()
    assert isinstance(caught.value, AssertionError)
    assert isinstance(caught.value.__cause__, KeyError)
