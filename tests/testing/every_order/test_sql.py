"""SQLHelper in every order of two requests: one connection for each application context.

SQLite's calls do not switch, so the views do so themselves, between their queries.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from gevent import Greenlet
from greenlet import GreenletExit
from sqlalchemy import event

from greenlane.app import App
from greenlane.sql import SQLHelper
from greenlane.testing import interleave

if TYPE_CHECKING:
    from tests.testing.every_order.conftest import EveryOrder, Pause


class Shop:
    """An App with a database, whose pool is watched.

    Args:
        app: the App, before its first request.
        url: the database.
        pool_size: how many connections it may have.
        pause: called between the queries of a view.

    Attributes:
        users: who has which connection now, by the address of the connection.
        given: how often a connection was given out.

    """

    def __init__(self, app: App, url: str, pool_size: int, pause: "Pause") -> None:
        self.app, self.pause = app, pause
        self.db = SQLHelper(url, pool_size=pool_size, timeout=10.0)
        self.db.init_app(app)
        self.users: dict[int, str] = {}
        self.given = self.back = 0
        event.listen(self.db.engine, "checkout", self._give)
        event.listen(self.db.engine, "checkin", self._take_back)
        app.add_url_rule("/<name>", view_func=self.view)
        app.add_url_rule("/short/<name>", "short", self.short)
        app.add_url_rule("/open/<name>", "open", self.left_open)
        app.add_url_rule("/late/<name>", "late", self.late)
        app.add_url_rule("/nested/<name>", "nested", self.nested)

    def _give(self, *_: object) -> None:
        self.given += 1

    def _take_back(self, connection: object, *_: object) -> None:
        self.back += 1
        self.users.pop(id(connection), None)

    def own(self, name: str) -> Any:
        """Return the connection that is current, and check that nobody else has it."""
        connection = self.db.connection
        assert self.users.setdefault(id(connection.connection.dbapi_connection), name) == name
        return connection

    def view(self, name: str) -> str:
        with self.db:
            self.pause()
            mine = self.own(name)
            self.pause()
            with self.db:
                (row,) = self.db.query("SELECT :name AS name", {"name": name})
            assert self.own(name) is mine
            self.pause()
            assert self.own(name) is mine
        return str(row.name)

    def short(self, name: str) -> str:
        with self.db:
            mine = self.own(name)
            self.pause()
            assert self.own(name) is mine
        return name

    def left_open(self, name: str) -> str:
        self.db.__enter__()  # and never left
        mine = self.own(name)
        self.pause()
        assert self.own(name) is mine
        return name

    def late(self, name: str) -> str:
        self.pause()
        return self.short(name)

    def nested(self, name: str) -> str:
        with self.db:
            outer = self.own(name)
            text = interleave.request(self.app, f"/inner-{name}")().text
            assert self.own(name) is outer
        return text

    def begin(self) -> None:
        """Forget the last order."""
        self.given = self.back = 0

    def check(self, given: int) -> None:
        """Check that so many connections were given out, and that all came back."""
        assert (self.given, self.back, self.users) == (given, given, {})


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'shop.db'}"


@pytest.fixture
def shop(app: App, url: str, pause: "Pause") -> Any:
    shop = Shop(app, url, 5, pause)
    yield shop
    shop.db.close()


def visits_of(app: App, *paths: str) -> list[Callable[[], Any]]:
    return [interleave.request(app, path) for path in paths]


def test_one_connection_per_context(shop: Shop, every_order: "EveryOrder") -> None:
    """B50: the same one at each step of a request, never one that somebody else has; 8! / (4!)^2 orders."""
    visits = visits_of(shop.app, "/ada", "/bob")

    def program() -> Any:
        shop.begin()
        responses = yield visits
        assert [response.text for response in responses] == ["ada", "bob"]
        shop.check(given=2)

    every_order.holds(program, orders=70)


def test_a_nested_request_has_its_own_connection(shop: Shop, every_order: "EveryOrder") -> None:
    """B35, B50: the outer one keeps its own meanwhile."""
    visits = visits_of(shop.app, "/nested/ada", "/bob")

    def program() -> Any:
        shop.begin()
        responses = yield visits
        assert [response.text for response in responses] == ["inner-ada", "bob"]
        shop.check(given=3)

    every_order.holds(program, orders=70)


def test_a_kill_gives_the_connection_back(shop: Shop, every_order: "EveryOrder") -> None:
    """B50: at whichever step it comes; the other request keeps its own."""
    ada, bob = visits_of(shop.app, "/ada", "/bob")

    def program() -> Any:
        shop.begin()
        victim = Greenlet(ada)
        killed, response, _none = yield [victim, bob, lambda: victim.kill(block=False)]
        assert response.text == "bob"
        assert isinstance(killed, GreenletExit) or killed.text == "ada"
        shop.check(given=shop.given)
        assert shop.given in (1, 2)

    every_order.holds(program)


def test_a_block_that_never_ends(shop: Shop, every_order: "EveryOrder") -> None:
    """B50: the application context's teardown gives its connection back, and the next request has one."""
    left_open, after, other = visits_of(shop.app, "/open/ada", "/short/after", "/open/bob")

    def program() -> Any:
        shop.begin()
        (first, second), third = yield [lambda: (left_open(), after()), other]
        assert (first.text, second.text, third.text) == ("ada", "after", "bob")
        shop.check(given=3)

    every_order.holds(program, orders=10)


def test_waiting_for_the_only_connection(
    make_app: Callable[[str], App], url: str, every_order: "EveryOrder", pause: "Pause"
) -> None:
    """B50: two requests share one connection in turn, in any order; a kill in the queue loses nothing."""

    def program() -> Any:
        # A lock belongs to the hub that waited for it first, so each order has a shop of its own.
        shop = Shop(make_app("shop"), url, 1, pause)
        ada, bob, cyd = visits_of(shop.app, "/short/ada", "/late/bob", "/short/cyd")
        victim = Greenlet(bob)
        first, _killed, third, _none = yield [ada, victim, cyd, lambda: victim.kill(block=False)]
        assert (first.text, third.text) == ("ada", "cyd")
        shop.check(given=shop.given)
        shop.db.close()

    every_order.holds(program)
