"""What ``locust -f loadtest/locustfile.py`` loads: users that check every reply against its own nonce.

By default they probe the strategies that must hold, and now and then the broken ones, which
must be caught in the same run; ``--tags control`` probes the broken ones alone, ``--strategy
NAME`` says what must hold. Needs a running server::

    make run
    locust -f loadtest/locustfile.py --host http://127.0.0.1:8000
"""

from crosstalk.plugin import install
from crosstalk.users import ProbeUser


class LaneUser(ProbeUser):
    """A user whose every request has a nonce of its own."""

    abstract = False
    # Beside the three tasks that it inherits: one request in ten is a control's.
    tasks = [ProbeUser.subject] * 8


install(LaneUser)
