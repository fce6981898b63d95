"""The request context by hand: one stack, and proxies that look again each time."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from greenlane.context import LocalProxy
from greenlane.demo.forms import onestack
from greenlane.demo.forms.onestack import ToyContext, current_app, g, lookup, request, session, stack
from greenlane.demo.forms.workers import Meet, in_greenlets


def test_the_proxy_looks_again_each_time() -> None:
    """B20: c1 twice; after its pop and two pushes the same proxy is c3, then c2."""
    stack.push(ToyContext("app", "c1"))
    seen = [str(request), str(request)]
    stack.pop()
    stack.push(ToyContext("app", "c2"))
    stack.push(ToyContext("app", "c3"))
    seen.append(str(request))
    stack.pop()
    seen.append(str(request))
    stack.pop()
    assert seen == ["c1", "c1", "c3", "c2"]
    with pytest.raises(RuntimeError, match="'request' was used outside of a request"):
        str(request)


def test_any_attribute_of_the_top() -> None:
    """B24: partial(lookup, "xxx") gives 123, "ooo" 888; empty: RuntimeError naming it."""
    xxx, ooo = partial(lookup, "xxx"), partial(lookup, "ooo")
    proxy: Any = LocalProxy(xxx)
    for function in xxx, ooo:
        with pytest.raises(RuntimeError, match=r"'(xxx|ooo)' was used outside of a request"):
            function()
    stack.push(SimpleNamespace(xxx=123, ooo=888))
    assert (xxx(), ooo(), proxy + 1) == (123, 888, 124)
    stack.pop()
    with pytest.raises(RuntimeError, match="'xxx'"):
        xxx()


def test_four_proxies_read_one_stack() -> None:
    """B25: current_app, request, session and g are attributes of one top, and change together."""
    tops = [ToyContext("one", "/1", {"user": "ada"}, {"n": 1}), ToyContext("two", "/2", {}, {"n": 2})]
    for top in tops:
        stack.push(top)
        assert current_app._get_current_object() is top.app
        assert request._get_current_object() is top.request
        assert session._get_current_object() is top.session
        assert g._get_current_object() is top.g
    stack.pop()
    assert (current_app, request, session, g) == ("one", "/1", {"user": "ada"}, {"n": 1})
    stack.pop()
    for name in "current_app", "request", "session", "g":
        assert not getattr(onestack, name)


def test_overlapping_workers_have_tops_of_their_own() -> None:
    """B20, B25: five push before any of them reads."""

    def worker(number: int, meet: Meet) -> tuple[str, int]:
        stack.push(ToyContext("app", f"/{number}"))
        g["number"] = number
        meet()
        seen = str(request), g["number"]
        stack.pop()
        return seen

    assert in_greenlets(5, worker) == [(f"/{number}", number) for number in range(5)]
