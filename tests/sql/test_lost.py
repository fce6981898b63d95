"""SQLHelper where a block never ends and no teardown function sees it: the place comes back all the same.

A place that is lost is lost until the process ends, and without places every query waits in vain.
"""

import gc
from typing import TYPE_CHECKING

import gevent
import pytest

from greenlane import App, g

if TYPE_CHECKING:
    from tests.sql.conftest import Ledger, MakeDB

    from greenlane.sql import SQLHelper


def begin(app: App, db: "SQLHelper") -> None:
    """Push a context, open a block, and take a connection: all of it to be left like that."""
    app.app_context().push()
    db.__enter__()
    db.query("SELECT 1")


def test_a_context_that_died_with_its_greenlet_keeps_no_place(app: App, make_db: "MakeDB") -> None:
    """B50."""
    db = make_db(pool_size=1, timeout=0.2)
    for _ in range(3):
        job = gevent.spawn(begin, app, db)
        job.join(10)
        assert job.successful(), "no connection was free"
        gevent.idle()  # gevent tells of its end after those who joined
        gc.collect()


@pytest.mark.parametrize("inner", [False, True], ids=["a context", "a block"])
def test_what_a_teardown_function_leaves_keeps_no_place(
    app: App, db: "SQLHelper", ledger: "Ledger", inner: bool
) -> None:
    """B50: a teardown function before the helper's left a context, whose g is not the one to look into."""

    @app.teardown_appcontext
    def careless(_error: BaseException | None) -> None:
        if "careless" in g:
            if inner:
                begin(app, db)
            else:
                app.app_context().push()

    for _ in range(2 * 5):  # twice as often as the helper has places
        with pytest.raises(AssertionError, match="was left on top"), app.app_context():  # noqa: PT012 - its end raises
            g.careless = True
            db.__enter__()
            db.query("SELECT 1")
        gc.collect()
    with app.app_context(), db:
        assert db.query("SELECT 1")
    assert ledger.out == ledger.back
