"""LocalProxy: what it is made from, and that each use looks its object up anew."""

import functools
import inspect
import sys
import types
from contextvars import ContextVar
from functools import partial
from typing import Any

import gevent
import pytest
from gevent.event import Event

from greenlane.context import Local, LocalProxy, LocalStack, release_local


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

    failing = Failing()
    proxy: Any = LocalProxy(lambda: failing)
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
