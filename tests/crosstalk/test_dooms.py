"""Which requests of a proof are asked to end by an error."""

from collections import Counter

import pytest

from crosstalk.dooms import DOOMED_EVERY, FATE, Dooms


@pytest.mark.parametrize("strategies", [1, 2, 3, 5, 9])
def test_strategies_that_take_turns_all_have_some(strategies: int) -> None:
    dooms = Dooms(known=True)
    drawn: Counter[int] = Counter()
    for number in range(DOOMED_EVERY * strategies):
        drawn[number % strategies] += dooms.next_fate() == FATE
    assert set(drawn.values()) == {1}


def test_where_the_server_knows_no_such_fate_there_are_none() -> None:
    dooms = Dooms(known=False)
    assert {dooms.next_fate() for _ in range(2 * DOOMED_EVERY)} == {None}
