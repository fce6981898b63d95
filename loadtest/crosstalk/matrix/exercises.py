"""Locust's users for the hazards: each class meets one kind of hazard the way its victims did.

A class of users is bound to one cell before it runs: ``bound_user(load)`` makes it for Locust.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

import gevent
from locust import FastHttpUser, task
from locust.contrib.fasthttp import ResponseContextManager
from locust.exception import StopUser

from crosstalk.checker import Check, Judgement
from crosstalk.connections import SharedClientPool, latest_connection
from crosstalk.history import History, Request
from crosstalk.matrix import raw
from crosstalk.matrix.listing import BROKEN
from crosstalk.matrix.plan import PlannedCell
from crosstalk.reply import InvalidReply, join, parse
from crosstalk.users import TIMEOUT, asked, end_doomed, failure

POST_SHARE = 0.25
"""The share of requests that are POSTs, with the nonce in the body too."""

BATCH = 4
"""Requests that are written at once where they are pipelined."""

PAGES = 20
"""Pages that visitors look at through a cache: few, so that they meet."""

THINKING = 0.01
"""Seconds between thinking of a nonce and sending it, where users share a variable for it."""

ENOUGH = 0.2
"""Seconds that a user rests once its cell has as many requests as it needs, and others have not."""


@dataclass(slots=True)
class CellLoad:
    """What the users of one cell do, and where their results go.

    Attributes:
        base: the server's address, without a slash at its end.
        cell: what they exercise.
        history: issues the nonces and records the replies.
        floor: complete requests after which the cell has been seen enough.
        hops: switches in each request, each with a checkpoint after it.
        pause: how long each switch waits, in milliseconds.
        pool: the connections that these users share.
        ended: whether no more requests are to be sent.
        most: requests that are issued in all, after which every user ends; None for no such end.

    """

    base: str
    cell: PlannedCell
    history: History
    floor: int
    hops: int
    pause: int
    pool: SharedClientPool
    ended: bool = False
    most: int | None = None

    @property
    def address(self) -> str:
        """Where the cell is."""
        return f"{self.base}/hazards/{self.cell.key}"

    @property
    def path(self) -> str:
        """Where it is on its server, which may be below a path itself."""
        return urlsplit(self.address).path

    def all_issued(self) -> bool:
        """Whether there are as many requests as there may be."""
        return self.most is not None and self.history.issued(self.cell.key) >= self.most

    def enough(self) -> bool:
        """Whether the cell has as many complete requests as it needs."""
        return self.history.tally(self.cell.key).requests >= self.floor


class CellUser(FastHttpUser):
    """Sends probes to one cell, one after another, over connections that its users share."""

    abstract = True
    network_timeout = TIMEOUT
    connection_timeout = TIMEOUT
    load: ClassVar[CellLoad]
    numbers: ClassVar["count[int]"] = count(1)

    def __init__(self, environment: Any) -> None:
        self.client_pool = self.load.pool
        super().__init__(environment)
        self.number = next(self.numbers)

    @task
    def take_turn(self) -> None:
        """Send one request, unless the cell has been seen enough."""
        if self.load.all_issued():
            raise StopUser
        if self.load.ended or self.load.enough():
            gevent.sleep(ENOUGH)
        else:
            self.exercise()

    def exercise(self) -> None:
        """Send one request, doomed or not, and hand the reply over."""
        load, fate = self.load, self.fate()
        request = self.issue(fate)
        with self.send(request) as response:
            if fate is not None:
                end_doomed(load.history, request, fate, response)
            else:
                self.judge(request, response, load.hops)

    def fate(self) -> str | None:
        """Draw whether the next request is doomed, and to what."""
        exercise = self.load.cell.hazard.exercise
        return exercise.fate if self.load.history.random.random() < exercise.share else None

    def issue(self, fate: str | None) -> Request:
        """Issue a nonce for the next request."""
        cell = self.load.cell
        return self.load.history.issue(
            cell.key, self.number, hazard=cell.hazard.name, strategy=cell.strategy, fate=fate
        )

    def query(self, request: Request) -> str:
        """Return the query of ``request``."""
        return urlencode(asked(request, self.load.hops, self.load.pause))

    def headers(self, request: Request) -> dict[str, str]:
        """Return the header fields of ``request``: two more carriers of its nonce."""
        return {"X-Nonce": request.nonce, "Cookie": f"nonce={request.nonce}"}

    def send(self, request: Request) -> ResponseContextManager:
        """Send ``request`` and return Locust's response, for a ``with`` block."""
        post = self.post()
        return self.client.request(
            "POST" if post else "GET",
            f"{self.load.address}?{self.query(request)}",
            name=self.load.path,
            data={"nonce": request.nonce} if post else None,
            headers=self.headers(request),
            allow_redirects=False,
            catch_response=True,
        )

    def post(self) -> bool:
        """Draw whether the next request is a POST."""
        return self.load.history.random.random() < POST_SHARE

    def judge(self, request: Request, response: ResponseContextManager, hops: int) -> None:
        """Record what came back, and tell Locust's statistics."""
        history = self.load.history
        request.connection = latest_connection()
        if response.status_code != 200:
            reason = failure(response)
            history.record_failure(request, reason)
            response.failure(reason)
            return
        try:
            body = self.whole(response.content or b"")
            reply = parse(body, strategy=request.strategy, hops=hops, hazard=request.hazard)
        except InvalidReply as error:
            history.record_failure(request, f"invalid reply: {error}")
            response.failure(f"invalid reply: {error}")
            return
        _tell(response, history.record(request, reply, body))

    def whole(self, body: bytes) -> bytes:
        """Return the reply that is in ``body``."""
        return body


class FreshUser(CellUser):
    """A connection for each request: its greenlet ends with it, and its address is used again."""

    def headers(self, request: Request) -> dict[str, str]:
        """Return the header fields, and have the connection closed."""
        return super().headers(request) | {"Connection": "close"}


class StreamUser(CellUser):
    """Reads a reply that comes piece by piece."""

    def whole(self, body: bytes) -> bytes:
        """Put the pieces together."""
        return join(body)


class AbandonedUser(StreamUser):
    """Reads a reply that comes piece by piece, and goes away in the middle of some."""

    def exercise(self) -> None:
        """Send one request, and stay, or go when the first piece has come."""
        fate = self.fate()
        request = self.issue(fate)
        if fate is None:
            with self.send(request) as response:
                self.judge(request, response, self.load.hops)
            return
        host, port = _place(self.load.base)
        with _told(self, self.load.path) as told:
            try:
                raw.abandon(
                    host, port, f"{self.load.path}?{self.query(request)}", headers=self.headers(request)
                )
            except (OSError, raw.RefusedError) as error:
                told.failed(f"before the first piece: {error}")
                self.load.history.record_failure(request, told.reason)
            else:
                self.load.history.record_doomed(request)


class PipelinedUser(CellUser):
    """Writes several requests at once: of several people, as a proxy does that keeps one connection for all.

    The first is a POST whose body is a request of its own, which a server answers that does not read it.
    """

    def exercise(self) -> None:
        """Send a batch, and hold each reply against the request in its place."""
        load, (host, port) = self.load, _place(self.load.base)
        requests = [self.issue(None) for _ in range(BATCH)]
        paths = [f"{load.path}?{self.query(request)}" for request in requests]
        first, *others = zip(paths, requests, strict=True)
        with _told(self, load.path) as told:
            try:
                with raw.Connection(host, port) as connection:
                    for request in requests:
                        request.connection = connection.number
                    replies = connection.exchange(
                        [
                            raw.post(host, first[0], first[1].nonce),
                            *(raw.get(host, path, request.nonce) for path, request in others),
                        ]
                    )
            except (OSError, raw.BrokenOff) as error:
                told.failed(str(error))
                for request in requests:
                    load.history.record_failure(request, told.reason)
                return
            for request, reply in zip(requests, replies, strict=True):
                self._record(request, reply, told)

    def _record(self, request: Request, reply: raw.RawReply, told: "_Told") -> None:
        history = self.load.history
        try:
            if reply.status != 200:
                raise InvalidReply(f"status {reply.status}")
            found = parse(reply.body, strategy=request.strategy, hops=self.load.hops, hazard=request.hazard)
        except InvalidReply as error:
            told.failed(f"invalid reply: {error}")
            history.record_failure(request, told.reason)
        else:
            if history.record(request, found, reply.body).cross_talk:
                told.failed("cross-talk")


class CachedUser(CellUser):
    """One of many visitors of a few pages: who it is, only its cookie tells."""

    def query(self, request: Request) -> str:
        """Return the query: the same for everybody who wants that page."""
        page = self.load.history.random.randrange(PAGES)
        return urlencode({"page": page, "hops": self.load.hops, "pause": self.load.pause})

    def headers(self, request: Request) -> dict[str, str]:
        """Return the cookie alone."""
        return {"Cookie": f"nonce={request.nonce}"}

    def post(self) -> bool:
        """Never: what is posted is stored by no cache."""
        return False


class SelfTestUser(CellUser):
    """A user against an echo: as all the others are, or with the mistake of one nonce for all of them."""

    current: ClassVar[Request]

    def exercise(self) -> None:
        """Send one request; in the broken cell, that of whoever was the last to think of one."""
        if self.load.cell.strategy != BROKEN:
            super().exercise()
            return
        mine = type(self).current = self.issue(None)
        gevent.sleep(THINKING)
        with self.send(self.current) as response:
            self.judge(mine, response, self.load.hops)


@dataclass(slots=True)
class _Told:
    """What Locust's statistics will be told of an exchange that its client knows nothing of."""

    reason: str = ""

    def failed(self, reason: str) -> None:
        self.reason = reason


@contextmanager
def _told(user: CellUser, name: str) -> Iterator[_Told]:
    told, started = _Told(), time.perf_counter()
    yield told
    user.environment.events.request.fire(
        request_type="RAW",
        name=name,
        response_time=(time.perf_counter() - started) * 1000,
        response_length=0,
        exception=RuntimeError(told.reason) if told.reason else None,
        context={},
    )


def _place(base: str) -> tuple[str, int]:
    parts = urlsplit(base)
    return parts.hostname or "", parts.port or 80


def _tell(response: ResponseContextManager, judgement: Judgement) -> None:
    """Mark a finding as a failure in Locust's statistics: in a line that is the same for each of its kind."""
    if judgement.stale:
        response.failure("cross-talk: stale")
    for check in (Check.FOREIGN, Check.TORN, Check.MISSING):
        if check in judgement.checks:
            response.failure(f"cross-talk: {check.value}" if check is not Check.MISSING else "missing")
            return


EXERCISES: dict[str, type[CellUser]] = {
    "kept-alive": CellUser,
    "fresh": FreshUser,
    "stream": StreamUser,
    "abandoned": AbandonedUser,
    "pipelined": PipelinedUser,
    "cached": CachedUser,
    "self-test": SelfTestUser,
}


def bound_user(load: CellLoad, users: int) -> type[CellUser]:
    """Return a class of ``users`` users that exercise one cell."""
    base = EXERCISES[load.cell.hazard.exercise.name]
    return type(load.cell.key, (base,), {"load": load, "fixed_count": users, "abstract": False})
