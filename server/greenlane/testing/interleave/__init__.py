"""Every order: runs a few greenlets in all the orders in which they can run.

A race shows when a switch comes at the wrong moment. A test that runs once sees
one order, a load test those that happen. :func:`explore` takes the place of
gevent's event loop, decides at each switch who goes on, and runs the program
again for every decision: what holds then holds in every order, and what fails
comes with a schedule that shows it again.

::

    from greenlane.testing.interleave import explore, orders

    @orders()
    def test_withdrawing_twice():
        account = Account(100)
        yield [lambda: account.withdraw(30)] * 2
        assert account.balance == 40

Programs use gevent as ever: ``sleep``, locks, events, queues, pools, timeouts,
``spawn``, and the standard library's own when it is monkey-patched. Time is
virtual. ``docs/interleave.md`` tells what is covered and what is not.
"""

from greenlane.testing.interleave.errors import InterleavingError, UnsupportedError
from greenlane.testing.interleave.http import request
from greenlane.testing.interleave.modes import exhaustive, gevent_order, pct, random, replay
from greenlane.testing.interleave.orders import orders
from greenlane.testing.interleave.outcome import Parting, Problem, Waiting
from greenlane.testing.interleave.search import Exploration, Failure, explore
from greenlane.testing.interleave.tasks import Place, Step

__all__ = [
    "Exploration",
    "Failure",
    "InterleavingError",
    "Parting",
    "Place",
    "Problem",
    "Step",
    "UnsupportedError",
    "Waiting",
    "exhaustive",
    "explore",
    "gevent_order",
    "orders",
    "pct",
    "random",
    "replay",
    "request",
]
