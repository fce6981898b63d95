"""When an interrupt takes effect: at once, and where something is being made, afterwards."""

import signal
from collections.abc import Callable

import pytest

from crosstalk.interrupts import interruptible, put_off

NUMBERS = [signal.SIGINT, signal.SIGTERM]


def interrupted(doing: Callable[[], None]) -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        doing()


@pytest.mark.parametrize("number", NUMBERS)
def test_what_must_not_be_left_half_made_is_made_first(number: signal.Signals) -> None:
    done = []

    def make() -> None:
        with put_off():
            signal.raise_signal(number)
            done.append("made")
        done.append("went on")

    interrupted(make)
    assert done == ["made"]


@pytest.mark.parametrize("number", NUMBERS)
def test_afterwards_an_interrupt_is_one_at_once(number: signal.Signals) -> None:
    before, done = signal.getsignal(number), []

    def go_on() -> None:
        with put_off():
            done.append("made")
        signal.raise_signal(number)
        done.append("went on")

    interrupted(go_on)
    assert done == ["made"]
    assert signal.getsignal(number) is before
