"""Locust's users: each sends probes, one after another, and hands the replies to the history.

A user class is bound to a :class:`Load` before it runs, since what to load is
learned from the server: ``bound_user(load)`` makes the class for Locust.
"""

from dataclasses import dataclass, field
from itertools import count
from typing import Any, ClassVar
from urllib.parse import urlencode

import gevent
from locust import FastHttpUser, tag, task
from locust.contrib.fasthttp import ResponseContextManager

from crosstalk.checker import Check, Judgement
from crosstalk.checker.rules import foreign_values
from crosstalk.connections import SharedClientPool, latest_connection
from crosstalk.dooms import Dooms
from crosstalk.history import History, Request
from crosstalk.reply import InvalidReply, Reply, doomed, parse

TIMEOUT = 60.0
"""Seconds that connecting to the server, or a read, may take before the request has failed."""

NAMED_FAILURES = 50
"""Cross-talks of a strategy that Locust's statistics name one by one.

Locust keeps every distinct message for its report, and a broken strategy makes as
many as it has requests.
"""

CLOSE_SHARE = 0.1
"""The share of requests that close their connection.

The rest are kept alive, so that a greenlet serves many users' requests; each of
these ends a greenlet, so that its address is used again.
"""

POST_SHARE = 0.25
"""The share of requests that are POSTs, with the nonce in the body too."""


class CrossTalk(Exception):  # noqa: N818 - the design's word
    """What Locust's statistics show where a request met somebody else's data."""


@dataclass(slots=True)
class Load:
    """What a class of users does, and where its results go.

    Attributes:
        base: the server's address, without a slash at its end.
        history: issues the nonces and records the replies.
        strategies: the names to probe, by role: users of a role take turns.
        hops: switches in each request, each with a checkpoint after it.
        pause: how long each switch waits, in milliseconds.
        pool: the connections that all users share.
        dooms: says which of the subjects' requests are to raise; None: none of them.
        expected: the strategies whose cross-talk Locust's statistics show as no failure:
            those that are there to be caught.

    """

    base: str
    history: History
    strategies: dict[str, tuple[str, ...]]
    hops: int
    pause: int
    pool: SharedClientPool
    dooms: Dooms | None = None
    expected: frozenset[str] = frozenset()
    _turns: "count[int]" = field(default_factory=count)
    _named: dict[str, int] = field(default_factory=dict)

    def next_strategy(self, role: str) -> str | None:
        """Return the strategy whose turn it is among those of ``role``; None when there is none."""
        names = self.strategies.get(role, ())
        return names[next(self._turns) % len(names)] if names else None

    def end(self) -> None:
        """Have no more requests sent.

        Said before Locust's runner stops: it kills users that wait for their next turn, and one of
        these may have begun a request by then, which would be cut off.
        """
        self.strategies = {}

    def failure_message(self, request: Request, judgement: Judgement, reply: Reply) -> str:
        """Say for Locust's statistics whose nonce was read, and where."""
        named = self._named[request.strategy] = self._named.get(request.strategy, 0) + 1
        kinds = [check.value for check in judgement.checks if check in (Check.FOREIGN, Check.TORN)]
        kind = kinds[0] if kinds else "stale"
        if named > NAMED_FAILURES:
            return f"cross-talk under {request.strategy}: {kind} (more of the same)"
        if judgement.stale:
            values = foreign_values(request.nonce, reply.found)
            return f"cross-talk under {request.strategy}: found {' and '.join(values)} before writing"
        number = next(i for i, check in enumerate(judgement.checks) if check.value == kind)
        values = foreign_values(request.nonce, reply.checkpoints[number].read)
        return (
            f"cross-talk under {request.strategy}: {kind} at checkpoint {number + 1}:"
            f" {request.nonce} read {' and '.join(values) or 'nothing in one field'}"
        )


class ProbeUser(FastHttpUser):
    """Sends probes over connections shared with the other users.

    Locust's tags choose the role: ``--tags control`` probes the controls.
    """

    abstract = True
    network_timeout = TIMEOUT
    connection_timeout = TIMEOUT
    load: ClassVar[Load]
    _numbers: ClassVar["count[int]"] = count(1)

    def __init__(self, environment: Any) -> None:
        self.client_pool = self.load.pool
        super().__init__(environment)
        self.number = next(self._numbers)

    @tag("subject")
    @task
    def subject(self) -> None:
        """Probe a strategy that must hold."""
        self._probe("subject")

    @tag("control")
    @task
    def control(self) -> None:
        """Probe a strategy that is known to be broken."""
        self._probe("control")

    @tag("observed")
    @task
    def observed(self) -> None:
        """Probe a strategy that nothing is demanded of."""
        self._probe("observed")

    def _probe(self, role: str) -> None:
        strategy = self.load.next_strategy(role)
        if strategy is None:
            gevent.sleep(1)  # the server has none of this role, or it is the end: do not spin
            return
        load = self.load
        fate = load.dooms.next_fate() if load.dooms and role == "subject" else None
        request = load.history.issue(strategy, self.number, fate=fate)
        with self._send(request) as response:
            if fate is not None:
                end_doomed(load.history, request, fate, response)
                return
            request.connection = latest_connection()
            if response.status_code != 200:
                reason = failure(response)
                load.history.record_failure(request, reason)
                response.failure(reason)
                return
            body = response.content or b""
            try:
                reply = parse(body, strategy=strategy, hops=load.hops)
            except InvalidReply as error:
                load.history.record_failure(request, f"invalid reply: {error}")
                response.failure(f"invalid reply: {error}")
                return
            judgement = load.history.record(request, reply, body)
            if strategy in load.expected:
                return
            if judgement.cross_talk:
                response.failure(CrossTalk(load.failure_message(request, judgement, reply)))
            elif Check.MISSING in judgement.checks:
                number = judgement.checks.index(Check.MISSING) + 1
                response.failure(f"missing under {strategy}: nothing of its own at checkpoint {number}")

    def _send(self, request: Request) -> ResponseContextManager:
        load, nonce = self.load, request.nonce
        draw = load.history.random.random
        query = urlencode(asked(request, load.hops, load.pause))
        headers = {"X-Nonce": nonce, "Cookie": f"nonce={nonce}"}
        if draw() < CLOSE_SHARE:
            headers["Connection"] = "close"
        post = draw() < POST_SHARE
        return self.client.request(
            "POST" if post else "GET",
            f"{load.base}/probe/{request.strategy}?{query}",
            name=f"/probe/{request.strategy}",
            data={"nonce": nonce} if post else None,
            headers=headers,
            allow_redirects=False,  # another request than the one that was sent would be judged
            catch_response=True,
        )


def asked(request: Request, hops: int, pause: int) -> dict[str, str | int]:
    """Return what a probe is asked for, as the fields of a query."""
    fields: dict[str, str | int] = {"nonce": request.nonce, "hops": hops, "pause": pause}
    return fields if request.fate is None else fields | {"fate": request.fate}


def end_doomed(history: History, request: Request, fate: str, response: ResponseContextManager) -> None:
    """Record a doomed request: that it ended as it had announced, or how else it did."""
    request.connection = latest_connection()
    if response.status_code:
        otherwise = doomed(response.status_code, response.content or b"", fate)
    else:
        otherwise = failure(response)
    if otherwise is None:
        history.record_doomed(request)
        response.success()
    else:
        history.record_failure(request, otherwise)
        response.failure(otherwise)


def failure(response: ResponseContextManager) -> str:
    """Say in a line why there is no 200: the status and what the server said, or the error."""
    if not response.status_code:
        error = getattr(response, "error", None)
        # The client's own tells the address, nonce included: a reason of its own for each request.
        return str(getattr(error, "original", None) or error or "no reply")
    said = (response.content or b"").decode(errors="replace").strip().splitlines()
    return f"status {response.status_code}" + (f": {said[0][:120]}" if said else "")


def bound_user(load: Load) -> type[ProbeUser]:
    """Return a class of users that work on ``load``.

    A class of its own, because Locust takes the tasks that its tags leave out
    away from the class itself.
    """
    return type("ProbeUser", (ProbeUser,), {"load": load, "abstract": False})
