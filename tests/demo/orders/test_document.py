"""The document of a program: the same in every process, and in itself consistent."""

import json
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from greenlane.demo.orders.document import document
from greenlane.demo.orders.page import failing_order
from greenlane.demo.orders.programs import PROGRAMS
from greenlane.demo.strategies import STRATEGIES, SharedObject

LARGEST = 60_000


def printed(*command: str, seed: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": seed},
    )


@pytest.fixture(scope="module")
def documents() -> dict[str, str]:
    return {name: document(program) for name, program in PROGRAMS.items()}


def test_it_is_the_same_in_every_process(documents: dict[str, str]) -> None:
    """Byte for byte, whatever the hashes and the addresses are."""
    for name, seed in (("two", "1"), ("kept-alive", "2")):
        ran = printed("-m", "greenlane.demo.orders", name, seed=seed)
        assert (ran.stdout, ran.stderr) == (documents[name], "")


PATCHING = """
import runpy, sys
from gevent import monkey
def patch_all():
    sys.stderr.write(" ".join(sorted(name for name in sys.modules if name.startswith("greenlane"))))
monkey.patch_all = patch_all
sys.argv = ["orders", "two"]
runpy.run_module("greenlane.demo.orders", run_name="__main__")
"""


def test_it_patches_before_it_imports_anything(documents: dict[str, str]) -> None:
    """What is imported by then are the packages on the way; and unpatched it is the same document."""
    ran = printed("-c", PATCHING, seed="3")
    assert ran.stderr.split() == ["greenlane", "greenlane.demo", "greenlane.demo.orders"]
    assert ran.stdout == documents["two"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_is_small_and_has_no_addresses(name: str, documents: dict[str, str]) -> None:
    assert len(documents[name]) < LARGEST
    assert "0x" not in documents[name]


@pytest.mark.parametrize("name", PROGRAMS)
def test_its_counts_are_those_of_its_runs(name: str, documents: dict[str, str]) -> None:
    whole: dict[str, Any] = json.loads(documents[name])
    assert whole["orders"] == sorted(set(whole["orders"]))
    assert [strategy["name"] for strategy in whole["strategies"]] == [each.name for each in STRATEGIES]
    for strategy in whole["strategies"]:
        fails, kinds = 0, Counter[str]()
        assert len(strategy["runs"]) == len(whole["orders"])
        for order, (after, results) in zip(whole["orders"], strategy["runs"], strict=True):
            assert len(after) == len(order)
            assert len(results) == len(strategy["kept"]) == len(whole["requests"])
            assert all(len(strategy["states"][state]) == len(strategy["places"]) for state in after)
            judged = {strategy["results"][result][3] for result in results}
            fails += judged != {"own"}
            kinds.update(judged - {"own"})
        assert (strategy["fails"], strategy["kinds"]) == (fails, dict(kinds))


def test_a_failing_order_is_told_step_by_step(documents: dict[str, str]) -> None:
    whole = json.loads(documents["two"])
    told = {strategy["name"]: failing_order(whole, strategy) for strategy in whole["strategies"]}
    assert told["shared-object"] == ["a writes", "b writes", "a reads b: foreign", "b reads b: own"]
    assert told["local"] == []


def test_what_was_found_and_torn_is_told_too(documents: dict[str, str]) -> None:
    kept_alive, fields = json.loads(documents["kept-alive"]), json.loads(documents["fields"])
    by_greenlet = next(each for each in kept_alive["strategies"] if each["name"] == "gevent-local")
    assert failing_order(kept_alive, by_greenlet) == [
        "a finds nothing, writes",
        "a reads a: own",
        "b finds nothing, writes",
        "b reads b: own",
        "c finds a: stale, writes",
        "c reads c: own",
    ]
    shared = next(each for each in fields["strategies"] if each["name"] == "shared-object")
    told = [step for step in failing_order(fields, shared) if "reads" in step]
    assert failing_order(fields, shared)[:2] == ["a writes first", "a writes second"]
    assert told == ["a reads b and a: torn", "b reads b: own"]


def test_there_is_no_such_program() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "greenlane.demo.orders", "four"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "two,fields,three,kept-alive" in ran.stderr


def test_strategies_may_be_chosen() -> None:
    whole = json.loads(document(PROGRAMS["two"], [SharedObject]))
    assert [(each["name"], each["fails"]) for each in whole["strategies"]] == [("shared-object", 4)]
