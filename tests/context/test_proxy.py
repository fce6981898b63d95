"""LocalProxy: lazy look-up, and the whole data model forwarded."""

import asyncio
import contextlib
import copy
import functools
import inspect
import io
import math
import operator
import os
import pathlib
import pickle
import sys
import types
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import gevent
import pytest
from gevent.event import Event
from hypothesis import given
from hypothesis import strategies as st

from greenlane.context import Local, LocalProxy, LocalStack, release_local
from greenlane.context.datamodel import DATA_MODEL


def proxy_to(obj: Any) -> Any:
    return LocalProxy(lambda: obj)


def test_each_use_looks_up_anew(capsys: pytest.CaptureFixture[str]) -> None:
    """B20: a toy request context: the proxy prints whatever is on top now."""

    class Context:
        def __init__(self, name: str) -> None:
            self.name = name

        def __str__(self) -> str:
            return self.name

    stack: LocalStack[Context] = LocalStack()
    proxy = stack()
    stack.push(Context("c1"))
    sys.stdout.write(f"{proxy}\n")
    sys.stdout.write(f"{proxy}\n")
    stack.pop()
    stack.push(Context("c2"))
    sys.stdout.write(f"{proxy}\n")
    stack.push(Context("c3"))
    sys.stdout.write(f"{proxy}\n")
    assert capsys.readouterr().out.split() == ["c1", "c1", "c2", "c3"]
    release_local(stack)


def test_two_greenlets_share_a_proxy_and_see_their_own_object() -> None:
    """B54: through one proxy, with a switch between binding and use on both sides."""
    stack: LocalStack[str] = LocalStack()
    proxy: Any = stack()
    bound = {"ada": Event(), "bob": Event()}
    order: list[str] = []

    def lane(name: str, other: str) -> str:
        stack.push(name)
        order.append(f"{name} bound")
        bound[name].set()
        bound[other].wait()
        order.append(f"{name} uses")
        seen: str = proxy.upper()
        stack.pop()
        return seen

    lanes = [gevent.spawn(lane, "ada", "bob"), gevent.spawn(lane, "bob", "ada")]
    gevent.joinall(lanes, raise_error=True)
    assert order[:2] == ["ada bound", "bob bound"], "they did not overlap"
    assert [lane.value for lane in lanes] == ["ADA", "BOB"]


def test_construction_from_each_kind_of_source() -> None:
    """B21: a callable, a Local and a name, a LocalStack, a ContextVar."""
    local = Local()
    local.name = "in the local"
    stack: LocalStack[str] = LocalStack()
    stack.push("on the stack")
    var: ContextVar[str] = ContextVar("var")
    var.set("in the context")

    def function() -> str:
        return "from the function"

    assert LocalProxy(local, "name") == "in the local"
    assert LocalProxy(stack) == "on the stack"
    assert LocalProxy(var) == "in the context"
    assert LocalProxy(function) == "from the function"
    assert LocalProxy(function).__wrapped__ is function
    others: list[LocalProxy[Any]] = [LocalProxy(local, "name"), LocalProxy(stack), LocalProxy(var)]
    for other in others:
        assert not hasattr(other, "__wrapped__")
    release_local(local)
    release_local(stack)


def test_a_name_is_an_attribute_of_what_is_found() -> None:
    """B21: on the top, on the variable's value, on the result."""
    stack: LocalStack[Any] = LocalStack()
    stack.push(3 + 4j)
    var: ContextVar[Any] = ContextVar("var", default=3 + 4j)
    proxies: list[Any] = [
        LocalProxy(stack, "imag"),
        LocalProxy(var, "imag"),
        LocalProxy(lambda: 3 + 4j, "imag"),
    ]
    assert proxies == [4, 4, 4]
    stack.pop()


def test_what_cannot_be_looked_up_in_is_refused() -> None:
    """B21: clearly, and when the proxy is made."""
    with pytest.raises(TypeError, match="needs a name"):
        LocalProxy(Local())
    with pytest.raises(TypeError, match="'int'"):
        LocalProxy(42)  # type: ignore[call-overload]


def unbound_proxies() -> list[Any]:
    return [
        Local()("name"),
        LocalStack[object]()(),
        LocalProxy(ContextVar("name")),
        LocalProxy(Local(), "name", "nothing under this name"),
    ]


@pytest.mark.parametrize("proxy", unbound_proxies(), ids=["local", "stack", "var", "message"])
def test_an_unbound_proxy_says_so(proxy: Any) -> None:
    """B22: RuntimeError on use; what is asked of every object is answered."""
    for use in (proxy._get_current_object, lambda: proxy.x, lambda: proxy + 1, lambda: proxy == 1, proxy):
        with pytest.raises(RuntimeError, match=r"no object bound|nothing under this name"):
            use()
    assert not proxy
    assert repr(proxy) == "<LocalProxy unbound>"
    assert dir(proxy) == []
    assert not hasattr(proxy, "__wrapped__")
    assert inspect.unwrap(proxy) is proxy
    assert "looked up anew" in proxy.__doc__
    assert proxy.__class__ is LocalProxy
    assert isinstance(proxy, LocalProxy)


def test_the_current_object_is_the_real_one() -> None:
    """B22: identity."""
    obj = object()
    local = Local()
    local.obj = obj
    assert local("obj")._get_current_object() is obj
    release_local(local)


def test_looking_up_any_attribute_on_the_top() -> None:
    """B24: by a partial of a function, as request and g are made."""
    stack: LocalStack[Any] = LocalStack()

    def lookup(name: str) -> Any:
        top = stack.top
        if top is None:
            raise RuntimeError("the stack is empty")
        return getattr(top, name)

    class Context:
        xxx = 123
        ooo = 888

    xxx: Any = LocalProxy(partial(lookup, "xxx"))
    ooo: Any = LocalProxy(partial(lookup, "ooo"))
    stack.push(Context())
    assert xxx == 123
    assert ooo == 888
    stack.pop()
    with pytest.raises(RuntimeError, match="the stack is empty"):
        str(xxx)


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


def test_an_attribute_is_looked_up_once() -> None:
    """B22: also one that fails; a property may do something."""
    asked = []

    class Failing:
        @property
        def name(self) -> str:
            asked.append("name")
            raise AttributeError("no name yet")

        def __getattr__(self, name: str) -> Any:
            asked.append(name)
            raise AttributeError(name)

    proxy = proxy_to(Failing())
    with pytest.raises(AttributeError, match="other"):
        _ = proxy.other
    assert asked == ["other"]
    assert not hasattr(proxy, "name")
    assert asked == ["other", "name", "name"]  # the property, then its class's own __getattr__


def test_a_subclass_may_have_attributes_of_its_own() -> None:
    """B22: they come first, and all others are the object's."""

    class Named(LocalProxy[Any]):
        colour = "green"

        def shout(self) -> str:
            return str(self.name).upper()

    proxy: Any = Named(lambda: types.SimpleNamespace(name="ada", colour="red"))
    assert (proxy.shout(), proxy.colour, proxy.name) == ("ADA", "green", "ada")
    assert callable(proxy.__wrapped__)
    with pytest.raises(AttributeError, match="missing"):
        _ = proxy.missing


def test_wrapped_is_the_objects_own_where_the_proxy_has_none() -> None:
    """B21: a proxy of a Local stands for a decorated function, too."""
    local = Local()
    local.function = functools.wraps(len)(lambda *_: 0)
    assert local("function").__wrapped__ is len
    release_local(local)
