"""A database connection is one more thing that must not be shared by accident.

SQLHelper lends one to each application context, from its first query to the end of
its outermost block. Here the database is a file of SQLite's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import gevent
from gevent.event import Event

from greenlane.app import App
from greenlane.demo.forms.workers import Meet, in_greenlets
from greenlane.demo.tour.chapter import Chapter, Observed, Scene
from greenlane.sql import SQLHelper


@contextmanager
def shop() -> Iterator[tuple[App, SQLHelper, Any]]:
    """Make an app, its database with one table, and the pool behind."""
    app = App("shop")
    with TemporaryDirectory() as folder:
        db = SQLHelper(f"sqlite:///{folder}/shop.db")
        db.init_app(app)
        try:
            with app.app_context(), db:
                db.execute("CREATE TABLE orders (thing TEXT)")
            yield app, db, db.engine.pool
        finally:
            db.close()


def three_lanes() -> Observed:
    """Three lanes query at once, and nest their blocks."""
    with shop() as (app, db, pool):
        out: dict[str, list[int]] = {"entered": [], "at work": []}

        def work(number: int, meet: Meet) -> bool:
            with app.app_context(), db:
                out["entered"].append(pool.checkedout())
                db.query("SELECT thing FROM orders")
                own = db.connection
                meet()  # all three have sent their query
                out["at work"].append(pool.checkedout())
                with db:  # a block in the block
                    return db.connection is own

        shared = in_greenlets(3, work)
        print(f"{out}, at the end: {pool.checkedout()}")
        return {**out, "blocks share": shared, "end": pool.checkedout()}


def two_bad_ends() -> Observed:
    """One block ends with an error, and another is killed at work."""
    with shop() as (app, db, pool):
        add = "INSERT INTO orders VALUES (:thing)"
        added = Event()

        def work(thing: str) -> None:
            with app.app_context(), db:
                db.execute(add, {"thing": thing})
                if thing == "apple":
                    raise ValueError("there are no apples")
                added.set()
                gevent.sleep(60)

        try:
            work("apple")
        except ValueError as error:
            print(f"ValueError: {error}")
        killed = gevent.spawn(work, "pear")
        added.wait()
        killed.kill()
        with app.app_context(), db:
            left = [row.thing for row in db.query("SELECT * FROM orders")]
        print(f"orders: {left}, connections out: {pool.checkedout()}")
        return {"orders": left, "connections out": pool.checkedout()}


CHAPTER = Chapter(
    "SQLHelper",
    (
        Scene(
            three_lanes,
            why="Entering takes nothing, the first query takes a connection, "
            "inner blocks share it, and the outermost end gives it back.",
            expected={
                "entered": [0, 1, 2],
                "at work": [3, 2, 1],
                "blocks share": [True, True, True],
                "end": 0,
            },
            forms=(shop,),
        ),
        Scene(
            two_bad_ends,
            why="Whatever ends a block, an error or a kill, its transaction "
            "is rolled back and its connection is ready for the next one.",
            expected={"orders": [], "connections out": 0},
        ),
    ),
)
