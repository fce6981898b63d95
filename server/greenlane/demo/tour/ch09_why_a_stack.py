"""Under a server a lane has one request at a time: why stacks, then, and why two.

A stack, because contexts nest: a view sends a request to its own program, a test
opens one around another, two apps share a process. Two, because an app may be
current without any request: in a script, in a shell, in a test. The next three
chapters show the others.
"""

from greenlane.app import App, app_stack, g, has_request_context, request
from greenlane.demo.tour.chapter import Chapter, Observed, Scene


def a_request_in_a_request() -> Observed:
    """A view calls its own app, and goes on with its own request."""
    app = App("shop")

    @app.get("/outer")
    def outer() -> str:
        g.note = "outer's"
        inner = app.test_client().get("/inner").text
        return f"{request.path}, g.note: {g.note} ({inner})"

    @app.get("/inner")
    def inner() -> str:
        [(_, values)] = app_stack.__storage__.items()
        depth = len(values["stack"])
        return f"{request.path}, g.note: {g.get('note')}, depth {depth}"

    reply = app.test_client().get("/outer").text
    print(reply)
    return {"reply": reply}


def a_test() -> Observed:
    """A test looks at one request while its client sends another."""
    app = App("shop")
    app.add_url_rule("/buy", view_func=lambda: f"you are at {request.path}")

    paths = []
    with app.test_request_context("/basket"):
        paths.append(request.path)
        paths.append(app.test_client().get("/buy").text)
        paths.append(request.path)
    print(*paths, sep=" -> ")
    return {"paths": paths}


def a_wrong_order() -> Observed:
    """Pop what is not on top."""
    app = App("shop")
    refused = False
    with app.test_request_context("/first") as first:
        with app.test_request_context("/second"):
            try:
                first.pop()
            except AssertionError as error:
                refused = True
                print(f"AssertionError: {error}")
            inside = request.path
        outside = request.path
    return {
        "refused": refused,
        "current in the second": inside,
        "current in the first": outside,
        "a request after": has_request_context(),
    }


CHAPTER = Chapter(
    "Why a stack",
    (
        Scene(
            a_request_in_a_request,
            why="The inner request finds an application context that belongs "
            "to a live request, so it pushes one of its own: two levels, and "
            "a g for each.",
            expected={
                "reply": "/outer, g.note: outer's "
                "(/inner, g.note: None, depth 2)",
            },
        ),
        Scene(
            a_test,
            why="The client's request goes on top of the one around it, and "
            "its pop brings that one back.",
            expected={
                "paths": ["/basket", "you are at /buy", "/basket"],
            },
        ),
        Scene(
            a_wrong_order,
            why="Only the top may go: popping anything else would leave "
            "somebody's request current for the next one in the lane.",
            expected={
                "refused": True,
                "current in the second": "/second",
                "current in the first": "/first",
                "a request after": False,
            },
        ),
    ),
)
