"""A process may hold several apps, each under a path of its own.

They share the stacks, and current_app tells which of them is answering.
"""

from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from greenlane.app import App, current_app, request
from greenlane.demo.forms.workers import Meet, in_greenlets
from greenlane.demo.tour.chapter import Chapter, Observed, Scene


def make_app(name: str, path: str) -> App:
    """Make an app that says who and where it is, once all have come."""
    app = App(name)

    @app.get(path)
    def where() -> str:
        request.environ["tour.meet"]()
        return f"{current_app.name}: {request.script_root} {request.path}"

    return app


def two_apps() -> Observed:
    """Six requests at once, in turn to the one app and to the other."""
    one, two = make_app("app 1", "/index"), make_app("app 2", "/index2")
    together = DispatcherMiddleware(one, {"/sec": two})

    def ask(number: int, meet: Meet) -> str:
        path = "/sec/index2" if number % 2 else "/index"
        waiting = {"tour.meet": meet}
        return Client(together).get(path, environ_base=waiting).text

    replies = in_greenlets(6, ask)
    print(*replies, sep="\n")
    return {"replies": replies}


CHAPTER = Chapter(
    "Several apps",
    (
        Scene(
            two_apps,
            why="The middleware moves the part of the path that chose the app "
            "to SCRIPT_NAME; each app pushes itself in the lane of its request.",
            expected={
                "replies": ["app 1:  /index", "app 2: /sec /index2"] * 3,
            },
            forms=(make_app,),
        ),
    ),
)
