"""What a worker has counted, and how its master learns of it.

A worker judges every reply itself, and sends what it has counted with Locust's own
reports, each time all of it: a report that gets lost is made good by the next. When the
run ends, the master asks every worker to stop its users, let their requests finish, and
tell what it has counted in the end. One that does not leaves the run without a proof.

Is given Locust's runners, and imports Locust for types alone.
"""

import json
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gevent
from gevent.lock import RLock

from crosstalk.checker import Checker, Tally
from crosstalk.history import History

if TYPE_CHECKING:
    from locust.env import Environment
    from locust.rpc.protocol import Message
    from locust.runners import MasterRunner, WorkerRunner

logger = logging.getLogger("crosstalk")

FINISH, FINAL = "crosstalk-finish", "crosstalk-final"
"""The messages: the master asks, and the worker answers."""

COUNTED = "crosstalk"
"""The key under which Locust's reports to the master have what was counted."""

PATIENCE = 75.0
"""Seconds that a worker may take to stop its users and answer: some more than a request may take."""

MISSING = "missing"
"""What Locust calls the state of a worker whose heart has not beaten for three seconds."""


def _packed(run: str, tallies: Mapping[str, Tally]) -> dict[str, str]:
    # As JSON in ASCII: a server may have replied with half a surrogate, which Locust's messages cannot have.
    return {
        "run": run,
        "tallies": json.dumps({name: tally.as_document() for name, tally in tallies.items()}),
    }


class Worker:
    """A worker's side.

    Args:
        environment: whose runner is a worker's.

    """

    def __init__(self, environment: "Environment", runner: "WorkerRunner") -> None:
        self._runner = runner
        self._run = ""
        self._history: History | None = None
        self._ending = RLock()
        # In a greenlet of its own: it waits for users, while messages go on coming.
        runner.register_message(FINISH, self._finish, concurrent=True)
        environment.events.report_to_master.add_listener(self._report)

    def begin(self, run: str, history: History) -> None:
        """Send from now on what ``history`` counts."""
        self._run, self._history = run, history

    def end(self) -> None:
        """Stop the users and tell the master what was counted in the end."""
        with self._ending:
            self._runner.stop()
            self._runner.send_message(FINAL, self._counted())

    def _finish(self, environment: "Environment", msg: "Message") -> None:
        if msg.data["run"] != self._run:  # it came too late to be given users
            self._run, self._history = msg.data["run"], None
        self.end()

    def _report(self, client_id: str, data: dict[str, Any]) -> None:
        data[COUNTED] = self._counted()

    def _counted(self) -> dict[str, str]:
        return _packed(self._run, self._history.tallies if self._history is not None else {})


class Master:
    """The master's side: gathers what the workers of a run have counted.

    Args:
        environment: whose runner is a master's.

    """

    def __init__(self, environment: "Environment", runner: "MasterRunner") -> None:
        self._runner = runner
        self._run = ""
        self._going_on = False
        self._joined: set[str] = set()
        self._told: dict[str, dict[str, Tally]] = {}
        self._final: set[str] = set()
        runner.register_message(FINAL, self._take_final)
        environment.events.worker_report.add_listener(self._take_report)
        environment.events.worker_connect.add_listener(self._join)

    def begin(self, run: str) -> None:
        """Forget the last run: those who are there now take part in this one, and those who join."""
        self._run, self._going_on = run, True
        self._told, self._final = {}, set()
        clients = self._runner.clients
        self._joined = {client.id for client in clients.ready + clients.spawning + clients.running}

    def finish(self) -> None:
        """Have every worker stop its users, and wait for what they have counted in the end."""
        if self._going_on:
            self._going_on = False
            self._runner.send_message(FINISH, {"run": self._run})
        deadline = time.monotonic() + PATIENCE
        while any(not self._gone(worker) for worker in self.lost()) and time.monotonic() < deadline:
            gevent.sleep(0.05)

    def checker(self) -> Checker:
        """Return a checker that has counted what all workers have."""
        checker = Checker()
        for tallies in self._told.values():
            checker.merge(tallies)
        return checker

    def lost(self) -> list[str]:
        """Return the workers of this run that have not told what they counted in the end."""
        return sorted(self._joined - self._final)

    def cut(self) -> str | None:
        """Say why not everything has been counted, if so."""
        if lost := self.lost():
            return (
                f"{len(lost)} of {len(self._joined)} workers have not told what they counted in the end:"
                f" {', '.join(lost)}"
            )
        return None

    def state(self) -> list[dict[str, Any]]:
        """Return the workers of this run."""
        return [
            {"name": name, "gone": self._gone(name), "final": name in self._final}
            for name in sorted(self._joined)
        ]

    def _gone(self, worker: str) -> bool:
        client = self._runner.clients.get(worker)
        return client is None or client.state == MISSING

    def _join(self, client_id: str) -> None:
        if self._going_on:
            self._joined.add(client_id)

    def _take_report(self, client_id: str, data: dict[str, Any]) -> None:
        if client_id not in self._final and COUNTED in data:
            self._take(client_id, data[COUNTED])

    def _take_final(self, environment: "Environment", msg: "Message") -> None:
        if self._take(msg.node_id, msg.data):
            self._final.add(msg.node_id)

    def _take(self, worker: str, counted: Any) -> bool:
        """Keep what a worker has counted in this run, and return whether it was that."""
        try:
            if counted["run"] != self._run:
                return False
            self._told[worker] = {
                name: Tally.from_document(each) for name, each in json.loads(counted["tallies"]).items()
            }
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            # Such as one of another version: without its counts there is no proof.
            logger.error("the worker %s tells what cannot be read: %r", worker, error)
            return False
        return True
