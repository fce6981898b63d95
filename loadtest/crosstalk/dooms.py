"""Dooms: which requests of a proof are asked to end by an error. Nothing here imports Locust."""

from itertools import count

FATE = "raise"
"""How a request announces that its view is to raise, where the server's probes know that."""

DOOMED_EVERY = 47
"""Of so many requests of the subjects one is doomed.

What is popped or released on success alone shows with these. A prime, so that strategies
that take turns all have some.
"""


class Dooms:
    """Deals out fates to the requests of the subjects, in the order in which they are sent.

    Args:
        known: whether the server's probes can be asked to raise: otherwise there are none.

    """

    def __init__(self, known: bool) -> None:
        self._known = known
        self._numbers = count(1)

    def next_fate(self) -> str | None:
        """Return to what the next request is doomed; None when it is not."""
        return FATE if self._known and next(self._numbers) % DOOMED_EVERY == 0 else None
