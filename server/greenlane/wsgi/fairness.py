"""Fairness: a connection that never has to wait lets the others run all the same.

Rule: greenlets switch where they wait, and a client that is always ahead (it
pipelines, floods a body, or takes a long stream as fast as it comes) never
makes its connection wait: all others would stand still, and a signal to drain
would go unheard. So each connection counts what it does on its socket. Imports
nothing of ours.
"""

import gevent

_IN_A_ROW = 4
"""Operations before the others get a turn: enough that the turns cost little, few enough that a flood of tiny
chunks, which gevent reads byte by byte, does not hold the loop for long."""


class FairShare:
    """What one connection may do in a row."""

    def __init__(self) -> None:
        self._left = _IN_A_ROW

    def spend(self) -> None:
        """Count one operation; after several, let the other greenlets run once."""
        self._left -= 1
        if not self._left:
            self._left = _IN_A_ROW
            gevent.sleep(0)
