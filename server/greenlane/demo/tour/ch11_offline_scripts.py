"""A script has an app, but no request.

That is what the second stack is for: an application context alone makes the app
current.
"""

from greenlane.app import App, app_stack, current_app, request
from greenlane.demo.tour.chapter import Chapter, Observed, Scene, named


def nested_apps() -> Observed:
    """One app's settings, another's inside, and the first one's again."""
    app, tested = App("app"), App("tested")
    tested.debug = True
    seen = []

    def look() -> None:
        [lane] = named(app_stack.__storage__).values()
        debug = current_app.config["DEBUG"]
        depth = len(lane["stack"])
        print(f"{current_app.name}: DEBUG {debug}, {depth} deep")
        seen.append((debug, depth))

    with app.app_context():
        look()
        with tested.app_context():
            look()
        look()
    print(f"at the end: {named(app_stack.__storage__)}")
    return {"DEBUG and depth": seen, "left": dict(app_stack.__storage__)}


def outside() -> Observed:
    """Use an app and a request where there are none."""
    lines = []
    for proxy, name in (current_app, "name"), (request, "path"):
        try:
            getattr(proxy, name)
        except RuntimeError as error:
            lines.append(str(error).splitlines()[0])
    print(*lines, sep="\n")
    return {"errors": lines}


CHAPTER = Chapter(
    "Offline scripts",
    (
        Scene(
            nested_apps,
            why="Each block pushes its app and pops it at its end; with one "
            "variable instead of a stack, the first app would not come back.",
            expected={
                "DEBUG and depth": [(False, 1), (True, 2), (False, 1)],
                "left": {},
            },
        ),
        Scene(
            outside,
            why="An error that says what is missing is better than somebody "
            "else's app or request.",
            expected={
                "errors": [
                    "Working outside of application context.",
                    "Working outside of request context.",
                ]
            },
        ),
    ),
)
