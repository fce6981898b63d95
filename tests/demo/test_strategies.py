"""Each strategy keeps its promise: subjects hold, and each control fails for the reason that it names.

Two greenlets overlap by events: one writes, the other writes, the first reads.
"""

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import gevent
import pytest
from gevent.event import Event

from greenlane.app import App
from greenlane.demo.hazards.sharing import SharedObject
from greenlane.demo.hazards.storage import IdentReuse
from greenlane.demo.keeper import FIELDS, Reading
from greenlane.demo.strategies import STRATEGIES, Stored, Strategy, make_strategies

Lane = Callable[[], AbstractContextManager[object]]

NAMES = [strategy.name for strategy in STRATEGIES]


def both(value: str | None) -> Reading:
    return dict.fromkeys(FIELDS, value)


def lane_of(strategy: Strategy) -> Lane:
    """Return what has to be entered before the strategy can be used: contexts, for `context` alone."""
    if strategy.name != "context":
        return nullcontext
    app = App(__name__)
    return lambda: app.test_request_context("/")


def write(strategy: Strategy, value: str) -> None:
    for field in FIELDS:
        strategy.write(field, value)


def overlap(strategy: Strategy) -> tuple[Reading, Reading]:
    """Let bob write between alice's write and her read; return what each of them reads."""
    lane = lane_of(strategy)
    alice_wrote, bob_wrote = Event(), Event()
    order: list[str] = []

    def alice() -> Reading:
        with lane():
            write(strategy, "alice")
            order.append("alice wrote")
            alice_wrote.set()
            assert bob_wrote.wait(5)
            order.append("alice reads")
            return strategy.read()

    def bob() -> Reading:
        with lane():
            assert alice_wrote.wait(5)
            write(strategy, "bob")
            order.append("bob wrote")
            bob_wrote.set()
            return strategy.read()

    greenlets = [gevent.spawn(alice), gevent.spawn(bob)]
    gevent.joinall(greenlets, raise_error=True)
    assert order == ["alice wrote", "bob wrote", "alice reads"]
    return greenlets[0].get(), greenlets[1].get()


def test_the_table_names_every_strategy_once() -> None:
    assert len(set(NAMES)) == 9
    assert list(make_strategies()) == NAMES


def test_roles() -> None:
    roles = {strategy.name: strategy.role for strategy in STRATEGIES}
    assert {name for name, role in roles.items() if role == "subject"} == {"local", "context"}
    assert {name for name, role in roles.items() if role == "control"} == {
        *SharedObject.breaks,
        "id-reused",
    }


@pytest.mark.parametrize("name", sorted(SharedObject.breaks))
def test_a_control_reads_the_last_writer(name: str) -> None:
    """B1, B55: one object, one native thread: alice reads what bob wrote."""
    assert overlap(make_strategies()[name]) == (both("bob"), both("bob"))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SharedObject.breaks])
def test_the_others_keep_overlapping_greenlets_apart(name: str) -> None:
    """B54, B55: alice reads her own although bob wrote in between."""
    assert overlap(make_strategies()[name]) == (both("alice"), both("bob"))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_read_is_what_was_written_and_not_what_the_request_says(name: str) -> None:
    """One that answered from the request would be called isolated wherever replies are judged."""
    strategy = make_strategies()[name]
    headers = {"X-Nonce": "asked", "Cookie": "nonce=asked"}

    def visit() -> tuple[Reading, Reading]:
        with App(__name__).test_request_context("/?nonce=asked", data={"nonce": "asked"}, headers=headers):
            found = strategy.found()
            write(strategy, "written")
            read = strategy.read()
            strategy.release()
            return found, read

    found, read = gevent.spawn(visit).get()
    assert found == both(None)
    assert {field: read[field] for field in FIELDS} == both("written")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_found_in_a_new_strategy(name: str) -> None:
    strategy = make_strategies()[name]

    def look() -> Reading:
        with lane_of(strategy)():
            return strategy.found()

    assert gevent.spawn(look).get() == both(None)


@pytest.mark.parametrize("name", NAMES)
def test_release_forgets_both_fields_and_may_be_repeated(name: str) -> None:
    """B12: release is idempotent."""
    strategy = make_strategies()[name]

    def visit() -> tuple[Reading, Reading]:
        with lane_of(strategy)():
            write(strategy, "alice")
            before = strategy.found()
            strategy.release()
            strategy.release()
            return before, strategy.found()

    assert gevent.spawn(visit).get() == (both("alice"), both(None))


def places(strategy: Strategy) -> tuple[set[str | None], Stored]:
    """Let alice and then bob write a field; return where their data is, and what lies there then."""
    lane = lane_of(strategy)
    begin, alice_wrote, both_wrote, looked = Event(), Event(), Event(), Event()

    def visit(name: str, turn: Event, then: Event) -> str | None:
        with lane():
            assert turn.wait(5)
            strategy.write(FIELDS[0], name)
            then.set()
            assert looked.wait(5)
            return strategy.place()

    bob = gevent.spawn(visit, "bob", alice_wrote, both_wrote)
    alice = gevent.spawn(visit, "alice", begin, alice_wrote)
    begin.set()
    assert both_wrote.wait(5)
    stored = strategy.storage([alice, bob])
    looked.set()
    return {alice.get(), bob.get()}, stored


@pytest.mark.parametrize("name", NAMES)
def test_who_shares_a_place_shares_its_name(name: str) -> None:
    """The names are those of real places: as many as keep overlapping greenlets apart."""
    names, stored = places(make_strategies()[name])
    if name in SharedObject.breaks:
        assert len(names) == 1
        assert stored == {names.pop(): {FIELDS[0]: "bob"}}
    else:
        assert len(names) == 2
        assert set(stored) == names
        assert sorted(stored.values(), key=str) == [{FIELDS[0]: "alice"}, {FIELDS[0]: "bob"}]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_stored_before_a_write_and_after_a_release(name: str) -> None:
    strategy = make_strategies()[name]

    def visit() -> tuple[Stored, Stored, Stored]:
        me = [gevent.getcurrent()]
        with lane_of(strategy)():
            before = strategy.storage(me)
            write(strategy, "alice")
            between = strategy.storage(me)
            strategy.release()
            return before, between, strategy.storage(me)

    before, between, after = gevent.spawn(visit).get()
    assert before == after == {}
    assert list(between.values()) == [dict.fromkeys(FIELDS, "alice")]


def test_each_request_of_a_greenlet_has_a_g_with_a_name_of_its_own() -> None:
    """Its address would come again: the context of the one request is gone when the next comes."""
    strategy = make_strategies()["context"]
    assert strategy.place() is None
    names = []
    for _ in range(20):
        with lane_of(strategy)():
            names.append(strategy.place())
            assert strategy.place() == names[-1]
    assert len(set(names)) == 20


def test_each_strategy_says_what_is_shared() -> None:
    for strategy in STRATEGIES:
        assert strategy.shares.endswith(".")
        assert strategy.shares.startswith("Nothing: ") is (strategy.role == "subject")


def visits_in_turn(strategy: Strategy, count: int) -> list[tuple[int, Reading]]:
    """Run ``count`` greenlets one after another; each reports its id and what it finds, then writes."""

    def visit(number: int) -> tuple[int, Reading]:
        with lane_of(strategy)():
            found = strategy.found()
            write(strategy, str(number))
            return id(gevent.getcurrent()), found

    return [gevent.spawn(visit, number).get() for number in range(count)]


def test_id_reused_inherits_from_the_dead() -> None:
    """B3, B53: ids of dead greenlets come back, and their data with them."""
    visits = visits_in_turn(make_strategies()["id-reused"], 200)
    last: dict[int, int] = {}
    for number, (ident, found) in enumerate(visits):
        assert found == both(str(last[ident]) if ident in last else None)
        last[ident] = number
    assert len(last) < len(visits)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in IdentReuse.breaks])
def test_a_recycled_id_finds_nothing(name: str) -> None:
    """B53: the ids are used again, and nobody finds anything, released or not."""
    visits = visits_in_turn(make_strategies()[name], 200)
    assert len({ident for ident, _ in visits}) < len(visits)
    assert all(found == both(None) for _, found in visits)


def test_thread_ident_inherits_from_the_greenlet_before() -> None:
    """B3: one ident for all greenlets of the thread, dead or alive."""
    visits = visits_in_turn(make_strategies()["thread-ident"], 3)
    assert [found for _, found in visits] == [both(None), both("0"), both("1")]


PATCHED = """
from gevent import monkey
monkey.patch_all()
import threading, gevent
from greenlane.demo.strategies import make_strategies
for name in ("native-thread-local", "thread-ident"):
    strategy = make_strategies()[name]
    gevent.spawn(strategy.write, "first", "alice").join()
    in_greenlet = gevent.spawn(strategy.read).get()["first"]
    thread = gevent.get_hub().threadpool.apply(strategy.read)["first"]
    print(name, in_greenlet, thread)
"""


def test_in_a_patched_process_the_native_ones_are_native_still() -> None:
    """B55: greenlets of one native thread share their data, another native thread has none."""
    ran = subprocess.run([sys.executable, "-c", PATCHED], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["native-thread-local alice None", "thread-ident alice None"]


def test_id_reused_keeps_no_more_than_the_distinct_ids() -> None:
    strategy = make_strategies()["id-reused"]
    visits = visits_in_turn(strategy, 200)
    assert len(vars(strategy)["lanes"]) == len({ident for ident, _ in visits})


def test_demonstrations_share_no_strategy() -> None:
    one, other = make_strategies(), make_strategies()
    write(one["shared-object"], "alice")
    assert other["shared-object"].found() == both(None)
