"""What counting requests allows to say. Pure arithmetic, for independent requests.

Independent means that whether one request meets somebody else's data says nothing
about the next. Requests of one run share a server and a load, so that is an
assumption: a fault that comes in bursts, or only after hours, is rarer in a run than
its rate. Checks within one request are certainly not independent; that is why
requests are counted. Nothing here says anything about situations that never came up.
"""

import math
from collections.abc import Callable

CONFIDENCE = 0.95


def rule_of_three(requests: int) -> float:
    """Return 3/N: roughly the rate that 0 of ``requests`` rules out at 95 % confidence; at most 1."""
    return min(1.0, 3 / requests) if requests else 1.0


def exact_bound(requests: int) -> float:
    """Return the rate p with (1 - p)^N = 0.05, which 0 of ``requests`` rules out at 95 % confidence.

    A little below the rule of three, whose 3 is -ln(0.05) rounded up.
    """
    return -math.expm1(math.log(1 - CONFIDENCE) / requests) if requests else 1.0


def clopper_pearson(hits: int, requests: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the exact two-sided interval of the rate, given ``hits`` of ``requests``.

    Clopper and Pearson (1934): the rates at which as many hits, or more (for the lower
    end), or as few, or fewer (for the upper end), would be seen in half of what the
    confidence leaves. Found by bisection.

    Raises:
        ValueError: ``hits`` is not between 0 and ``requests``.

    """
    if not 0 <= hits <= requests:
        raise ValueError(f"{hits} hits of {requests} requests")
    each_side = math.log((1 - confidence) / 2)
    lower, upper = 0.0, 1.0
    if hits > 0:
        lower = _bisect(lambda rate: log_tail(hits, requests, rate) < each_side)
    if hits < requests:
        # At most k hits at rate p are at least N - k misses at rate 1 - p.
        upper = 1 - _bisect(lambda rate: log_tail(requests - hits, requests, rate) < each_side)
    return lower, upper


def log_tail(hits: int, requests: int, rate: float) -> float:
    """Return the logarithm of the chance of at least ``hits`` among ``requests`` at ``rate``.

    Sums in logarithms, since the terms are far below what a float can hold.
    """
    if hits <= 0:
        return 0.0
    if rate <= 0:
        return -math.inf
    if rate >= 1:
        return 0.0
    term = _log_term(hits, requests, rate)
    total = term
    for k in range(hits + 1, requests + 1):
        term += math.log(requests - k + 1) - math.log(k) + math.log(rate) - math.log1p(-rate)
        total = max(total, term) + math.log1p(math.exp(-abs(total - term)))
        if term < total - 40 and k > rate * requests:  # past the peak: what follows adds nothing
            break
    return min(total, 0.0)


def log10_unseen(rate: float, requests: int) -> float:
    """Return the decimal logarithm of the chance that ``requests`` show nothing of a fault of ``rate``."""
    if requests == 0:
        return 0.0
    return -math.inf if rate >= 1 else requests * math.log1p(-rate) / math.log(10)


def _log_term(hits: int, requests: int, rate: float) -> float:
    ways = math.lgamma(requests + 1) - math.lgamma(hits + 1) - math.lgamma(requests - hits + 1)
    return ways + hits * math.log(rate) + (requests - hits) * math.log1p(-rate)


def _bisect(too_low: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):  # beyond the precision of a float
        middle = (low + high) / 2
        if too_low(middle):
            low = middle
        else:
            high = middle
    return low
