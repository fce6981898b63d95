"""Seals: what is kept bears one, what is read back bears none, and what nobody wrote is told."""

import pytest

from greenlane.demo.seal import UNSEALED, Seal


@pytest.mark.parametrize("nonce", ["a", "u1-2-3f", "x" * 64])
def test_what_was_put_on_is_taken_off(nonce: str) -> None:
    seal = Seal()
    assert seal.put_on(nonce) != nonce
    assert seal.take_off(seal.put_on(nonce)) == nonce


def test_nothing_is_nothing() -> None:
    assert Seal().take_off(None) is None


def test_what_bears_no_seal_or_another_one_is_nobodys() -> None:
    seal, other = Seal(), Seal()
    assert seal.take_off("a") == f"{UNSEALED}a"
    assert seal.take_off(other.put_on("a")) == UNSEALED + other.put_on("a")
