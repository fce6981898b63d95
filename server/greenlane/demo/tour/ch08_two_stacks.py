"""Greenlane's App does the same with two stacks, by the names that you may know.

request and session are read from the request stack, current_app and g from the
application stack.
"""

from typing import Any

from greenlane.app import (
    App,
    app_stack,
    current_app,
    g,
    request,
    request_stack,
)
from greenlane.context import LocalStack
from greenlane.demo.forms.workers import Meet, in_greenlets
from greenlane.demo.tour.chapter import Chapter, Observed, Scene, named


def during_a_request() -> Observed:
    """Look into both stacks while a view runs, and afterwards."""
    app = App("shop")
    stacks: dict[str, LocalStack[Any]]
    stacks = {"requests": request_stack, "apps": app_stack}
    depth: dict[str, int] = {}

    @app.get("/hello")
    def hello() -> str:
        for name, stack in stacks.items():
            print(f"{name}: {named(stack.__storage__)}")
            depth[name] = len(stack.__storage__)
        return f"{request.path} of {current_app.name}"

    reply = app.test_client().get("/hello").text
    after = [dict(stack.__storage__) for stack in stacks.values()]
    print(f"after: {after}")
    return {"reply": reply, "entries during": depth, "after": after}


def two_requests() -> Observed:
    """Two requests to one app, both under way at once."""
    app = App("shop")

    def ask(number: int, meet: Meet) -> str:
        client = app.test_client()
        waiting = {"tour.meet": meet}  # comes with the WSGI environment
        reply = client.get(f"/?user=u{number}", environ_base=waiting)
        return reply.text

    @app.get("/")
    def index() -> str:
        g.user = request.args["user"]
        request.environ["tour.meet"]()  # both have written to g
        return f"g: {g.user}, request: {request.args['user']}"

    replies = in_greenlets(2, ask)
    print(*replies, sep="\n")
    return {"replies": replies, "in a lane now": bool(request)}


CHAPTER = Chapter(
    "The App's two stacks",
    (
        Scene(
            during_a_request,
            why="A request pushes an application context and itself before "
            "the view, and pops both after it, whatever happens in between.",
            expected={
                "reply": "/hello of shop",
                "entries during": {"requests": 1, "apps": 1},
                "after": [{}, {}],
            },
        ),
        Scene(
            two_requests,
            why="Each request has pushed contexts of its own in its own lane, "
            "and g is one of them.",
            expected={
                "replies": ["g: u0, request: u0", "g: u1, request: u1"],
                "in a lane now": False,
            },
        ),
    ),
)
