"""B50 in general: however blocks and contexts nest and fail, what goes out comes back, once."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from greenlane import App
from greenlane.sql import SQLHelper


class Planned(Exception):  # noqa: N818 - it is no accident
    """What a plan raises."""


@dataclass(frozen=True)
class Block:
    """A plan: what a `with db:` block does, in this order.

    Attributes:
        own_context: it stands in an application context of its own.
        queries_first: it queries before its inner blocks.
        inner: the blocks in it, one after another.
        queries_last: it queries after them.
        fails: then it raises.
        catches: it catches what its inner blocks raise.

    """

    own_context: bool
    queries_first: bool
    inner: tuple["Block", ...]
    queries_last: bool
    fails: bool
    catches: bool

    def run(self, app: App, db: SQLHelper) -> None:
        if self.own_context:
            with app.app_context():
                self._block(app, db)
        else:
            self._block(app, db)

    def _block(self, app: App, db: SQLHelper) -> None:
        with db:
            if self.queries_first:
                db.query("SELECT 1")
            for block in self.inner:
                try:
                    block.run(app, db)
                except Planned:
                    if not self.catches:
                        raise
            if self.queries_last:
                db.query("SELECT 1")
            if self.fails:
                raise Planned

    def depth(self) -> int:
        """The most application contexts with a block at once, this one's included."""
        return self.own_context + max((block.depth() for block in self.inner), default=0)


def blocks(inner: "st.SearchStrategy[tuple[Block, ...]]") -> "st.SearchStrategy[Block]":
    flag = st.booleans()
    return st.builds(Block, flag, flag, inner, flag, flag, flag)


plans = st.recursive(
    blocks(st.just(())), lambda inner: blocks(st.lists(inner, max_size=3).map(tuple)), max_leaves=8
)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SQLHelper]:
    path: Path = tmp_path_factory.mktemp("nesting") / "nesting.db"
    db = SQLHelper(f"sqlite:///{path}", pool_size=20, timeout=1)
    yield db
    db.close()


@settings(deadline=None)
@given(plan=plans)
def test_as_many_come_back_as_go_out(db: SQLHelper, plan: Block) -> None:
    """B50: and never more than one is out for each application context."""
    app = App("nesting")
    db.init_app(app)
    out: list[object] = []
    back: list[object] = []
    most = 0

    def checkout(_connection: object, record: object, _proxy: object) -> None:
        nonlocal most
        out.append(record)
        most = max(most, len(out) - len(back))

    def checkin(_connection: object, record: object) -> None:
        back.append(record)

    event.listen(db.engine, "checkout", checkout)
    event.listen(db.engine, "checkin", checkin)
    try:
        with app.app_context():
            with suppress(Planned):
                plan.run(app, db)
            assert len(back) == len(out), "something is out although no block is open"
    finally:
        event.remove(db.engine, "checkout", checkout)
        event.remove(db.engine, "checkin", checkin)
    assert sorted(map(id, back)) == sorted(map(id, out))
    assert most <= plan.depth() + 1
    assert len(out) <= _queries(plan), "a connection was taken for nothing"


def _queries(plan: Block) -> int:
    return plan.queries_first + plan.queries_last + sum(_queries(block) for block in plan.inner)
