"""Nobody wants to ask a stack for its top all the time.

A proxy is one object that everybody may import, and that stands for whatever is
bound where it is used, when it is used.
"""

from functools import partial
from types import SimpleNamespace
from typing import Any

from greenlane.context import Local, LocalProxy
from greenlane.demo.forms.onestack import lookup, stack
from greenlane.demo.forms.workers import Meet, in_greenlets
from greenlane.demo.tour.chapter import Chapter, Observed, Scene


def one_name_for_all() -> Observed:
    """Three workers use one proxy; main has bound nothing."""
    local = Local()
    user = local("user")

    def worker(number: int, meet: Meet) -> str:
        local.user = f"user {number}"
        meet()
        return str(user.upper())

    read = in_greenlets(3, worker)
    print(read, "and in main:", repr(user), bool(user))
    refused = ""
    try:
        user.upper()
    except RuntimeError as error:
        refused = str(error)
    print(f"RuntimeError: {refused}")
    return {"read": read, "bool() in main": bool(user), "error": refused}


def the_object_behind() -> Observed:
    """A proxy does what its object does, and can hand that out."""
    local = Local()
    local.basket = basket = ["apple"]
    proxy: Any = local("basket")
    proxy.append("pear")
    proxy += ["plum"]
    print(f"{proxy} has {len(proxy)} things; isinstance of list:", end=" ")
    print(isinstance(proxy, list))
    real = proxy._get_current_object()
    return {"basket": basket, "the real object": real is basket}


def any_attribute() -> Observed:
    """Look up any attribute of the top, each time anew."""
    xxx: Any = LocalProxy(partial(lookup, "xxx"))
    ooo: Any = LocalProxy(partial(lookup, "ooo"))
    stack.push(SimpleNamespace(xxx=123, ooo=888))
    first = xxx + 0, ooo + 0
    stack.push(SimpleNamespace(xxx=1, ooo=8))
    second = xxx + 0, ooo + 0
    stack.pop()
    stack.pop()
    print(first, second)
    refused = ""
    try:
        print(xxx + 0)
    except RuntimeError as error:
        refused = str(error)
    print(f"RuntimeError: {refused}")
    return {"first": first, "second": second, "with no top": refused}


CHAPTER = Chapter(
    "Proxies",
    (
        Scene(
            one_name_for_all,
            why="The proxy holds no user: it asks the Local at each use, and "
            "the Local asks who is asking.",
            expected={
                "read": ["USER 0", "USER 1", "USER 2"],
                "bool() in main": False,
                "error": "no object bound to 'user'",
            },
        ),
        Scene(
            the_object_behind,
            why="Python looks for special methods on the type, so the proxy's "
            "class has all of them, and each forwards to the object.",
            expected={
                "basket": ["apple", "pear", "plum"],
                "the real object": True,
            },
        ),
        Scene(
            any_attribute,
            why="partial() makes of one lookup a function for each name, and "
            "a proxy calls it whenever it is used.",
            expected={
                "first": (123, 888),
                "second": (1, 8),
                "with no top": "'xxx' was used outside of a request",
            },
            forms=(lookup,),
        ),
    ),
)
