"""A stack and a proxy are all that it takes to make a request current.

While it runs, its context is on the stack; whoever asks for the request gets it
from there.
"""

from greenlane.context import LocalStack
from greenlane.demo.forms.onestack import (
    ToyContext,
    current_app,
    g,
    request,
    session,
    stack,
)
from greenlane.demo.forms.workers import Meet, in_greenlets
from greenlane.demo.tour.chapter import Chapter, Observed, Scene


def push_and_pop() -> Observed:
    """One proxy, and contexts that come and go."""
    contexts: LocalStack[str] = LocalStack()
    context = contexts()  # a proxy to the top

    contexts.push("c1")
    seen = [str(context), str(context)]
    contexts.pop()
    contexts.push("c2")
    contexts.push("c3")
    seen.append(str(context))
    contexts.pop()
    seen.append(str(context))
    contexts.pop()
    print(seen)
    return {"what the proxy stood for": seen}


def four_proxies() -> Observed:
    """Two requests at once, and four proxies that read one stack."""

    def serve(number: int, meet: Meet) -> str:
        context = ToyContext(f"app {number}", f"GET /{number}")
        stack.push(context)
        session["user"] = g["user"] = f"user {number}"
        meet()  # both requests are under way
        line = f"{request} of {session['user']} {g['user']} {current_app}"
        stack.pop()
        return line

    lines = in_greenlets(2, serve)
    for line in lines:
        print(line)
    return {"lines": lines, "a request after": bool(request)}


CHAPTER = Chapter(
    "A request context by hand",
    (
        Scene(
            push_and_pop,
            why="The proxy looks at the top each time, and so does everybody "
            "who imported it before there was any request.",
            expected={"what the proxy stood for": ["c1", "c1", "c3", "c2"]},
        ),
        Scene(
            four_proxies,
            why="Each of the four is the attribute of whatever is on top in "
            "the lane that asks.",
            expected={
                "lines": [
                    "GET /0 of user 0 user 0 app 0",
                    "GET /1 of user 1 user 1 app 1",
                ],
                "a request after": False,
            },
            forms=(ToyContext,),
        ),
    ),
)
