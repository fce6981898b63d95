"""Kills and timeouts at every switch: nobody else is touched, nothing stays, every teardown runs."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent import Greenlet, Timeout
from greenlet import GreenletExit

from greenlane.app import App, g, has_app_context, has_request_context, request
from greenlane.testing import interleave

if TYPE_CHECKING:
    from tests.testing.every_order.conftest import EveryOrder, Ledger, Pause


@pytest.fixture
def shop(app: App, ledger: "Ledger", pause: "Pause") -> App:
    """A view that waits a few times, and a teardown that waits, before the ledger's own teardown runs."""

    @app.get("/<name>")
    def view(name: str) -> str:
        g.name = name
        for _step in range(request.args.get("pauses", 2, type=int)):
            pause()
            assert (g.name, request.path) == (name, f"/{name}")
        return name

    @app.teardown_request
    def wait(_error: BaseException | None) -> None:
        pause()
        assert g.name == request.path[1:]

    return app


def answer(result: Any) -> str:
    """Say how a request ended: its text, or that it was killed."""
    return "killed" if isinstance(result, GreenletExit) else str(result.text)


@pytest.mark.parametrize("block", [False, True])
def test_a_kill_at_any_moment(
    shop: App, ledger: "Ledger", every_order: "EveryOrder", pause: "Pause", block: bool
) -> None:
    """B31: a request is killed before, in or after any of its steps; the others never know."""
    visits = [interleave.request(shop, f"/{name}") for name in ("ada", "bob")]

    def program() -> Any:
        ledger.clear()
        victim = Greenlet(visits[0])

        def killer() -> None:
            pause()
            victim.kill(block=block)

        ada, bob, _killer = yield [victim, visits[1], killer]
        assert answer(bob) == "bob"
        assert answer(ada) in ("ada", "killed")
        ledger.check()
        assert "/bob" in ledger.ended

    every_order.holds(program)


def test_everybody_is_killed(shop: App, ledger: "Ledger", every_order: "EveryOrder", pause: "Pause") -> None:
    """B31: two requests are killed, one after the other or at once, each at any of its steps."""
    visits = [interleave.request(shop, f"/{name}") for name in ("ada", "bob")]

    def program() -> Any:
        ledger.clear()
        victims = [Greenlet(visit) for visit in visits]

        def killer() -> None:
            gevent.killall(victims, block=False)

        yield [*victims, killer]
        ledger.check()

    every_order.holds(program)


def test_a_second_kill(shop: App, ledger: "Ledger", every_order: "EveryOrder") -> None:
    """B31: one more kill comes at any moment after the first, also into the teardown that it caused."""
    ada, bob = interleave.request(shop, "/ada?pauses=1"), interleave.request(shop, "/bob?pauses=1")

    def program() -> Any:
        ledger.clear()
        victim = Greenlet(ada)

        def killer() -> None:
            victim.kill(block=False)
            gevent.sleep(0)
            victim.kill(block=False)

        _ada, answered, _killer = yield [victim, bob, killer]
        assert answered.text == "bob"
        ledger.check()

    every_order.holds(program)


def test_a_timeout_at_any_moment(shop: App, ledger: "Ledger", every_order: "EveryOrder") -> None:
    """B31, B41: a timeout ends a connection's request at any step; its next one finds nothing of it."""
    first, second = interleave.request(shop, "/ada"), interleave.request(shop, "/again?pauses=1")
    other = interleave.request(shop, "/bob")

    def connection() -> list[str]:
        texts = []
        try:
            with Timeout(5):
                texts.append(first().text)
        except Timeout:
            texts.append("late")
        assert not has_request_context()
        assert not has_app_context()
        return [*texts, second().text]

    def program() -> Any:
        ledger.clear()
        texts, answered = yield [connection, other]
        assert texts in (["ada", "again"], ["late", "again"])
        assert answered.text == "bob"
        ledger.check()
        assert sorted(ledger.ended) == ["/ada", "/again", "/bob"]

    every_order.holds(program, sleeps="any")


def test_two_timeouts(shop: App, ledger: "Ledger", every_order: "EveryOrder") -> None:
    """B31: each of two requests has a timeout, and each timeout ends its own request or none."""
    names = ("ada", "bob")
    visits = [interleave.request(shop, f"/{name}?pauses=1") for name in names]

    def within(visit: Callable[[], Any]) -> str:
        timeout = Timeout(5)
        with timeout:
            try:
                return str(visit().text)
            except Timeout as raised:
                return "late" if raised is timeout else "another's timeout"

    def program() -> Any:
        ledger.clear()
        texts = yield [lambda visit=visit: within(visit) for visit in visits]
        assert all(text in (name, "late") for name, text in zip(names, texts, strict=True))
        ledger.check()
        assert sorted(ledger.ended) == ["/ada", "/bob"]

    every_order.holds(program, sleeps="any")
