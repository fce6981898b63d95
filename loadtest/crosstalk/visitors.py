"""Locust's visitors of the notes: each has a session of its own and knows its rows by heart.

Needs a server whose ``/notes.json`` is the demonstration's; nothing here imports it.
"""

import logging
from itertools import count
from random import Random
from typing import Any, ClassVar

from locust import FastHttpUser, events, task
from locust.contrib.fasthttp import ResponseContextManager
from locust.env import Environment

from crosstalk.checker import Verdict
from crosstalk.connections import SharedClientPool
from crosstalk.notes import NAMED, InvalidReply, Reply, Rows, Tally, Visitor, parse
from crosstalk.plugin import CONNECTIONS
from crosstalk.users import TIMEOUT, CrossTalk, failure

logger = logging.getLogger("crosstalk")


class NotesUser(FastHttpUser):
    """Writes, reads and deletes notes, and compares each reply with its own rows.

    The connections are shared with the other visitors, so that the next request on one is
    somebody else's; the cookies are each visitor's own.
    """

    abstract = True
    network_timeout = TIMEOUT
    connection_timeout = TIMEOUT
    tally: ClassVar[Tally]
    shared_pool: ClassVar[SharedClientPool]
    _numbers: ClassVar["count[int]"] = count(1)

    def __init__(self, environment: Environment) -> None:
        self.client_pool = self.shared_pool
        super().__init__(environment)
        self._visitor: Visitor | None = None
        self._token = ""
        self._notes: tuple[tuple[int, str], ...] = ()

    @task(3)
    def write(self) -> None:
        """Add a note."""
        if visitor := self._arrived():
            self._send(visitor, "add a note", "/notes.json", {"text": visitor.write()})

    @task(2)
    def read(self) -> None:
        """Look at the notes."""
        if visitor := self._arrived():
            self._send(visitor, "read notes", "/notes.json")

    @task(1)
    def delete(self) -> None:
        """Delete the oldest note."""
        if (visitor := self._arrived()) and self._notes:
            number, text = self._notes[-1]
            visitor.delete(text)
            self._send(visitor, "delete a note", f"/notes/{number}/delete.json", {})

    def _arrived(self) -> Visitor | None:
        """Return the visitor, who is new at first and after a failure; None when that failed."""
        if self._visitor is None:
            # Whether a failed request was carried out is not known: somebody new has nothing to know.
            self.client.cookiejar.clear()
            visitor = self._visitor = Visitor(next(self._numbers), Random())  # noqa: S311 - no secrets
            self._send(visitor, "arrive", "/notes.json")
        return self._visitor

    def _send(self, visitor: Visitor, name: str, path: str, form: dict[str, str] | None = None) -> None:
        with self.client.request(
            "GET" if form is None else "POST",
            f"{(self.host or '').rstrip('/')}{path}",
            name=name,
            data=None if form is None else form | {"token": self._token},
            allow_redirects=False,
            catch_response=True,
        ) as response:
            self._judge(visitor, response)

    def _judge(self, visitor: Visitor, response: ResponseContextManager) -> None:
        tally = self.tally
        try:
            if response.status_code != 200:
                raise InvalidReply(failure(response))
            reply = parse(response.content or b"")
        except InvalidReply as error:
            tally.failed += 1
            self._visitor = None
            response.failure(str(error))
            return
        rows = self._count(visitor, reply)
        self._token, self._notes = reply.token, reply.notes
        if rows is not Rows.OWN:
            named = tally.replies[rows] <= NAMED
            message = f"{rows.value} rows" + (
                f": {visitor.difference(reply)}" if named else " (more of the same)"
            )
            response.failure(CrossTalk(message) if rows is Rows.FOREIGN else message)
            self._visitor = None

    def _count(self, visitor: Visitor, reply: Reply) -> Rows:
        tally = self.tally
        rows = visitor.judge(reply)
        tally.replies[rows] += 1
        tally.overlapped += reply.switched
        tally.peak_in_flight = max(tally.peak_in_flight, reply.in_flight)
        return rows


def install(user_class: type[NotesUser]) -> None:
    """Have Locust's events prepare ``user_class``, and judge what it did."""

    def start(**_: Any) -> None:
        user_class.tally = Tally()
        user_class.shared_pool = SharedClientPool(CONNECTIONS, TIMEOUT)

    def stop(**_: Any) -> None:
        user_class.shared_pool.close()

    def end(environment: Environment, **_: Any) -> None:
        tally = getattr(user_class, "tally", None)
        if tally is None:
            return
        shown = ", ".join(f"{number:,} {rows.value}" for rows, number in tally.replies.items())
        logger.info(
            "notes: %s replies (%s), %s failed, %s with another visitor in between, at most %s in flight",
            f"{tally.requests:,}",
            shown or "none",
            f"{tally.failed:,}",
            f"{tally.overlapped:,}",
            f"{tally.peak_in_flight:,}",
        )
        reason = tally.inconclusive()
        if tally.replies[Rows.FOREIGN]:
            verdict = Verdict.CROSS_TALK
            reason = f"{tally.replies[Rows.FOREIGN]:,} replies had rows of somebody else"
        else:
            verdict = Verdict.INCONCLUSIVE if reason else Verdict.ISOLATED
        logger.info("notes: %s%s", verdict.value, f": {reason}" if reason else "")
        environment.process_exit_code = verdict.exit_code

    events.test_start.add_listener(start)
    events.test_stop.add_listener(stop)
    events.quitting.add_listener(end)
