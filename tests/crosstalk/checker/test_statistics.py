"""The statistics, held against exact sums."""

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstalk.checker.statistics import (
    clopper_pearson,
    exact_bound,
    log10_unseen,
    log_tail,
    rule_of_three,
)


@pytest.mark.parametrize(("requests", "bound"), [(0, 1.0), (1, 1.0), (3, 1.0), (300, 0.01), (30_000, 0.0001)])
def test_the_rule_of_three(requests: int, bound: float) -> None:
    assert rule_of_three(requests) == pytest.approx(bound)


def test_the_bounds_hold_for_independent_requests() -> None:
    """A rate at the bound would have gone unseen in one run of twenty, or in fewer by the rule of three."""
    for requests in (1, 10, 100, 15_000, 1_000_000):
        assert (1 - exact_bound(requests)) ** requests == pytest.approx(0.05)
        assert exact_bound(requests) < rule_of_three(requests)
    assert exact_bound(0) == 1.0


def exact_tail(hits: int, requests: int, rate: float) -> Fraction:
    p = Fraction(rate)
    return sum(
        (math.comb(requests, k) * p**k * (1 - p) ** (requests - k) for k in range(hits, requests + 1)),
        Fraction(0),
    )


@given(st.integers(1, 40), st.data())
def test_a_tail_is_the_sum_of_its_terms(requests: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, requests))
    rate = data.draw(st.floats(0.001, 0.999))
    assert math.exp(log_tail(hits, requests, rate)) == pytest.approx(float(exact_tail(hits, requests, rate)))


@pytest.mark.parametrize(("rate", "tail"), [(0.0, -math.inf), (1.0, 0.0)])
def test_a_tail_at_the_ends(rate: float, tail: float) -> None:
    assert log_tail(3, 10, rate) == tail
    assert log_tail(0, 10, rate) == 0.0


@given(st.integers(1, 40), st.data())
@settings(max_examples=50)
def test_each_end_of_the_interval_leaves_a_fortieth(requests: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, requests))
    lower, upper = clopper_pearson(hits, requests)
    assert lower <= hits / requests <= upper
    if hits:
        assert float(exact_tail(hits, requests, lower)) == pytest.approx(0.025)
    else:
        assert lower == 0.0
    if hits < requests:
        assert float(1 - exact_tail(hits + 1, requests, upper)) == pytest.approx(0.025)
    else:
        assert upper == 1.0


# From the F distribution's quantiles, as tables have them.
@pytest.mark.parametrize(
    ("hits", "requests", "lower", "upper"),
    [(0, 10, 0.0, 0.3085), (1, 10, 0.0025, 0.4450), (5, 10, 0.1871, 0.8129), (10, 100, 0.0490, 0.1762)],
)
def test_the_interval_is_that_of_the_tables(hits: int, requests: int, lower: float, upper: float) -> None:
    assert list(clopper_pearson(hits, requests)) == pytest.approx([lower, upper], abs=1e-4)


def test_large_numbers_neither_overflow_nor_take_long() -> None:
    assert list(clopper_pearson(100_000, 200_000)) == pytest.approx([0.49781, 0.50219], abs=1e-5)
    lower, upper = clopper_pearson(199_999, 200_000)
    assert 0.99997 < lower < 0.999995 < upper < 1


@pytest.mark.parametrize(("hits", "requests"), [(-1, 3), (4, 3)])
def test_more_hits_than_requests_are_refused(hits: int, requests: int) -> None:
    with pytest.raises(ValueError, match="hits of 3 requests"):
        clopper_pearson(hits, requests)


def test_the_chance_to_see_nothing() -> None:
    assert 10 ** log10_unseen(0.5, 10) == pytest.approx(0.5**10)
    assert log10_unseen(0.927, 15_000) < -17_000
    assert log10_unseen(1.0, 5) == -math.inf
    assert log10_unseen(0.0, 5) == log10_unseen(0.7, 0) == log10_unseen(1.0, 0) == 0.0
