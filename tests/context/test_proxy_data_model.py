"""LocalProxy: the whole data model is forwarded to the object behind it."""

import asyncio
import contextlib
import copy
import functools
import io
import math
import operator
import os
import pathlib
import pickle
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenlane.context import LocalProxy
from greenlane.context.datamodel import DATA_MODEL


def proxy_to(obj: Any) -> Any:
    return LocalProxy(lambda: obj)


# B23: for each kind of object, expressions in which `x` is the object or its proxy.
OBJECTS: dict[str, tuple[Any, str]] = {
    "int": (
        -7,
        """
        int(x); float(x); complex(x); str(x); repr(x); bool(x); hash(x); abs(x); round(x); bin(x)
        range(-x); math.trunc(x); math.floor(x); math.ceil(x); math.gcd(x, 14); format(x)
        format(x, "+05d"); f"{x:>5}"; "%d" % x; -x; +x; ~x; x + 2; 2 + x; x - 2; 2 - x; x * 3; 3 * x
        x / 2; 2 / x; x // 2; 20 // x; x % 4; 20 % x; x + x; divmod(x, 4); divmod(40, x); x**2; 2**x
        pow(x, 3, 5); x << 2; 2 << -x; x >> 1; 2000 >> -x; x / 0; x + "a"; x & 5; 5 & x; x | 8; 8 | x
        x ^ 3; 3 ^ x; x == -7; -7 == x; x != -7; x < 0; 0 < x; x <= -7; x > 0; x >= -7; [*range(10)][x]
        {x: 1}[-7]; {-7: 1}[x]; x.bit_length(); x.real; isinstance(x, int); x.__class__; x.__doc__; dir(x)
        len(x); x[0]; x(); iter(x); x @ 1; copy.copy(x); copy.deepcopy(x); pickle.loads(pickle.dumps(x))
        """,
    ),
    "float": (
        2.75,
        """
        int(x); float(x); complex(x); str(x); round(x); round(x, 1); math.trunc(x); math.floor(x)
        math.ceil(x); math.sqrt(x); f"{x:.1f}"; x.is_integer(); x * 2; 2 / x; x // 1; x % 1; x**2; x < 3
        isinstance(x, float)
        """,
    ),
    "str": (
        "lane",
        """
        str(x); repr(x); len(x); list(x); [c for c in x]; sorted(x); hash(x); list(reversed(x)); "a" in x
        x in ["lane"]; x[1]; x[1:3]; x + "s"; "g" + x; x * 2; 2 * x; x % (); x < "z"; x.upper(); f"{x:>8}"
        "%s" % x; "".join([*x]); isinstance(x, str); {"lane": 1}[x]; x.encode(); int(x); copy.copy(x)
        """,
    ),
    "list": (
        [3, 1, 2],
        """
        len(x); list(x); sorted(x); [c for c in x]; list(reversed(x)); 1 in x; 9 in x; x[0]; x[1:]; x[9]
        x + [4]; [4] + x; x * 2; [*x]; x == [3, 1, 2]; [3, 1, 2] == x; x < [4]; repr(x); bool(x)
        x.index(1); x.append(4) or list(x); x.__setitem__(0, 5) or x[0]; x.__delitem__(0) or len(x)
        hash(x); next(x); copy.copy(x); copy.deepcopy(x)
        """,
    ),
    "dict": (
        {"a": 1, "b": 2},
        """
        len(x); list(x); dict(x); sorted(x); x["a"]; x["z"]; "a" in x; x | {"c": 3}; {"c": 3} | x; {**x}
        x.get("z", 0); list(reversed(x)); x == {"a": 1, "b": 2}; "%(a)s" % x; repr(x); copy.deepcopy(x)
        pickle.loads(pickle.dumps(x))
        """,
    ),
    "bytes": (b"raw", "bytes(x); len(x); list(x); x + b's'; x.decode(); hash(x)"),
    "path": (pathlib.PurePosixPath("a/b"), 'os.fspath(x); str(x); x / "c"; "r" / x; x.name; bytes(x)'),
    "callable": (
        lambda *args, **kwargs: (args, kwargs),
        "x(); x(1, 2, key=3); callable(x); x.__name__; functools.partial(x, 1)(2)",
    ),
    "class": (
        ValueError,
        """
        isinstance(ValueError(), x); isinstance(1, x); issubclass(UnicodeError, x); issubclass(int, x)
        str(x("text")); x.__name__; isinstance(x, type); x == ValueError; x.mro()
        """,
    ),
    "iterable": (range(3), "sum(x); list(zip(x, x, strict=True)); max(x); tuple(x); x.start; x[-1]"),
}
NAMES = {"copy": copy, "functools": functools, "math": math, "os": os, "pickle": pickle}


def outcome(operation: Callable[[], Any]) -> tuple[str, Any]:
    try:
        return "result", operation()
    except Exception as error:
        return "error", type(error)


def expressions() -> list[Any]:
    return [
        pytest.param(obj, source.strip(), id=f"{kind}: {source.strip()}")
        for kind, (obj, lines) in OBJECTS.items()
        for line in lines.splitlines()
        for source in line.split(";")
        if source.strip()
    ]


@pytest.mark.parametrize(("obj", "source"), expressions())
def test_every_operation_gives_what_it_gives_on_the_object(obj: Any, source: str) -> None:
    """B23: the data model, table-driven: the same result, or the same error."""

    def on(operand: Any) -> tuple[str, Any]:
        return outcome(lambda: eval(source, NAMES | {"x": operand}))

    assert on(proxy_to(copy.deepcopy(obj))) == on(copy.deepcopy(obj))


ARITHMETIC = "add sub mul truediv floordiv mod divmod pow lshift rshift and or xor matmul".split()  # noqa: SIM905


@given(st.sampled_from(ARITHMETIC), st.booleans(), st.integers(-50, 50), st.integers(-8, 8))
def test_arithmetic_agrees_with_int(name: str, reflected: bool, left: int, right: int) -> None:
    """B23: each operator, from either side."""
    operation = DATA_MODEL[f"__r{name}__" if reflected else f"__{name}__"]
    expected = outcome(lambda: operation(left, right))
    assert outcome(lambda: operation(proxy_to(left), right)) == expected
    assert outcome(lambda: operation(left, proxy_to(right))) == expected


def test_every_row_of_the_table_is_on_the_class() -> None:
    """B23: and each is a function of the proxy's, not object's."""
    for name in DATA_MODEL:
        assert name in vars(LocalProxy), name


def test_in_place_operators_on_a_mutable_keep_the_proxy() -> None:
    """B23: the list behind it is changed."""
    target = [1]
    proxy = same = proxy_to(target)
    proxy += [2]
    proxy *= 2
    assert proxy is same
    assert target == [1, 2, 1, 2]
    flags = {1, 2, 3}
    proxy = same = proxy_to(flags)
    proxy &= {1, 2}
    proxy |= {5}
    proxy -= {1}
    proxy ^= {7}
    assert proxy is same
    assert flags == {2, 5, 7}


IN_PLACE = "iadd isub imul itruediv ifloordiv imod ipow ilshift irshift iand ior ixor".split()  # noqa: SIM905


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_operators_on_an_int_give_the_new_value(name: str) -> None:
    """B23: an int cannot change in place, and the value must not be lost."""
    result = getattr(operator, name)(proxy_to(13), 3)
    assert type(result) in (int, float)
    assert result == getattr(operator, name)(13, 3)


def test_matmul_in_all_forms() -> None:
    """B23."""

    class Matrix:
        def __matmul__(self, other: object) -> str:
            return "matmul"

        def __rmatmul__(self, other: object) -> str:
            return "rmatmul"

        def __imatmul__(self, other: object) -> "Matrix":
            return self

    proxy = same = proxy_to(Matrix())
    assert proxy @ 1 == "matmul"
    assert 1 @ proxy == "rmatmul"
    proxy @= 1
    assert proxy is same


def test_attributes_are_set_and_deleted_on_the_object() -> None:
    """B23: also those that every object has."""

    class Target:
        """A target."""

    class Other(Target):
        pass

    target = Target()
    proxy = proxy_to(target)
    proxy.x = 1
    assert target.x == 1  # type: ignore[attr-defined]
    assert proxy.__dict__ == {"x": 1}
    assert vars(proxy) == {"x": 1}
    assert proxy.__doc__ == "A target."
    proxy.__class__ = Other
    assert type(target) is Other
    del proxy.x
    assert not hasattr(target, "x")
    assert dir(proxy) == dir(target)


def test_containers_are_changed_through_the_proxy() -> None:
    """B23."""
    target = {"a": 1}
    proxy = proxy_to(target)
    proxy["b"] = 2
    del proxy["a"]
    assert target == {"b": 2}


def test_context_managers_are_entered_and_left() -> None:
    """B23: with its error, and a clear TypeError where there is nothing to enter."""
    stream = io.StringIO()
    with proxy_to(stream) as entered:
        assert entered is stream
    assert stream.closed
    suppressing = contextlib.suppress(ValueError)
    with proxy_to(suppressing):
        raise ValueError
    with pytest.raises(TypeError, match="__enter__"), proxy_to(1):
        pass


def test_async_forms() -> None:
    """B23: await, async for, async with."""

    class Stream:
        def __init__(self) -> None:
            self.items = [1, 2]

        def __aiter__(self) -> "Stream":
            return self

        async def __anext__(self) -> int:
            if not self.items:
                raise StopAsyncIteration
            return self.items.pop(0)

        async def __aenter__(self) -> "Stream":
            return self

        async def __aexit__(self, *error: object) -> None:
            self.items.append(9)

    async def answer() -> int:
        return 42

    async def main() -> None:
        assert await proxy_to(answer()) == 42
        proxy = proxy_to(Stream())
        assert [item async for item in proxy] == [1, 2]
        async with proxy as entered:
            assert entered is proxy._get_current_object()
        assert await anext(proxy) == 9

    asyncio.run(main())


def test_a_class_can_be_derived_through_a_proxy() -> None:
    """B23: __mro_entries__."""
    base = proxy_to(ValueError)

    class Derived(base):  # type: ignore[misc, valid-type]
        pass

    assert issubclass(Derived, ValueError)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="__buffer__ is called from Python 3.12 on (PEP 688)")
def test_the_buffer_protocol() -> None:
    """B23."""
    assert bytes(memoryview(proxy_to(b"raw"))) == b"raw"


def test_length_hint() -> None:
    """B23."""
    assert operator.length_hint(proxy_to(iter([1, 2, 3]))) == 3
